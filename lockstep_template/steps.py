"""The set-up of a new project as a list of steps: each is tried, none stops the others."""

import json
import os
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path.cwd()  # a hook starts in the project
WAITS = "waits for: "
OUTPUT_LINES = 15
REMOTES_SECONDS = 30  # `lockstep doctor` gives up on a remote after 15 at most; imports come first

# A repository or environment that this process was started from is not the project's.
FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "VIRTUAL_ENV")
ENVIRONMENT = {key: value for key, value in os.environ.items() if key not in FOREIGN} | {
    "GIT_TERMINAL_PROMPT": "0"
}


class FailedError(Exception):
    """A step failed; the text is the reason."""


class SkippedError(Exception):
    """A step was not wanted, or cannot be done yet; the text is the reason."""


class UnreachableError(Exception):
    """A remote did not answer as it should; the text is the reason."""


@dataclass(frozen=True)
class Step:
    """One thing to set up.

    Attributes:
        name: As the table shows it.
        act: Does it; returns a remark, or raises one of the errors above.
        fix: The commands that finish it by hand.
        needs: The steps without which there is no point in trying.
        credentials: Where its credentials belong.
    """

    name: str
    act: Callable[[], str]
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
    """Print a command and run it in the project; returns its output."""
    print(f"  $ {in_shell(argv)}", flush=True)
    try:
        return _call(*argv)
    except subprocess.CalledProcessError as error:
        lines = (error.stderr.strip() or error.stdout.strip()).splitlines()
        for line in lines[-OUTPUT_LINES:]:
            print(f"    {line}")
        only = lines[0].strip() if len(lines) == 1 else f"exit code {error.returncode}, see above"
        raise FailedError(only) from None
    except OSError as error:
        raise FailedError(f"{argv[0]}: {error.strerror}") from None


def ask(*argv: str) -> str | None:
    """The output of a command that changes nothing; None if it fails."""
    try:
        return _call(*argv)
    except (subprocess.CalledProcessError, OSError):
        return None


@cache
def ask_doctor(program: str, checks: str) -> dict[str, dict[str, Any]]:
    """What `lockstep doctor` finds; each remote is asked once.

    Args:
        program: The path of `lockstep`.
        checks: The names of the checks, joined by commas.

    Returns:
        The findings, by the name of the check.
    """
    argv = (program, "doctor", "--json", "--only", checks)
    print(f"  $ {in_shell(argv)}", flush=True)
    output = ""
    try:
        done = _process(argv, timeout=REMOTES_SECONDS)
        output = done.stderr.strip()
        # The exit code is 1 where a remote does not answer.
        return {finding["name"]: finding for finding in json.loads(done.stdout)["checks"]}
    except subprocess.TimeoutExpired:
        reason = f"no answer within {REMOTES_SECONDS} seconds"
    except (ValueError, OSError) as error:
        reason = f"lockstep doctor: {(output or str(error)).splitlines()[-1]}"
    return {name: {"state": "failed", "text": reason} for name in checks.split(",")}


def _call(*argv: str) -> str:
    done = _process(argv)
    done.check_returncode()
    return done.stdout.strip()


def _process(
    argv: tuple[str, ...], timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,  # nobody is there to answer
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=timeout,
    )


def in_shell(argv: tuple[str, ...]) -> str:
    """A command as a person types it in the project."""
    words = [word.removeprefix(f"{ROOT}{os.sep}") for word in argv]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def attempt(step: Step, done: set[str]) -> Result:
    """Take a step, if those that it needs are done."""
    missing = [name for name in step.needs if name not in done]
    if missing:
        return Result(step, "skipped", f"{WAITS}{missing[0]}")
    print(step.name, flush=True)
    try:
        return Result(step, "done", step.act())
    except SkippedError as reason:
        return Result(step, "skipped", str(reason))
    except UnreachableError as reason:
        return Result(step, "unreachable", str(reason))
    except (FailedError, OSError) as reason:
        return Result(step, "failed", str(reason))


def report(results: list[Result]) -> None:
    """Print how each step ended, where its credentials belong, and what finishes it."""
    width = max(len(result.step.name) for result in results)
    indent = " " * (width + 2 + len("unreachable") + 4)
    print()
    for result in results:
        print(f"  {result.step.name:{width}}  {result.state:11}  {result.remark}".rstrip())
        if result.step.credentials:
            print(f"{indent}credentials: {result.step.credentials}")
        if result.state != "done":
            for command in result.step.fix():
                print(f"{indent}$ {command}")
