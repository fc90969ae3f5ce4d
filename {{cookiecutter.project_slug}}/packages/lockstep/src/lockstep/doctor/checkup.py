"""Checks and their findings: the machinery of `lockstep doctor`."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lockstep import LockstepError
from lockstep.mlflow.store import Store

# The cure where nothing better is known: to try once more.
AGAIN = ["uv run lockstep doctor"]
State = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        text: In one line.
        cure: The commands that mend it.
    """

    state: State
    text: str
    cure: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Project:
    """What checks look at: the project's folder, and where its runs are kept."""

    root: Path
    store: Store


@dataclass(frozen=True)
class Check:
    """One thing to look at.

    Attributes:
        name: As the table shows it.
        look: Returns what it found. What it raises is a failure: a LockstepError's first line says
            why, the others are the cure.
        needs: The check without whose success there is no point in looking.
        seconds: How long it may take.
    """

    name: str
    look: Callable[[Project], Finding]
    needs: str = ""
    seconds: float = 60


def run_checks(checks: Sequence[Check], project: Project) -> Iterator[tuple[Check, Finding]]:
    """Look at everything at once, as most of the time is spent waiting.

    Args:
        checks: Each behind the one that it needs.
        project: What to look at.

    Yields:
        Each check with its finding, in order.
    """
    running: dict[str, _Running] = {}
    for check in checks:
        running[check.name] = _Running(check, project, running.get(check.needs))
    for check in checks:
        yield check, running[check.name].finding()


class _Running:
    """A check at work in a thread that dies with the process, so that none can hold it up."""

    def __init__(self, check: Check, project: Project, needed: "_Running | None") -> None:
        self._check = check
        self._needed = needed
        self._future: Future[Finding] = Future()
        self._started = time.monotonic()
        threading.Thread(target=self._look, args=(project,), daemon=True).start()

    def finding(self) -> Finding:
        """The finding, once it is there or the time is over."""
        if self._needed:
            self._needed.finding()
        left = self._started + self._check.seconds - time.monotonic()
        try:
            return self._future.result(max(0, left))
        except TimeoutError:
            return Finding("failed", f"no answer within {self._check.seconds:g} s", AGAIN)

    def _look(self, project: Project) -> None:
        if self._needed:
            if self._needed.finding().state in ("failed", "skipped"):
                self._future.set_result(Finding("skipped", f"waits for: {self._check.needs}"))
                return
            self._started = time.monotonic()
        try:
            finding = self._check.look(project)
        except LockstepError as error:
            text, *cure = str(error).splitlines()
            finding = Finding("failed", text, cure or AGAIN)
        except Exception as error:  # a check that breaks must not hide what the others found
            text = f"{type(error).__name__}: {error}".splitlines()[0]
            finding = Finding("failed", text, AGAIN)
        self._future.set_result(finding)
