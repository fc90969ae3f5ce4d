"""Sets the new project up: git, the environment, DVC with the raw data, a commit, the remotes.

A step that fails never stops the others, nor the generation: the table at the end shows what is
left, with the commands that finish it. Every step can be repeated.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

SETUP: dict[str, Any] = json.loads(r"""{{ cookiecutter | setup | tojson }}""")
sys.path.append(SETUP["template"])
from lockstep_template.folders import files_of, join  # noqa: E402
from lockstep_template.steps import (  # noqa: E402
    ROOT,
    WAITS,
    FailedError,
    Result,
    SkippedError,
    Step,
    UnreachableError,
    ask,
    ask_doctor,
    attempt,
    in_shell,
    report,
    run,
)

RAW: str = SETUP["raw"]
POINTER = f"{RAW}.dvc"
PYTHONS = ((3, 11), (3, 14))  # from the first one, up to but not including the second
COMMIT = ("git", "commit", "--quiet", "-m", "Start from the Lockstep template")
EXISTS = "already exists"
FIRST_STEPS = ("environment", "raw data", "data in DVC")  # "Next" repeats what they left
BIN = (
    ROOT
    / os.environ.get("UV_PROJECT_ENVIRONMENT", ".venv")
    / ("Scripts" if os.name == "nt" else "bin")
)
MLFLOW_URI: str = SETUP["mlflow_tracking_uri"]
REMOTES = {
    "git remote": bool(SETUP["git_remote_url"]),
    "DVC remote": SETUP["dvc_remote"] not in ("local", "none"),
    "MLflow": bool(MLFLOW_URI) and not MLFLOW_URI.startswith("sqlite"),
}


def git_repository() -> str:
    """Make the folder a repository, even inside another one."""
    if not shutil.which("git"):
        raise FailedError("git is not installed")
    if (ROOT / ".git").exists():
        return EXISTS
    outer = ask("git", "rev-parse", "--show-toplevel")
    run("git", "init", "--quiet")
    run("git", "symbolic-ref", "HEAD", "refs/heads/main")  # before git 2.28, init cannot do it
    return f"branch main, a separate repository inside {outer}" if outer else "branch main"


def environment() -> str:
    """Install what pyproject.toml requires, and lock it: the pipeline depends on uv.lock."""
    if not SETUP["create_environment"]:
        raise SkippedError("as answered")
    if shutil.which("lockstep", path=str(BIN)) and (ROOT / "uv.lock").exists():
        return EXISTS
    print("    this takes a minute or two where packages have to be downloaded")
    if not shutil.which("uv"):
        if not PYTHONS[0] <= sys.version_info < PYTHONS[1]:
            raise FailedError("without uv, cookiecutter has to run on Python 3.11 to 3.13")
        run(sys.executable, "-m", "venv", str(BIN.parent))
        run(str(BIN / "python"), "-m", "pip", "install", "--quiet", "uv")
    run(uv(), "sync")
    return ""


def dvc_works() -> str:
    """Check that DVC runs; .dvc/config, rendered with the files, is all that `dvc init` does."""
    return run(dvc(), "--version")


def copy_raw() -> str:
    """Copy the table or its partitions to their place, whether or not DVC can track them yet."""
    source, target = SETUP["source"], ROOT / RAW
    if target.exists():
        return EXISTS
    target.parent.mkdir(exist_ok=True)
    if not SETUP["partitions"]:
        if Path(source).is_dir():  # a sample
            join(files_of(source).values(), target)
        else:
            shutil.copyfile(source, target)
        return RAW
    files = files_of(source)
    for name, path in files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / name)
    return f"{RAW}: {len(files)} files"


def add_raw() -> str:
    """Put the table under DVC."""
    if (ROOT / POINTER).exists():
        return EXISTS
    run(dvc(), "add", "--quiet", RAW)
    return POINTER


def import_raw() -> str:
    """Download the table and put it under DVC, with its URL."""
    if (ROOT / POINTER).exists():
        return EXISTS
    (ROOT / RAW).parent.mkdir(exist_ok=True)
    run(dvc(), "import-url", "--quiet", SETUP["source"], RAW)
    return POINTER


def first_commit() -> str:
    """Commit everything, unless there are commits already."""
    if ask("git", "rev-parse", "--quiet", "--verify", "HEAD"):
        return f"{EXISTS}; nothing was committed on top"
    run("git", "add", "--all")
    run(*COMMIT)
    return ask("git", "log", "-1", "--format=%h %s") or ""


def git_remote() -> str:
    """Add git's remote, and ask it."""
    if not REMOTES["git remote"]:
        raise SkippedError("no URL given")
    if ask("git", "remote", "get-url", "origin"):
        return f"{EXISTS}: origin"
    run("git", "remote", "add", "origin", SETUP["git_remote_url"])
    return f"{answer_of('git remote')}; nothing is pushed yet"


def dvc_remote() -> str:
    """Make the folder of a local remote; ask one of another kind."""
    if SETUP["dvc_remote"] == "none":
        raise SkippedError("as answered")
    if SETUP["dvc_remote"] == "local":
        storage().mkdir(parents=True, exist_ok=True)
        return str(storage())
    return answer_of("DVC remote")


def mlflow() -> str:
    """Ask MLflow's server; conf/tracking/ has its address."""
    if not REMOTES["MLflow"]:
        return MLFLOW_URI or "mlflow.db in the project; the first run creates it"
    return answer_of("MLflow")


