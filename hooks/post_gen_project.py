"""Sets the new project up: git, the environment, DVC with the raw data, the remotes, a commit.

A step that cannot be done never stops the others, nor the generation: the table at the end says
what is left, with the commands that finish it. Every step may run again over its own result.
"""

import json
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

SETUP: dict[str, Any] = json.loads(r"""{{ cookiecutter | setup | tojson }}""")
sys.path.append(SETUP["template"])
from lockstep_template import reach  # noqa: E402
from lockstep_template.steps import (  # noqa: E402
    ENVIRONMENT,
    ROOT,
    WAITS,
    FailedError,
    Result,
    SkippedError,
    Step,
    ask,
    attempt,
    report,
    run,
    shown,
)

RAW: str = SETUP["raw"]
POINTER = f"{RAW}.dvc"
PYTHONS = ((3, 11), (3, 14))  # from this one, up to but without that one
COMMIT = ("git", "commit", "--quiet", "-m", "Start from the Lockstep template")
THERE = "was there already"
BIN = (
    ROOT
    / os.environ.get("UV_PROJECT_ENVIRONMENT", ".venv")
    / ("Scripts" if os.name == "nt" else "bin")
)


def git_repository() -> str:
    """Make the folder a repository, also inside another one."""
    if not shutil.which("git"):
        raise FailedError("git is not installed")
    if (ROOT / ".git").exists():
        return THERE
    outer = ask("git", "rev-parse", "--show-toplevel")
    run("git", "init", "--quiet")
    run("git", "symbolic-ref", "HEAD", "refs/heads/main")  # before git 2.28, init cannot do it
    return f"branch main, of its own inside the repository {outer}" if outer else "branch main"


def environment() -> str:
    """Install what pyproject.toml asks for, and lock it: the pipeline depends on uv.lock."""
    if not SETUP["create_environment"]:
        raise SkippedError("as answered")
    if shutil.which("lockstep", path=str(BIN)) and (ROOT / "uv.lock").exists():
        return THERE
    print("    this takes a minute or two where packages have to be downloaded")
    if not shutil.which("uv"):
        if not PYTHONS[0] <= sys.version_info < PYTHONS[1]:
            raise FailedError("without uv it takes a Python from 3.11 to 3.13 to run cookiecutter")
        run(sys.executable, "-m", "venv", str(BIN.parent))
        run(str(BIN / "python"), "-m", "pip", "install", "--quiet", "uv")
    run(uv(), "sync")
    return ""


def dvc_works() -> str:
    """See that DVC runs; .dvc/config, rendered with the files, is all of its `dvc init`."""
    return run(*dvc(), "--version")


def copy_raw() -> str:
    """Copy the table to its place, whether or not DVC can track it yet."""
    source, target = Path(SETUP["source"]), ROOT / RAW
    if target.exists():
        return THERE
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(source, target)
    return RAW


def add_raw() -> str:
    """Put the table under DVC."""
    if (ROOT / POINTER).exists():
        return THERE
    run(*dvc(), "add", "--quiet", RAW)
    return POINTER


def import_raw() -> str:
    """Download the table and put it under DVC, with where it came from."""
    if (ROOT / POINTER).exists():
        return THERE
    (ROOT / RAW).parent.mkdir(exist_ok=True)
    run(*dvc(), "import-url", "--quiet", SETUP["source"], RAW)
    return POINTER


def dvc_remote() -> str:
    """Make the folder of a local remote; see whether one of another kind answers."""
    if SETUP["dvc_remote"] == "none":
        raise SkippedError("none chosen")
    if SETUP["dvc_remote"] == "local":
        storage().mkdir(parents=True, exist_ok=True)
        return str(storage())
    command = [*dvc(), "status", "--cloud", RAW]
    reach.dvc(command, SETUP["dvc_remote_address"], ROOT, ENVIRONMENT)
    return f"{SETUP['dvc_remote_url']} answers"


def git_remote() -> str:
    """Name git's remote, and see whether it answers."""
    if not SETUP["git_remote_url"]:
        raise SkippedError("none given")
    if there := ask("git", "remote", "get-url", "origin"):
        return f"{THERE}: {there}"
    run("git", "remote", "add", "origin", SETUP["git_remote_url"])
    reach.git(ROOT, ENVIRONMENT)
    return f"{SETUP['git_remote_url']} answers; nothing is pushed yet"


def mlflow() -> str:
    """See whether MLflow's server answers; conf/tracking/ has its address."""
    uri = SETUP["mlflow_tracking_uri"]
    if not uri:
        return "mlflow.db in the project, made by the first run"
    if uri.startswith("sqlite"):
        return uri
    if uri.startswith("databricks"):
        raise SkippedError("Databricks answers its users only")
    return reach.mlflow(uri)


def first_commit() -> str:
    """Commit all that is there, unless there are commits already."""
    if ask("git", "rev-parse", "--quiet", "--verify", "HEAD"):
        return f"{THERE}; nothing is committed on top"
    run("git", "add", "--all")
    run(*COMMIT)
    return ask("git", "log", "-1", "--format=%h %s") or ""


