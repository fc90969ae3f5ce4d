"""Fixtures: scaffolded projects, and one environment that they share."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from servers import Servers

from lockstep_template import remotes, urls
from project import Project

# The glue is imported from the template's own folder, whose files are copied as they stand.
sys.dont_write_bytecode = True
# A shell's background job ignores it, and so would every command that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

TEMPLATE = Path(__file__).resolve().parent.parent
Scaffold = Callable[..., Project]


@pytest.fixture(scope="session")
def clean_env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a user whose machine has git's identity and nothing else of interest."""
    home = tmp_path_factory.mktemp("home")
    (home / "gitconfig").write_text(
        "[user]\n\tname = Ada Lovelace\n\temail = ada@example.org\n"
        '[init]\n\tdefaultBranch = main\n[protocol "file"]\n\tallow = always\n'
    )
    (home / "cookiecutter.yaml").write_text(
        f"cookiecutters_dir: {home / 'cookiecutters'}\nreplay_dir: {home / 'replay'}\n"
    )
    dropped = ("MLFLOW_", "DVC_", "GIT_", "VIRTUAL_ENV", "UV_PROJECT", "PYTHONDONTWRITEBYTECODE")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    return {
        **kept,
        "GIT_CONFIG_GLOBAL": str(home / "gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "COOKIECUTTER_CONFIG": str(home / "cookiecutter.yaml"),
        "DVC_GLOBAL_CONFIG_DIR": str(home / "dvc"),
        "DVC_SITE_CACHE_DIR": str(home / "dvc-site"),
        "DVC_NO_ANALYTICS": "1",
        "UV_PYTHON": sys.executable,
        "UV_PYTHON_DOWNLOADS": "never",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


@pytest.fixture(scope="session")
def first_project(clean_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project made with every default, its environment included; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("first")
    return make(clean_env, folder, {}, None)


@pytest.fixture
def scaffold(clean_env: dict[str, str], first_project: Project, tmp_path: Path) -> Scaffold:
    """Make a project; it shares the first one's environment: `lockstep` runs the code around it."""

    def made(folder: Path | None = None, **answers: str) -> Project:
        return make(clean_env, folder or tmp_path, answers, first_project.bin)

    return made


@pytest.fixture
def project(scaffold: Scaffold) -> Project:
    """A project with the defaults."""
    return scaffold()


@pytest.fixture(scope="session")
def equipped(first_project: Project) -> Project:
    """The first project, whose environment speaks with every kind of remote."""
    extras = ",".join(sorted({kind.extra for kind in remotes.REMOTES.values()} - {""}))
    wanted = [f"dvc[{extras}]", "boto3", urls.DRIVERS["postgresql"]]
    python = str(first_project.bin / "python")
    first_project.run("uv", "pip", "install", "--quiet", "--python", python, *wanted)
    return first_project


@pytest.fixture(scope="session")
def finished(equipped: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose pipeline has run."""
    project = make(equipped.env, tmp_path_factory.mktemp("finished"), {}, equipped.bin)
    project.repro()
    return project


@pytest.fixture(scope="session")
def first_result(
    clean_env: dict[str, str], first_project: Project, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """A project whose pipeline has run once, all of it committed; tests copy it."""
    project = make(clean_env, tmp_path_factory.mktemp("result"), {}, first_project.bin)
    # Git's hooks run `uv run`, here in the environment that all share.
    project.env = {**project.env, "UV_PROJECT_ENVIRONMENT": str(project.bin.parent)}
    project.repro()
    project.commit("first result")
    return project


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """The servers of a test, ended with it."""
    folder = tmp_path / "servers"
    folder.mkdir()
    made = Servers(folder)
    yield made
    made.stop()


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """An empty git repository to push to."""
    folder = tmp_path / "origin.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", folder], check=True)
    return folder


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """An empty folder that is the DVC remote."""
    folder = tmp_path / "storage"
    folder.mkdir()
    return folder


@pytest.fixture
def ada(first_result: Project, origin: Path, storage: Path, tmp_path: Path) -> Project:
    """A colleague's project: a first result, committed and not yet pushed."""
    path = tmp_path / "ada"
    shutil.copytree(first_result.path, path)
    project = replace(first_result, path=path)
    project.git("remote", "add", "origin", str(origin))
    project.run("dvc", "remote", "modify", "storage", "url", str(storage))
    project.commit("remotes")
    return project


def make(
    env: dict[str, str], folder: Path, answers: dict[str, str], shared: Path | None
) -> Project:
    """Scaffold a project in a folder; without a shared environment, with one of its own."""
    if shared:
        answers = {"create_environment": "false", **answers}
        env = {**env, "PATH": f"{shared}{os.pathsep}{env['PATH']}"}
    before = set(folder.iterdir())
    done = subprocess.run(
        [sys.executable, "-m", "cookiecutter", str(TEMPLATE), "--no-input", "-o", str(folder)]
        + [f"{key}={value}" for key, value in answers.items()],
        env=env,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout
    made = [path for path in set(folder.iterdir()) - before if (path / "dvc.yaml").exists()]
    assert len(made) == 1, done.stdout
    binaries = shared or made[0] / ".venv" / ("Scripts" if os.name == "nt" else "bin")
    if shared:
        # Made by `uv sync` where the project has an environment of its own.
        shutil.copy(shared.parent.parent / "uv.lock", made[0])
    return Project(made[0], env, binaries, done.stdout)