def answer_of(remote: str) -> str:
    """What `lockstep doctor` reports of a remote; it asks all of them at once."""
    program = shutil.which("lockstep", path=str(BIN)) or shutil.which("lockstep")
    if not program:
        raise SkippedError("not asked: Lockstep comes with the environment")
    finding = ask_doctor(program, ",".join(name for name in REMOTES if REMOTES[name]))[remote]
    if finding["state"] != "ok":
        raise UnreachableError(finding["text"])
    return str(finding["text"])


def uv() -> str:
    """The uv on the path, else the environment's."""
    return "uv" if shutil.which("uv") else str(BIN / "uv")


def dvc() -> str:
    """The environment's DVC, else the one on the path."""
    program = shutil.which("dvc", path=str(BIN)) or shutil.which("dvc")
    if not program:
        raise SkippedError("DVC comes with the environment")
    return program


def storage() -> Path:
    """The folder of a local DVC remote."""
    return (ROOT / Path(SETUP["dvc_remote_url"]).expanduser()).resolve()


def uv_run(*argv: str) -> str:
    """A command of the environment, as a person types it."""
    return in_shell((uv(), "run", *argv))


def fix_environment() -> list[str]:
    """The commands that create the environment."""
    if shutil.which("uv"):
        return ["uv sync"]
    python = (str(BIN / "python"), "-m", "pip", "install", "uv")
    venv = ("python3", "-m", "venv", str(BIN.parent))
    return [in_shell(venv), in_shell(python), in_shell((uv(), "sync"))]


def fix_commit() -> list[str]:
    """The commands that commit, after those that introduce the committer to git if need be."""
    commands = ["git add --all", in_shell(COMMIT)]
    if ask("git", "var", "GIT_COMMITTER_IDENT"):
        return commands
    name = SETUP["author_name"] or "Your Name"
    email = SETUP["author_email"] or "you@example.org"
    return [
        in_shell(("git", "config", "--global", "user.name", name)),
        in_shell(("git", "config", "--global", "user.email", email)),
        *commands,
    ]


def fix_storage() -> list[str]:
    """The command that adds DVC's remote, or makes its folder, or asks it again."""
    if SETUP["dvc_remote"] == "none":
        return [uv_run("dvc", "remote", "add", "--default", "storage", "URL")]
    if SETUP["dvc_remote"] == "local":
        return [in_shell(("mkdir", str(storage())))]
    return fix_connection()


def fix_git_remote() -> list[str]:
    """The command that adds git's remote, or asks it again."""
    if ask("git", "remote", "get-url", "origin"):
        return fix_connection()
    return [in_shell(("git", "remote", "add", "origin", SETUP["git_remote_url"] or "URL"))]


def fix_connection() -> list[str]:
    """The command that asks the remotes again."""
    return [uv_run("lockstep", "doctor")]


def fix_raw() -> list[str]:
    """The command that copies the raw data."""
    if not SETUP["partitions"] and Path(SETUP["source"]).is_dir():  # a sample
        rows = in_shell(("awk", "NR == 1 || FNR > 1", f"{SETUP['source']}/"))
        return [f"{rows}*.csv > {RAW}"]
    return [in_shell(("cp", *(["-r"] if SETUP["partitions"] else []), SETUP["source"], RAW))]


def data_steps() -> list[Step]:
    """A URL is imported, so that `dvc update` fetches new data; a file is copied and added."""
    tracked = ("git repository", "DVC")
    if SETUP["source_is_url"]:
        fetch = [uv_run("dvc", "import-url", SETUP["source"], RAW)]
        return [Step("raw data", import_raw, lambda: fetch, tracked)]
    return [
        Step("raw data", copy_raw, fix_raw),
        Step("data in DVC", add_raw, lambda: [uv_run("dvc", "add", RAW)], (*tracked, "raw data")),
    ]


def all_steps() -> list[Step]:
    """The steps, in order."""
    git = ("git repository",)

    def remote(name: str, act: Callable[[], str], fix: Callable[[], list[str]]) -> Step:
        needs = git if name == "git remote" else ()
        return Step(name, act, fix, needs, SETUP["credentials"][name])

    return [
        Step("git repository", git_repository, lambda: ["git init", "git checkout -b main"]),
        Step("environment", environment, fix_environment),
        Step("DVC", dvc_works, lambda: [uv_run("dvc", "version")], git),
        *data_steps(),
        Step("first commit", first_commit, fix_commit, git),
        remote("git remote", git_remote, fix_git_remote),  # first: it is added before it is asked
        remote("DVC remote", dvc_remote, fix_storage),
        remote("MLflow", mlflow, fix_connection),
    ]


def next_commands(results: list[Result]) -> list[str]:
    """From here to the first runs; first of all, what the set-up left of environment and data."""
    left = [result.step for result in results if result.state != "done"]
    return [
        in_shell(("cd", os.path.relpath(ROOT, os.environ.get("PWD", ROOT.parent)))),
        *(command for step in left if step.name in FIRST_STEPS for command in step.fix()),
        uv_run("dvc", "repro"),
        "git add --all",
        in_shell(("git", "commit", "-m", "First result")),
        uv_run("lockstep", "runs"),
        uv_run("mlflow", "ui"),
    ]


def main() -> None:
    """Set up what does not exist yet, step by step."""
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
    if any(
        (result.state == "failed" or result.remark.startswith(WAITS))
        and result.step.name not in FIRST_STEPS
        for result in results
    ):
        print("\nRun the commands above, in order, to finish the set-up; then commit the changes.")
    print("\nNext:")
    for command in next_commands(results):
        print(f"  {command}")
    if SETUP["by_cruft"]:
        print("\nCruft records the template's version in .cruft.json: commit that file, too.")


if __name__ == "__main__":
    main()
