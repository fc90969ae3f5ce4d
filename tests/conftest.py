"""Fixtures: projects, scaffolded or tiny, and the environments that they share."""

import logging
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar
from unittest import mock

import pytest
import tiny
import windows
from filelock import FileLock
from golden import Page
from scaffold import with_penguins
from servers import Servers
from tiny import Tiny

from lockstep_template import remotes, urls
from project import STAGES, Project

# The glue is imported from the template's own folder, whose files are copied as they stand.
sys.dont_write_bytecode = True
# OpenMP's threads wait for each other by spinning: where several workers share the cores, a model
# of a few rows takes a hundred times as long with two threads as with one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A background job of a shell ignores SIGINT, and so would every command that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["stages"]

TEMPLATE = Path(__file__).resolve().parent.parent
TIERS = ("unit", "project", "server")
Scaffold = Callable[..., Project]
Made = TypeVar("Made")


class Once(Protocol):
    """Makes something once for all workers of pytest-xdist."""

    def __call__(self, name: str, build: Callable[[Path], Made]) -> Made:
        """What `build` makes in a folder, by whichever worker asks first; it is pickled."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the golden pages and of the nightly tests."""
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden/")
    parser.addoption(
        "--accidents", type=int, default=30, help="how many tests/test_accidents.py has"
    )
    parser.addoption("--accident-seed", type=int, default=0, help="which ones, and when")
    parser.addoption("--frameworks", action="store_true", help="run tests/test_frameworks.py, too")
    parser.addoption("--accidents-of", default="", help="kinds of commands, with commas in between")
    parser.addoption("--swaps", type=int, default=6, help="how many tests/test_serve_load.py has")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the tests of frameworks that take minutes to install: `make nightly` has them."""
    heavy = collection_path.name == "test_frameworks.py"
    return True if heavy and not config.getoption("frameworks") else None


def pytest_configure(config: pytest.Config) -> None:
    """Let MLflow find what the glue adds to it; the glue is not installed here."""
    site = tempfile.TemporaryDirectory()
    config.add_cleanup(site.cleanup)
    tiny.install(Path(site.name))


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are cores: tests often wait for servers and locks."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its tier, and put the tests in the order that takes the least time.

    Tests that make their own environment come first; they run while one worker makes the
    environment that the others share. Unit tests come last, to fill the gaps at the end. In
    between, the order is arbitrary but fixed, so that tests that wait run beside tests that
    compute.
    """
    for item in items:
        if not any(item.get_closest_marker(tier) for tier in TIERS):
            item.add_marker(_tier(item))
    unit = [item for item in items if item.get_closest_marker("unit")]
    shared = [item for item in items if item not in set(unit) and _shares_environment(item)]
    shared.sort(key=lambda item: zlib.crc32(item.nodeid.encode()))
    alone = [item for item in items if item not in {*unit, *shared}]
    items[:] = [*shared[:1], *alone, *shared[1:], *unit]


def _shares_environment(item: pytest.Item) -> bool:
    return "first_project" in getattr(item, "fixturenames", ())


def _tier(item: pytest.Item) -> str:
    """The tier of a test without a mark, which its fixtures show."""
    if "servers" in getattr(item, "fixturenames", ()):
        return "server"
    if _shares_environment(item):
        return "project"
    return "unit"