def uv() -> str:
    """The uv on the path, else the environment's."""
    return "uv" if shutil.which("uv") else str(BIN / "uv")


def dvc() -> tuple[str, ...]:
    """The environment's DVC, else the one on the path."""
    found = shutil.which("dvc", path=str(BIN)) or shutil.which("dvc")
    if not found:
        raise SkippedError("DVC comes with the environment")
    return (found,)


def storage() -> Path:
    """The folder of a local DVC remote."""
    return (ROOT / Path(SETUP["dvc_remote_url"]).expanduser()).resolve()


def uv_run(*argv: str) -> str:
    """A command of the environment, as a person types it."""
    return shown((uv(), "run", *argv))


def build_environment() -> list[str]:
    """The commands that make the environment."""
    if shutil.which("uv"):
        return ["uv sync"]
    python = (str(BIN / "python"), "-m", "pip", "install", "uv")
    return [
        shown(("python3", "-m", "venv", str(BIN.parent))),
        shown(python),
        shown((uv(), "sync")),
    ]


def introduce_committer() -> list[str]:
    """The commands that tell git who commits, where it does not know."""
    if ask("git", "var", "GIT_COMMITTER_IDENT"):
        return []
    name = SETUP["author_name"] or "Your Name"
    email = SETUP["author_email"] or "you@example.org"
    return [
        shown(("git", "config", "--global", "user.name", name)),
        shown(("git", "config", "--global", "user.email", email)),
    ]


def connect_storage() -> list[str]:
    """The commands that give DVC its remote."""
    if SETUP["dvc_remote"] == "none":
        return [uv_run("dvc", "remote", "add", "--default", "storage", "URL")]
    if SETUP["dvc_remote"] == "local":
        return [shown(("mkdir", str(storage())))]
    return [uv_run("dvc", "status", "--cloud", RAW)]


def connect_git() -> list[str]:
    """The commands that give git its remote, or ask it again."""
    if ask("git", "remote", "get-url", "origin"):
        return ["git ls-remote origin"]
    return [shown(("git", "remote", "add", "origin", SETUP["git_remote_url"] or "URL"))]


def ask_mlflow() -> list[str]:
    """The command that asks MLflow's server, or opens its database."""
    uri = SETUP["mlflow_tracking_uri"]
    if uri.startswith("http"):
        return [shown(("curl", "--fail", f"{uri.rstrip('/')}/health"))]
    opened = f"import mlflow; mlflow.MlflowClient({uri!r}).search_experiments()"
    return [uv_run("python", "-c", opened)]


def data_steps() -> list[Step]:
    """A URL is imported, so that `dvc update` fetches what is new; a file is copied and added."""
    tracked = ("git repository", "DVC")
    if SETUP["source_is_url"]:
        again = [uv_run("dvc", "import-url", SETUP["source"], RAW)]
        return [Step("raw data", import_raw, lambda: again, tracked)]
    return [
        Step("raw data", copy_raw, lambda: [shown(("cp", SETUP["source"], RAW))]),
        Step("data in DVC", add_raw, lambda: [uv_run("dvc", "add", RAW)], (*tracked, "raw data")),
    ]


def all_steps() -> list[Step]:
    """What is set up, in order."""
    git = ("git repository",)
    data = data_steps()
    local = SETUP["dvc_remote"] in ("local", "none")
    return [
        Step("git repository", git_repository, lambda: ["git init", "git checkout -b main"]),
        Step("environment", environment, build_environment),
        Step("DVC", dvc_works, lambda: [uv_run("dvc", "version")], git),
        *data,
        Step(
            "DVC remote",
            dvc_remote,
            connect_storage,
            () if local else (data[-1].name,),
            SETUP["dvc_credentials"],
        ),
        Step("MLflow", mlflow, ask_mlflow, (), SETUP["mlflow_credentials"]),
        Step("git remote", git_remote, connect_git, git, SETUP["git_credentials"]),
        Step(
            "first commit",
            first_commit,
            lambda: [*introduce_committer(), "git add --all", shown(COMMIT)],
            git,
        ),
    ]


def main() -> None:
    """Set up what is not there yet, step by step."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    for folder in (".github/workflows", ".github"):  # empty where CI runs elsewhere
        with suppress(OSError):
            (ROOT / folder).rmdir()
    if SETUP["only_files"]:
        return
    results: list[Result] = []
    for step in all_steps():
        done = {result.step.name for result in results if result.state == "done"}
        results.append(attempt(step, done))
    report(results)
    if any(result.state == "failed" or result.remark.startswith(WAITS) for result in results):
        print("\nThe commands above finish what is left, in their order; commit what they change.")
    print("\nNext:")
    print(f"  {shown(('cd', os.path.relpath(ROOT, os.environ.get('PWD', ROOT.parent))))}")
    print(f"  {uv_run('dvc', 'repro')}")
    print(f"  {uv_run('mlflow', 'ui')}")
    if SETUP["by_cruft"]:
        print("\nCruft notes the template's version in .cruft.json: commit that file, too.")


if __name__ == "__main__":
    main()
