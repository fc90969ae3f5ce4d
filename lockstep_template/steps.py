"""The set-up of a new project as a list of steps: each is tried, none stops the others."""

import os
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lockstep_template.reach import UnreachableError

ROOT = Path.cwd()  # a hook starts in the project
WAITS = "waits for: "
SHOWN_LINES = 15

# A repository or environment that this very process was started from is not the project's.
FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "VIRTUAL_ENV")
ENVIRONMENT = {key: value for key, value in os.environ.items() if key not in FOREIGN} | {
    "GIT_TERMINAL_PROMPT": "0"
}


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
        credentials: Where those that it takes belong.
    """

    name: str
    run: Callable[[], str]
    fix: Callable[[], list[str]]
    needs: tuple[str, ...] = ()
    credentials: str = ""


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
    except UnreachableError as reason:
        return Result(step, "unreachable", str(reason))
    except (FailedError, OSError) as reason:
        return Result(step, "failed", str(reason))


def report(results: list[Result]) -> None:
    """Print how each step ended, where its credentials belong, and what finishes it."""
    width = max(len(result.step.name) for result in results)
    column = " " * (width + 2 + len("unreachable") + 4)
    print()
    for result in results:
        print(f"  {result.step.name:{width}}  {result.state:11}  {result.remark}".rstrip())
        if result.step.credentials:
            print(f"{column}credentials: {result.step.credentials}")
        if result.state != "done":
            for command in result.step.fix():
                print(f"{column}$ {command}")
