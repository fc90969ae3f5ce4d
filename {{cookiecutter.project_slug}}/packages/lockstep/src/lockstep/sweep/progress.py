"""How far a sweep is: a table that lives in a terminal, lines where there is none."""

import time
from collections import Counter
from types import TracebackType
from typing import TYPE_CHECKING

from lockstep.sweep.plan import Plan
from lockstep.sweep.study import ERROR
from lockstep.sweep.summary import best_first, overrides_of, value_of

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial
    from rich.console import Group

LINE_SECONDS = 10.0  # between two lines where there is no terminal
SHOWN_ERRORS = 3


class Progress:
    """The trials so far, the best of them, and the time left."""

    def __init__(self, plan: Plan, done: int) -> None:
        """Show nothing yet.

        Args:
            plan: That of the sweep.
            done: How many trials there were before.
        """
        from rich.console import Console
        from rich.live import Live

        self._plan = plan
        self._before = done
        self._start = self._said = time.monotonic()
        self._errors: Counter[str] = Counter()
        self._console = Console(highlight=False, soft_wrap=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> "Progress":
        """Begin to show."""
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave what was said, without the table."""
        self._live.stop()

    def say(self, text: str) -> None:
        """Print a line above the table."""
        self._console.print(text, markup=False)

    def show(self, trials: "list[FrozenTrial]", trouble: str | None) -> None:
        """Show how it stands.

        Args:
            trials: Those that count.
            trouble: Why MLflow does not show them, if it does not.
        """
        self._tell_errors(trials)
        cells = self._cells(trials)
        best = best_first(trials, self._plan.direction)[:1]
        lines = [f"best: {best_line(trial, self._plan)}" for trial in best]
        lines += [f"MLflow: {trouble}"] if trouble else []
        if self._console.is_terminal:
            self._live.update(_table(cells, lines), refresh=True)
        elif time.monotonic() - self._said > LINE_SECONDS:
            self._said = time.monotonic()
            said = ", ".join(f"{name} {value}" for name, value in cells.items())
            print("; ".join([said, *lines]), flush=True)

    def _cells(self, trials: "list[FrozenTrial]") -> dict[str, str]:
        states = Counter(trial.state.name for trial in trials)
        ended = sum(trial.state.is_finished() for trial in trials)
        wanted = self._plan.settings["n_trials"]
        return {
            "trials": f"{ended} of {wanted}",
            "running": str(states["RUNNING"]),
            "pruned": str(states["PRUNED"]),
            "failed": str(states["FAIL"]),
            "left": self._left(ended, wanted),
        }

    def _left(self, ended: int, wanted: int) -> str:
        """The time left, by the pace so far."""
        here = ended - self._before
        if here <= 0:
            return "-"
        seconds = (time.monotonic() - self._start) / here * max(0, wanted - ended)
        return f"{int(seconds // 60)}:{int(seconds % 60):02}"

    def _tell_errors(self, trials: "list[FrozenTrial]") -> None:
        """Say of the first trials that failed, each way of failing once, what went wrong."""
        for trial in trials:
            error = trial.user_attrs.get(ERROR)
            if error and error not in self._errors and len(self._errors) < SHOWN_ERRORS:
                self._errors[error] += 1
                self.say(f"trial {trial.number} failed ({overrides_of(trial)}): {error}")


def _table(cells: dict[str, str], lines: list[str]) -> "Group":
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in cells:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row(*cells.values())
    return Group(table, *map(Text, lines))


def best_line(trial: "FrozenTrial", plan: Plan) -> str:
    """A trial in a line."""
    tried = overrides_of(trial)
    return f"trial {trial.number}: {plan.metric} {value_of(trial):.6g} with {tried}"
