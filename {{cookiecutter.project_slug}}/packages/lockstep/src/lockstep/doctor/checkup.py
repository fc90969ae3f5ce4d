"""Checks and their findings: the machinery of `lockstep doctor`."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Literal

from lockstep import LockstepError
from lockstep.project import Project
from lockstep.values import first_line

CHECK_AGAIN = "uv run lockstep doctor"
State = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True)
class Finding:
    """What a check found, in a line, and the commands that fix it."""

    state: State
    text: str
    cure: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Check:
    """One thing to look at.

    Attributes:
        look: An exception that it raises is a failure; the lines after the first of a
            LockstepError are the commands that fix it.
        needs: The check that has to succeed first.
        imports: The libraries that it uses. They are imported before the clock starts.
        seconds: How long it may take.
    """

    name: str
    look: Callable[[Project], Finding]
    needs: str = ""
    imports: tuple[str, ...] = ()
    seconds: float = 60


def problem(error: LockstepError, state: State = "failed") -> Finding:
    """The finding that an error stands for: its first line, and below it what fixes it."""
    text, *cure = str(error).splitlines()
    return Finding(state, text, cure or [CHECK_AGAIN])


def run_checks(checks: Sequence[Check], project: Project) -> Iterator[tuple[Check, Finding]]:
    """Run all checks at once, as most of the time is spent waiting.

    The thread of a check that timed out is left behind and would keep Python from ending: leave
    with `os._exit`.

    Args:
        checks: Each after the one that it needs. One that is not among them is not waited for.

    Yields:
        Each check with its finding, in order.
    """
    # A thread looks, and another one decides how long to wait for it.
    executor = ThreadPoolExecutor(2 * len(checks))
    findings: dict[str, Future[Finding]] = {}
    for check in checks:
        needed = findings.get(check.needs)
        findings[check.name] = executor.submit(_finding, executor, check, project, needed)
    for check in checks:
        yield check, findings[check.name].result()


def _finding(
    executor: ThreadPoolExecutor, check: Check, project: Project, needed: Future[Finding] | None
) -> Finding:
    if needed and needed.result().state in ("failed", "skipped"):
        return Finding("skipped", f"waits for: {check.needs}")
    look = executor.submit(check.look, project)
    if not wait([look], check.seconds).done:
        return Finding("failed", f"no answer within {check.seconds:g} s", [CHECK_AGAIN])
    try:
        return look.result()
    except LockstepError as error:
        return problem(error)
    except Exception as error:  # a check that breaks must not hide what the others found
        name = type(error).__name__
        text = first_line(error)
        return Finding("failed", text if text == name else f"{name}: {text}", [CHECK_AGAIN])
