"""The workers of a sweep: started, given trials, replaced when they are lost."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep import LockstepError
from lockstep.sweep.connection import Reception, receive, send
from lockstep.sweep.engines import Engine, Worker
from lockstep.sweep.job import Address
from lockstep.sweep.study import OVERRIDES, StorageAwayError
from lockstep.sweep.trials import Trials

if TYPE_CHECKING:
    from optuna.trial import Trial

POLL_SECONDS = 0.2
LOSSES = 3  # of a worker and its replacements in a row, without a trial that ends between them
BROKEN_SECONDS = 30.0  # how long the engine may take to notice a worker whose connection broke
STORAGE_SECONDS = 60.0  # how long a storage that worked may be unreachable

Start = Callable[[str, Address], Worker]


class StopImmediately(KeyboardInterrupt):
    """Ctrl-C was pressed twice: MLflow is not updated; `--resume` shows what is missing."""


@dataclass
class Member:
    """A worker, as its driver sees it.

    Attributes:
        trial: The last one that it was given.
        dismissed: Whether it knows that there are no more trials.
        broken: When its connection broke.
    """

    worker: Worker
    trial: "Trial | None" = None
    dismissed: bool = False
    broken: float | None = None


class Pool:
    """The workers of a sweep, whatever the engine."""

    def __init__(self, trials: Trials, engine: Engine, start: Start, folder: Path) -> None:
        """Prepare; `work` starts the workers.

        Args:
            start: Has the engine start a worker, given its name and the address of the driver.
            folder: Holds the workers' logs.
        """
        self._trials = trials
        self._engine = engine
        self._start = start
        self._folder = folder
        self._members: dict[str, Member] = {}
        self._adding = threading.Lock()
        self._losses: dict[str, tuple[int, int]] = {}  # how many in a row, trials ended by then
        self._away: float | None = None  # since when the storage does not answer
        self._error: Exception | None = None

    def work(self, size: int, show: Callable[[], None], say: Callable[[str], None]) -> None:
        """Have workers score all trials.

        Args:
            size: How many workers to start.
            show: Shows the trials so far, for about a second at most.
            say: Prints a line.

        Raises:
            LockstepError: They cannot.
        """
        reception = Reception(self._engine.host(), self._engine.interface(), self._serve)
        try:
            with _interrupted_between_steps() as check_interrupt:
                for number in range(size):
                    self._add(f"worker-{number}", reception.address)
                while True:
                    self._save(say)
                    self._replace_lost(reception.address, say)
                    # Then this pass is the last; an engine may have workers in its queue.
                    is_done = self._trials.is_done()
                    show()
                    self._trials.require_success()
                    check_interrupt()
                    if self._error:
                        raise self._error
                    if is_done:
                        break
                    time.sleep(POLL_SECONDS)
        finally:
            reception.close()  # which has the trials that still run written as lost
            for member in self._members.values():
                with contextlib.suppress(OSError, subprocess.SubprocessError):
                    member.worker.stop()

    def _add(self, name: str, address: Address) -> None:
        with self._adding:
            self._members[name] = Member(self._start(name, address))

    def _serve(self, connection: Connection) -> None:
        """Give a worker one trial after another."""
        try:
            name = receive(connection)
            member = self._members.get(name)
            if not member:
                with self._adding:  # the engine may have started it this moment
                    member = self._members.get(name)
            if member:
                self._give_trials(connection, name, member)
        except (EOFError, OSError):  # it did not get as far as its name
            pass
        except Exception as error:  # of the sampler, or of the storage
            self._error = error

    def _give_trials(self, connection: Connection, name: str, member: Member) -> None:
        try:
            while trial := self._trials.draw(name):
                member.trial = trial
                send(connection, trial.user_attrs[OVERRIDES])
                kind, *content = receive(connection)
                while kind == "value":
                    send(connection, self._trials.report(trial, *content))
                    kind, *content = receive(connection)
                self._trials.end(trial, *content)
            member.dismissed = True
            send(connection, None)
        except (EOFError, OSError):
            member.broken = time.monotonic()
            self._trials.lose(member.trial)

    def _replace_lost(self, address: Address, say: Callable[[str], None]) -> None:
        for name, member in list(self._members.items()):
            broken_for = time.monotonic() - member.broken if member.broken else 0
            if member.worker.ended():
                reason = member.worker.failure() or "it ended before the sweep did"
            elif broken_for > BROKEN_SECONDS and not member.dismissed:
                reason = "its connection broke"
                member.worker.stop()
            else:
                continue
            if self._error:  # then the connection was closed, which ends a worker
                return
            del self._members[name]
            self._trials.lose(member.trial)
            if not member.dismissed:
                is_needed = self._trials.left > 0
                say(f"{name} is lost: {reason}" + "; starting a replacement" * is_needed)
                self._give_up_after_losses(name, reason)
                if is_needed:
                    self._add(name, address)

    def _give_up_after_losses(self, name: str, reason: str) -> None:
        """Raise an error if one worker after another is lost and no trial ends."""
        ended = self._trials.ended
        count, before = self._losses.get(name, (0, -1))
        count = count + 1 if ended == before else 1
        self._losses[name] = count, ended
        if count >= LOSSES:
            log = self._folder / f"{name}.log"
            text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
            lines = [f"{name} was lost {count} times before a trial ended: {reason}"]
            if text:
                lines += [f"the last lines of {log}:", *text.strip().splitlines()[-3:]]
            raise LockstepError("\n".join(lines))

    def _save(self, say: Callable[[str], None]) -> None:
        """Write the trials that could not be written when they ended."""
        try:
            self._trials.log.save()
            self._away = None
        except StorageAwayError as error:
            if self._away is None:
                self._away = time.monotonic()
                say(f"{error}; trying again for {STORAGE_SECONDS:.0f} s")
            elif time.monotonic() - self._away > STORAGE_SECONDS:
                raise


@contextlib.contextmanager
def _interrupted_between_steps() -> Iterator[Callable[[], None]]:
    """Let Ctrl-C wait for the end of a step, which takes seconds; a second one does not wait.

    An interrupted step may leave MLflow half imported, or a transaction that locks the store.

    Yields:
        A function to be called between steps, which raises KeyboardInterrupt if there was one.
    """
    pressed = False

    def note(*_: object) -> None:
        nonlocal pressed
        if pressed:
            raise StopImmediately
        pressed = True
        # print() must not be called in a signal handler.
        os.write(2, b"\nstopping; press Ctrl-C again to stop immediately\n")

    def check_interrupt() -> None:
        if pressed:
            raise KeyboardInterrupt

    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:  # else it is ignored, as in a shell's background job
        signal.signal(signal.SIGINT, note)
    try:
        yield check_interrupt
    finally:
        signal.signal(signal.SIGINT, usual)
