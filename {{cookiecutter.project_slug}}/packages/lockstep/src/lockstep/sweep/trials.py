"""The trials of a sweep: Optuna draws them, workers score them, the storage keeps them.

The driver alone talks to Optuna, about a study in memory. So drawing and pruning wait for no
file or database, and a database that is down for a while costs no trial. A thread for each worker
calls `draw`, `report`, `end` and `lose`.
"""

import contextlib
import inspect
import pkgutil
import random
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lockstep import LockstepError
from lockstep.config.grammar import created
from lockstep.sweep.plan import Plan
from lockstep.sweep.space import Space
from lockstep.sweep.study import (
    ERROR,
    LOST,
    OVERRIDES,
    WORKER,
    StorageAwayError,
    TrialLog,
    counted_trials,
)
from lockstep.values import counted

if TYPE_CHECKING:
    from optuna.trial import Trial

FAILURES = 10  # when this many trials have failed and no other has ended, the sweep ends


class Trials:
    """The trials of a sweep.

    Attributes:
        log: Those that have ended.
        ended: How many have ended, lost ones excluded.
        running: Those that are being scored, by number in the study in memory.
    """

    def __init__(self, plan: Plan, space: Space, log: TrialLog) -> None:
        """Start from the trials that an earlier process has completed.

        Raises:
            LockstepError: The sampler or the pruner in conf/sweep/ cannot be created.
        """
        import optuna

        self.log = log
        self.ended = len(counted_trials(log.trials))
        self.running: dict[int, Trial] = {}
        self._space = space
        self._wanted: int = plan.settings["n_trials"]
        timeout = plan.settings["timeout"]
        self._deadline = float("inf") if timeout is None else time.monotonic() + timeout
        self._pruned: set[int] = set()
        self._lock = threading.Lock()
        self._study = optuna.create_study(
            study_name=plan.name,
            direction=plan.direction,
            sampler=_sampler(plan, len(log.trials)),
            pruner=created(plan.settings["pruner"]) or optuna.pruners.NopPruner(),
        )
        self._study.add_trials(log.trials)
        self._sampler_name: str = plan.settings["sampler"]["_target_"]

    @property
    def left(self) -> int:
        """How many trials are to be drawn."""
        is_late = time.monotonic() > self._deadline
        return 0 if is_late else max(0, self._wanted - self.ended - len(self.running))

    def is_done(self) -> bool:
        """Whether no trial runs or may start, and all are written."""
        with self._lock:
            return not self.running and not self.left and self.log.is_saved

    def draw(self, worker: str) -> "Trial | None":
        """Draw a trial for a worker; None when there are enough, or the time is over.

        Raises:
            LockstepError: The sampler fails.
        """
        with self._lock:
            if not self.left:
                return None
            with self._sampler_errors_explained():
                trial = self._study.ask()
                overrides = self._space.draw(trial)
            trial.set_user_attr(WORKER, worker)
            trial.set_user_attr(OVERRIDES, overrides)
            self.running[trial.number] = trial
            return trial

    def report(self, trial: "Trial", step: int, value: float) -> bool:
        """Record a value of a trial; the result is whether the trial is worth continuing."""
        with self._lock:
            if trial.number not in self.running:
                return False
            trial.report(value, step)
            try:
                if is_bad := trial.should_prune():
                    self._pruned.add(trial.number)
                return not is_bad
            except Exception as error:
                reason = f"the pruner failed: {type(error).__name__}: {error}"
        self.end(trial, reason)
        return False

    def end(self, trial: "Trial", error: str | None) -> None:
        """End a trial, unless it was lost meanwhile; `error` is why it failed, if it did."""
        values = self._study.get_trials(deepcopy=False)[trial.number].intermediate_values
        if not values and error is None:
            error = "the objective yielded no value"
        if error is not None:
            self._tell(trial, "FAIL", error=error)
        elif trial.number in self._pruned:
            self._tell(trial, "PRUNED")
        else:
            self._tell(trial, "COMPLETE", value=values[max(values)])

    def lose(self, trial: "Trial | None") -> None:
        """End a trial, if it runs: its worker was lost, so another is drawn in its place."""
        if trial:
            self._tell(trial, "FAIL", lost=True)

    def require_success(self) -> None:
        """Check that not all trials fail.

        Raises:
            LockstepError: They do.
        """
        trials = counted_trials(self.log.trials)
        errors = [trial.user_attrs.get(ERROR) for trial in trials if trial.state.name == "FAIL"]
        enough = len(errors) >= FAILURES or self.is_done()
        if errors and len(errors) == len(trials) and enough:
            raise LockstepError(
                f"all {counted(len(errors), 'trial')} failed; the last one: {errors[-1]}\n"
                "fix that, then start a new sweep"
            )

    def _tell(
        self,
        trial: "Trial",
        state: str,
        *,
        value: float | None = None,
        error: str | None = None,
        lost: bool = False,
    ) -> None:
        """End a trial, unless another thread has: an engine may report a live worker as lost."""
        from optuna.trial import TrialState

        with self._lock:
            if trial.number not in self.running:
                return
            if error is not None:
                trial.set_user_attr(ERROR, error)
            if lost:
                trial.set_user_attr(LOST, True)
            with self._sampler_errors_explained():
                try:
                    self._study.tell(trial, value, TrialState[state])
                except RuntimeError as stop:
                    # A sampler that has tried everything stops Optuna's own loop: there is none.
                    if "Study.stop" not in str(stop):
                        raise
                    self._wanted = 0
            self.log.add(self._study.get_trials(deepcopy=False)[trial.number])
            # In this order, as `left` may be read meanwhile: too few would start no replacement.
            del self.running[trial.number]
            self.ended += not lost
        with contextlib.suppress(StorageAwayError):  # the driver tries again
            self.log.save()

    @contextlib.contextmanager
    def _sampler_errors_explained(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise LockstepError(
                f"the sampler {self._sampler_name} failed: {type(error).__name__}: {error}\n"
                "fix that or choose another one in conf/sweep/, then continue the sweep"
            ) from error


def _sampler(plan: Plan, trials: int) -> Any:
    """The sampler; unless conf/ gives it a seed, one that follows from the sweep's own."""
    section = plan.settings["sampler"]
    try:
        options = inspect.signature(pkgutil.resolve_name(section["_target_"])).parameters
    except (ImportError, AttributeError, ValueError):
        return created(section)  # which explains why it cannot be
    if "seed" not in options:
        return created(section)
    # A sweep that is continued must not draw the same values again.
    seed = random.Random(f"{plan.settings['seed']} {trials}").getrandbits(32)
    return created(section, seed=seed)