@pytest.fixture(autouse=True)
def isolated(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep what a test leaves in this process from the next, and spare it other processes."""
    if _tier(request.node) != "unit":
        yield
        return
    if "two_processes" not in request.fixturenames:
        for module in ("mlflow.package", "gate.comparison"):
            monkeypatch.setattr(f"lockstep.{module}.process_beside", tiny.in_this_process)
    with mock.patch.dict(os.environ):
        for name in [name for name in os.environ if name.startswith(("DVC_", "MLFLOW_"))]:
            del os.environ[name]
        yield
    for library in ("dvc", "dvc_data", "dvc_objects"):  # they print to the streams of this test
        logging.getLogger(library).handlers.clear()


@pytest.fixture
def two_processes() -> None:
    """For a unit test of what other processes do, which users have and most tests do without."""


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Once:
    """Make something once for all workers of pytest-xdist: the first to ask for it does.

    https://pytest-xdist.readthedocs.io/en/stable/how-to.html#making-session-scoped-fixtures-execute-only-once
    """
    base = tmp_path_factory.getbasetemp()
    base = base if worker_id == "master" else base.parent

    def made(name: str, build: Callable[[Path], Made]) -> Made:
        kept = base / f"{name}.pickle"
        with FileLock(f"{kept}.lock"):
            if not kept.exists():
                folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=base))
                kept.write_bytes(pickle.dumps(build(folder)))
        result: Made = pickle.loads(kept.read_bytes())  # noqa: S301
        return result

    return made


@pytest.fixture(scope="session")
def clean_env(once: Once) -> dict[str, str]:
    """The environment of a user whose git knows who they are, on a machine without other settings.

    All workers share its caches.
    """
    home = once("home", _make_home)
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
        "MYPY_CACHE_DIR": str(home / "mypy"),  # what it learned of a library holds for all projects
        "UV_PYTHON": sys.executable,
        "UV_PYTHON_DOWNLOADS": "never",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


def _make_home(folder: Path) -> Path:
    """Write the settings of a user; returns the folder."""
    (folder / "gitconfig").write_text(
        "[user]\n\tname = Ada Lovelace\n\temail = ada@example.org\n"
        '[init]\n\tdefaultBranch = main\n[protocol "file"]\n\tallow = always\n'
        # These only take time.
        "[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[core]\n\tfsync = none\n"
    )
    (folder / "cookiecutter.yaml").write_text(
        f"cookiecutters_dir: {folder / 'cookiecutters'}\nreplay_dir: {folder / 'replay'}\n"
    )
    return folder


@pytest.fixture(scope="session")
def empty_store(once: Once) -> Path:
    """The file of an empty MLflow store, to be copied: its migrations take seconds."""
    return once("store", lambda folder: tiny.migrated(folder / "mlflow.db"))


@pytest.fixture(scope="session")
def tiny_once(clean_env: dict[str, str], empty_store: Path, once: Once) -> Tiny:
    """A tiny project, made once; tests copy it."""

    def build(folder: Path) -> Tiny:
        made = tiny.build(folder, clean_env)
        shutil.copy(empty_store, made.path)
        return made

    return once("tiny", build)


@pytest.fixture(scope="session")
def tiny_published_once(tiny_once: Tiny, once: Once) -> Tiny:
    """The same with one run; tests copy it."""

    def build(folder: Path) -> Tiny:
        made = tiny_once.copy(folder)
        made.lockstep("publish")
        return made

    return once("tiny-published", build)


@pytest.fixture(scope="session")
def tiny_rivals_once(tiny_published_once: Tiny, once: Once) -> Tiny:
    """The same with a champion and a newer version, which is worse; tests copy it."""

    def build(folder: Path) -> Tiny:
        made = tiny_published_once.copy(folder)
        made.lockstep("promote")
        made.edit("conf/config.yaml", "model: linear", "model: dummy")
        made.repro()
        made.commit("a dummy")
        made.lockstep("publish")
        return made

    return once("tiny-rivals", build)


@pytest.fixture(scope="session")
def watched_once(tiny_once: Tiny, once: Once) -> Tiny:
    """The same with a champion and enough rows to judge new ones; tests copy it."""

    def build(folder: Path) -> Tiny:
        made = tiny_once.copy(folder)
        windows.watch(made)
        return made

    return once("tiny-watched", build)


@pytest.fixture
def tiny_project(tiny_once: Tiny, tmp_path: Path) -> Tiny:
    """A tiny project whose results are committed, and an empty MLflow store."""
    return tiny_once.copy(tmp_path)


@pytest.fixture
def tiny_published(tiny_published_once: Tiny, tmp_path: Path) -> Tiny:
    """A tiny project with one run and one version of its model in MLflow."""
    return tiny_published_once.copy(tmp_path)


@pytest.fixture
def tiny_rivals(tiny_rivals_once: Tiny, tmp_path: Path) -> Tiny:
    """A tiny project with two versions: the first is champion, the second one fails its gate."""
    return tiny_rivals_once.copy(tmp_path)


@pytest.fixture
def watched(watched_once: Tiny, tmp_path: Path) -> Tiny:
    """A tiny project with a champion and enough rows to judge new ones."""
    return watched_once.copy(tmp_path)


@pytest.fixture
def page(request: pytest.FixtureRequest) -> Callable[[str], Page]:
    """Makes a page to be compared with the one of that name in tests/golden/."""
    update = bool(request.config.getoption("--update-golden"))
    return lambda name: Page(name, update=update)


@pytest.fixture(scope="session")
def first_project(clean_env: dict[str, str], once: Once) -> Project:
    """A project with all defaults and its own environment; tests do not change it."""
    return once("first", lambda folder: make(clean_env, folder, {}, None))


@pytest.fixture
def scaffold(clean_env: dict[str, str], first_project: Project, tmp_path: Path) -> Scaffold:
    """Make a project in the first one's environment; `lockstep` imports the project's code."""

    def made(folder: Path | None = None, **answers: str) -> Project:
        return make(clean_env, folder or tmp_path, answers, first_project.bin)

    return made


@pytest.fixture
def project(scaffold: Scaffold) -> Project:
    """A project with the defaults."""
    return scaffold()


@pytest.fixture(scope="session")
def computed(clean_env: dict[str, str], first_project: Project, once: Once) -> Project:
    """A project whose pipeline has run, except for the stage `publish`; tests copy it."""

    def build(folder: Path) -> Project:
        project = make(clean_env, folder, {}, first_project.bin)
        assert project.repro("evaluate") == STAGES[:-1]
        return project

    return once("computed", build)


@pytest.fixture
def unpublished(computed: Project, tmp_path: Path) -> Project:
    """A project with the defaults whose pipeline has run, except for `publish`; not committed."""
    return computed.copy(tmp_path)


@pytest.fixture(scope="session")
def first_result(computed: Project, once: Once) -> Project:
    """A project whose pipeline has run once; its results are committed; tests copy it."""

    def build(folder: Path) -> Project:
        project = computed.copy(folder)
        # Git's hooks run `uv run`, here in the environment that all share.
        project.env["UV_PROJECT_ENVIRONMENT"] = str(project.bin.parent)
        assert project.repro() == ["publish"]
        project.commit("first result")
        return project

    return once("result", build)


@pytest.fixture
def published(first_result: Project, tmp_path: Path) -> Project:
    """A project with the defaults and a first, committed result."""
    return first_result.copy(tmp_path)


@pytest.fixture(scope="session")
def equipped(clean_env: dict[str, str], first_project: Project, once: Once) -> Project:
    """A project whose environment has the drivers of all servers and the engines of sweeps."""

    def build(folder: Path) -> Project:
        # With the lock of the first project: a new one could differ after a package's release.
        project = make(clean_env, folder, {}, first_project.bin)
        binaries = project.path / ".venv" / first_project.bin.name
        project = replace(project, env=clean_env, bin=binaries)
        extras = [word for name in ("ray", "slurm", "notify") for word in ("--extra", name)]
        project.run("uv", "sync", "--quiet", "--locked", *extras)
        drivers = ",".join(sorted({kind.extra for kind in remotes.REMOTES.values()} - {""}))
        wanted = [f"dvc[{drivers}]", "boto3", urls.DRIVERS["postgresql"], "mlflow[auth]"]
        wanted.append("xgboost-cpu")  # the package xgboost without CUDA
        python = str(binaries / "python")
        project.run("uv", "pip", "install", "--quiet", "--python", python, *wanted)
        return project

    return once("equipped", build)


@pytest.fixture(scope="session")
def finished(first_result: Project, equipped: Project) -> Project:
    """The first result, in the environment with the drivers of all remotes."""
    env = {**equipped.env, "UV_PROJECT_ENVIRONMENT": str(equipped.bin.parent)}
    return replace(first_result, bin=equipped.bin, env=env)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """The servers of a test; they are stopped after it."""
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
    """A colleague's project with a first result, committed but not pushed."""
    project = first_result.copy(tmp_path, "ada")
    project.git("remote", "add", "origin", str(origin))
    project.run("dvc", "remote", "modify", "storage", "url", str(storage))
    project.commit("remotes")
    return project


def make(
    env: dict[str, str],
    folder: Path,
    answers: dict[str, str],
    shared: Path | None,
    template: Path = TEMPLATE,
) -> Project:
    """Scaffold a project in a folder, with a shared environment or with its own."""
    if shared:
        answers = {"create_environment": "false", **answers}
        env = {**env, "PATH": f"{shared}{os.pathsep}{env['PATH']}"}
    before = set(folder.iterdir())
    done = subprocess.run(
        [sys.executable, "-m", "cookiecutter", str(template), "--no-input", "-o", str(folder)]
        + [f"{key}={value}" for key, value in with_penguins(answers).items()],
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
        # Which `uv sync` writes where the project has its own environment.
        shutil.copy(shared.parent.parent / "uv.lock", made[0])
    return Project(made[0], env, binaries, done.stdout)
