"""The workers of a sweep: started, watched, replaced."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep import LockstepError
from lockstep.sweep.engines import Engine, Worker
from lockstep.sweep.plan import Plan
from lockstep.sweep.progress import Progress
from lockstep.sweep.runs import Family
from lockstep.sweep.study import (
    DRIVER,
    ERROR,
    LOST,
    WORKER,
    StorageAwayError,
    counting,
    storage_errors_explained,
)
from lockstep.sweep.worker import Job

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

POLL_SECONDS = 0.2
# So many trials that fail before one is complete are no accident, and so many times that a worker
# and the ones in its place are lost, without a trial of anybody's that ended in between.
FAILURES = 10
LOSSES = 3
# How long a storage may be away that was there.
PATIENCE_SECONDS = 60.0


class AtOnce(KeyboardInterrupt):
    """Ctrl-C was pressed twice: MLflow is not told any more; `--resume` shows what is missing."""


class TakenOverError(LockstepError):
    """Another driver goes on with the sweep."""


class Crew:
    """The workers of a sweep, whatever the engine."""

    def __init__(self, plan: Plan, study: "Study", engine: Engine, job: Job, folder: Path) -> None:
        """Start nothing yet.

        Args:
            plan: That of the sweep.
            study: Where its trials are.
            engine: Starts workers.
            job: What each of them is told, but for its name and threads.
            folder: For their logs.
        """
        self._plan = plan
        self._study = study
        self._engine = engine
        self._job = job
        self._folder = folder
        self._to_start: list[str] = []
        self._at_work: dict[str, Worker] = {}
        self._gone: dict[str, str] = {}  # the lost ones, and why
        self._losses: dict[str, tuple[int, int]] = {}  # how many in a row, and trials ended by then

    def work(self, family: Family) -> None:
        """Have enough workers at work until they have done it all.

        Args:
            family: Shows the trials in MLflow.

        Raises:
            LockstepError: They cannot do it.
        """
        trials = counting(self._study)
        left = max(0, self._plan.settings["n_trials"] - len(trials))
        size = min(self._engine.size(), left) if left else 0
        said = f"{self._plan.name}: {size} workers; trials and logs are in {self._folder}"
        print(said, flush=True)
        self._to_start = [f"worker-{number}" for number in range(size)]
        try:
            with Progress(self._plan, len(trials)) as progress, _steps_completed() as require_more:
                self._until_done(family, progress, require_more)
        finally:
            for worker in self._at_work.values():
                with contextlib.suppress(OSError, subprocess.SubprocessError):
                    worker.stop()
            with contextlib.suppress(LockstepError), storage_errors_explained():
                self._require_mine()
                lose(self._study)

    def _until_done(
        self, family: Family, progress: Progress, require_more: Callable[[], None]
    ) -> None:
        away = None
        while True:
            try:
                with storage_errors_explained():
                    if self._look_after(family, progress):
                        return
                away = None
            except StorageAwayError as error:
                if away is None:
                    away = time.monotonic()
                    progress.say(f"{error}; trying again for {PATIENCE_SECONDS:.0f} s")
                elif time.monotonic() - away > PATIENCE_SECONDS:
                    raise
            require_more()
            time.sleep(POLL_SECONDS)

    def _look_after(self, family: Family, progress: Progress) -> bool:
        """Start, show and replace once what there is to; whether all is done."""
        self._require_mine()
        while self._to_start:
            name = self._to_start.pop()
            job = dataclasses.replace(self._job, worker=name, threads=self._engine.threads)
            self._at_work[name] = self._engine.start(job, self._log(name))
        for name in [name for name, worker in self._at_work.items() if worker.ended()]:
            if reason := self._at_work.pop(name).failure():
                self._gone[name] = reason
        for name, reason in list(self._gone.items()):
            lose(self._study, self._job.driver, name)  # where that fails, the next time
            del self._gone[name]
            progress.say(f"{name} is lost: {reason}; another one takes its place")
            self._require_hope(name, reason)
            self._to_start.append(name)
        if not self._at_work and not self._to_start and lose(self._study):
            # A worker that was lost had begun a trial and not put its name to it yet.
            self._to_start = ["worker-0"]
        family.update()
        trials = counting(self._study)
        _require_success(trials)
        progress.show(trials, family.trouble)
        return self._is_done(trials) or not (self._at_work or self._to_start)

    def _is_done(self, trials: "list[FrozenTrial]") -> bool:
        """Whether no trial runs and none may begin; an engine may have workers in its queue."""
        ended = sum(trial.state.is_finished() for trial in trials)
        deadline = self._job.deadline
        late = deadline is not None and time.time() > deadline
        return ended == len(trials) and (late or ended >= self._plan.settings["n_trials"])

    def _require_mine(self) -> None:
        if self._study.user_attrs.get(DRIVER) != self._job.driver:
            raise TakenOverError(f"another process goes on with the sweep {self._plan.name}")

    def _require_hope(self, name: str, reason: str) -> None:
        """See that trials end, though a worker was lost."""
        ended = sum(trial.state.is_finished() for trial in counting(self._study))
        count, before = self._losses.get(name, (0, None))
        count = count + 1 if ended == before else 1
        self._losses[name] = count, ended
        if count < LOSSES:
            return
        log = self._log(name)
        said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        raise LockstepError(
            f"{name} was lost {count} times before a trial ended: {reason}"
            + (f"\nits last words, in {log}:\n" if said else "")
            + "\n".join(said.strip().splitlines()[-3:])
        )

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"


@contextlib.contextmanager
def _steps_completed() -> Iterator[Callable[[], None]]:
    """Let Ctrl-C wait for the end of a step, which takes seconds; a second one does not.

    It may leave half an import of MLflow's, or a transaction that holds the store.

    Yields:
        A function to be called between steps, that raises KeyboardInterrupt if there was one.
    """
    pressed = False

    def note(*_: object) -> None:
        nonlocal pressed
        if pressed:
            raise AtOnce
        pressed = True
        os.write(2, b"\nstopping; Ctrl-C once more stops at once\n")  # print cannot be called here

    def require_more() -> None:
        if pressed:
            raise KeyboardInterrupt

    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:  # else it is ignored, in the background of a shell
        signal.signal(signal.SIGINT, note)
    try:
        yield require_more
    finally:
        signal.signal(signal.SIGINT, usual)


def lose(study: "Study", *whose: str) -> list[int]:
    """Call running trials lost; they do not count.

    Args:
        study: That of the sweep.
        whose: A driver and the name of its worker; those of all, if nothing is given.

    Returns:
        Their numbers.
    """
    from optuna.exceptions import UpdateFinishedTrialError
    from optuna.trial import TrialState

    running = study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
    lost = [
        trial.number
        for trial in running
        if not whose or tuple(trial.user_attrs.get(WORKER, ())) == whose
    ]
    if lost:
        study.set_user_attr(LOST, [*study.user_attrs.get(LOST, []), *lost])
    for number in lost:
        with contextlib.suppress(UpdateFinishedTrialError, ValueError):
            study.tell(number, state=TrialState.FAIL)
    return lost


def _require_success(trials: "list[FrozenTrial]") -> None:
    failed = [trial for trial in trials if trial.state.name == "FAIL"]
    ended = [trial for trial in trials if trial.state.is_finished()]
    if len(failed) >= FAILURES and len(failed) == len(ended):
        raise LockstepError(
            f"the first {len(failed)} trials failed, all of them; the last one: "
            f"{failed[-1].user_attrs.get(ERROR)}\nmend that, then start a new sweep"
        )
