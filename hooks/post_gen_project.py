"""Sets the new project up: git, the environment, DVC with the raw data, the remotes, a commit.

A step that cannot be done never stops the others, nor the generation: the table at the end says
what is left, with the commands that finish it. Every step may run again over its own result.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SETUP: dict[str, Any] = json.loads(r"""{{ cookiecutter | setup | tojson }}""")
ROOT = Path.cwd()
RAW: str = SETUP["raw"]
POINTER = f"{RAW}.dvc"
PYTHONS = ((3, 11), (3, 14))  # from this one, up to but without that one
COMMIT = ("git", "commit", "--quiet", "-m", "Start from the Lockstep template")
THERE = "was there already"
WAITS = "waits for: "
SHOWN_LINES = 15

# A repository or environment that this very process was started from is not the project's.
FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "VIRTUAL_ENV")
ENVIRONMENT = {key: value for key, value in os.environ.items() if key not in FOREIGN} | {
    "GIT_TERMINAL_PROMPT": "0"
}
BIN = (
    ROOT
    / os.environ.get("UV_PROJECT_ENVIRONMENT", ".venv")
    / ("Scripts" if os.name == "nt" else "bin")
)


class FailedError(Exception):
    """A step could not be done."""


class SkippedError(Exception):
    """A step was not wanted, or has to wait."""


@dataclass(frozen=True)
class Step:
    """One thing to set up.

    Attributes:
        name: As the table shows it.
        run: Does it; returns a remark, or raises FailedError or SkippedError with the reason.
        fix: The commands that finish it by hand.
        needs: The names of the steps without which there is no point in trying.
    """

    name: str
    run: Callable[[], str]
    fix: Callable[[], list[str]]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """How a step ended."""

    step: Step
    state: str
    remark: str


def run(*argv: str) -> str:
    """Run a command in the project, shown; returns what it printed."""
    print(f"  $ {shown(argv)}", flush=True)
    try:
        return call(*argv)
    except subprocess.CalledProcessError as error:
        told = (error.stderr.strip() or error.stdout.strip()).splitlines()
        for line in told[-SHOWN_LINES:]:
            print(f"    {line}")
        alone = told[0].strip() if len(told) == 1 else f"exit code {error.returncode}, see above"
        raise FailedError(alone) from None
    except OSError as error:
        raise FailedError(f"{argv[0]}: {error.strerror}") from None


def ask(*argv: str) -> str | None:
    """What a command prints that only looks; None where the answer is no."""
    try:
        return call(*argv)
    except (subprocess.CalledProcessError, OSError):
        return None


def call(*argv: str) -> str:
    """Run a command in the project; nobody is there to answer what it might ask."""
    done = subprocess.run(
        argv,
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        encoding="utf-8",
        errors="replace",
    )
    return done.stdout.strip()


def shown(argv: tuple[str, ...]) -> str:
    """A command as a person types it, relative to the project."""
    inside = [word.removeprefix(f"{ROOT}{os.sep}") for word in argv]
    return subprocess.list2cmdline(inside) if os.name == "nt" else shlex.join(inside)


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
    """Make the folder of a local remote; the other kinds are configured and not yet reached."""
    if SETUP["dvc_remote"] == "none":
        raise SkippedError("none chosen")
    if SETUP["dvc_remote"] != "local":
        return f"credentials are taken from {SETUP['dvc_credentials']}"
    storage().mkdir(parents=True, exist_ok=True)
    return str(storage())


def git_remote() -> str:
    """Name git's remote."""
    if not SETUP["git_remote_url"]:
        raise SkippedError("none given")
    if there := ask("git", "remote", "get-url", "origin"):
        return f"{THERE}: {there}"
    run("git", "remote", "add", "origin", SETUP["git_remote_url"])
    return "nothing is pushed yet"


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
    return [shown(("mkdir", str(storage())))]


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
    origin = ("git", "remote", "add", "origin", SETUP["git_remote_url"] or "URL")
    git = ("git repository",)
    return [
        Step("git repository", git_repository, lambda: ["git init", "git checkout -b main"]),
        Step("environment", environment, build_environment),
        Step("DVC", dvc_works, lambda: [uv_run("dvc", "version")], git),
        *data_steps(),
        Step("DVC remote", dvc_remote, connect_storage),
        Step("git remote", git_remote, lambda: [shown(origin)], git),
        Step(
            "first commit",
            first_commit,
            lambda: [*introduce_committer(), "git add --all", shown(COMMIT)],
            git,
        ),
    ]


def attempt(step: Step, done: set[str]) -> Result:
    """Take a step, if those that it needs were taken."""
    missing = [name for name in step.needs if name not in done]
    if missing:
        return Result(step, "skipped", f"{WAITS}{missing[0]}")
    print(step.name, flush=True)
    try:
        return Result(step, "done", step.run())
    except SkippedError as reason:
        return Result(step, "skipped", str(reason))
    except (FailedError, OSError) as reason:
        return Result(step, "failed", str(reason))


def report(results: list[Result]) -> None:
    """Print how each step ended, what finishes it, and what comes next."""
    width = max(len(result.step.name) for result in results)
    print()
    for result in results:
        print(f"  {result.step.name:{width}}  {result.state:7}  {result.remark}".rstrip())
        if result.state != "done":
            for command in result.step.fix():
                print(f"  {'':{width}}           $ {command}")
    if any(result.state == "failed" or result.remark.startswith(WAITS) for result in results):
        print("\nThe commands above finish what is left, in their order; commit what they change.")
    print("\nNext:")
    print(f"  {shown(('cd', os.path.relpath(ROOT, os.environ.get('PWD', ROOT.parent))))}")
    print(f"  {uv_run('dvc', 'repro')}")
    print(f"  {uv_run('mlflow', 'ui')}")
    if SETUP["by_cruft"]:
        print("\nCruft notes the template's version in .cruft.json: commit that file, too.")


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


if __name__ == "__main__":
    main()
