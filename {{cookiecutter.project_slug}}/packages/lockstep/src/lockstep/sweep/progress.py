"""How far a sweep is: a table that lives in a terminal, lines where there is none."""

import time
from collections import Counter
from typing import TYPE_CHECKING

from lockstep import terminal
from lockstep.sweep.plan import Plan
from lockstep.sweep.study import ERROR, counted_trials
from lockstep.sweep.summary import best_first, best_line, overrides_of
from lockstep.sweep.trials import Trials

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

LINE_SECONDS = 10.0  # between two lines where there is no terminal
SHOWN_ERRORS = 3


class Progress:
    """The trials so far, the best of them, and the time left."""

    def __init__(self, plan: Plan, before: int) -> None:
        """Prepare; the trials that ended `before` say nothing about the pace of this process."""
        from rich.live import Live

        self._plan = plan
        self._before = before
        self._start = self._printed = time.monotonic()
        self._errors: set[str] = set()
        self._console = terminal.console()
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> "Progress":
        """Show the table."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the table; the lines above it stay."""
        self._live.stop()

    def say(self, text: str) -> None:
        """Print a line above the table."""
        self._console.print(text)

    def show(self, trials: Trials, trouble: str | None) -> None:
        """Update the table; `trouble` is why MLflow does not show the trials, if it does not."""
        ended = counted_trials(trials.log.trials)
        self._print_errors(ended)
        cells = self._cells(ended, len(trials.running))
        best = best_first(ended, self._plan.direction)[:1]
        lines = [f"best: {best_line(trial, self._plan)}" for trial in best]
        lines += [f"MLflow: {trouble}"] if trouble else []
        if self._console.is_terminal:
            from rich.console import Group
            from rich.text import Text

            table = terminal.table(list(cells), [list(cells.values())], numeric=cells)
            self._live.update(Group(table, *map(Text, lines)), refresh=True)
        elif time.monotonic() - self._printed > LINE_SECONDS:
            self._printed = time.monotonic()
            counts = ", ".join(f"{name} {value}" for name, value in cells.items())
            print("; ".join([counts, *lines]), flush=True)

    def _cells(self, ended: "list[FrozenTrial]", running: int) -> dict[str, str]:
        states = Counter(trial.state.name for trial in ended)
        wanted = self._plan.settings["n_trials"]
        return {
            "trials": f"{len(ended)} of {wanted}",
            "running": str(running),
            "pruned": str(states["PRUNED"]),
            "failed": str(states["FAIL"]),
            "left": self._time_left(len(ended), wanted),
        }

    def _time_left(self, ended: int, wanted: int) -> str:
        """The time left, by the pace so far."""
        here = ended - self._before
        if here <= 0:
            return "-"
        seconds = (time.monotonic() - self._start) / here * max(0, wanted - ended)
        return f"{int(seconds // 60)}:{int(seconds % 60):02}"

    def _print_errors(self, ended: "list[FrozenTrial]") -> None:
        """Print why trials failed; each reason once, and only the first few."""
        for trial in ended:
            error = trial.user_attrs.get(ERROR)
            if error and error not in self._errors and len(self._errors) < SHOWN_ERRORS:
                self._errors.add(error)
                self.say(f"trial {trial.number} failed ({overrides_of(trial)}): {error}")
