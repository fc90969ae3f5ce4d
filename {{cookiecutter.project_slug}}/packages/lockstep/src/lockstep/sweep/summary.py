"""What a sweep found: its best trials, and a table of all."""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep.sweep.plan import Plan
from lockstep.sweep.study import ERROR, OVERRIDES

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

SHOWN = 10  # of the best trials, in the description


def value_of(trial: "FrozenTrial") -> float:
    """The value of a trial that is complete."""
    assert trial.value is not None
    return trial.value


def best_first(trials: "Sequence[FrozenTrial]", direction: str) -> "list[FrozenTrial]":
    """The complete trials, the best first; of equal ones, the earlier first."""
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    sign = -1 if direction == "maximize" else 1
    return sorted(complete, key=lambda trial: (sign * value_of(trial), trial.number))


def records(trials: "Sequence[FrozenTrial]", direction: str) -> "Iterator[tuple[int, FrozenTrial]]":
    """The trials that were better than all before them, and how many those were.

    Args:
        trials: By number, which is the order in which they ended.
    """
    best = None
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    for before, trial in enumerate(complete):
        if best is None or best_first([best, trial], direction)[0] is trial:
            best = trial
            yield before, trial


def overrides_of(trial: "FrozenTrial") -> str:
    """What a trial tried, for people: numbers have four significant digits."""
    overrides = " ".join(trial.user_attrs.get(OVERRIDES, []))
    return re.sub(r"\d+\.\d{4,}(e-?\d+)?", lambda found: f"{float(found[0]):.4g}", overrides)


def best_line(trial: "FrozenTrial", plan: Plan) -> str:
    """A complete trial in one line."""
    return f"trial {trial.number}: {plan.metric} {value_of(trial):.6g} with {overrides_of(trial)}"


def description(trials: "Sequence[FrozenTrial]", plan: Plan) -> str:
    """The Markdown that heads the sweep's page in MLflow."""
    best = best_first(trials, plan.direction)[:SHOWN]
    lines = [
        f"- trial {trial.number}: {value_of(trial):.4g} with `{overrides_of(trial)}`"
        for trial in best
    ]
    first = [f"Best {best_line(best[0], plan)}", ""] if best else []
    return "\n".join(
        [
            *first,
            f"Trials of `{plan.stage}`, scored on data that they did not learn from; the test rows "
            f"were not used. The best by {plan.metric}:",
            "",
            *lines,
            "",
            "Run the pipeline with one of them: "
            f"`uv run lockstep sweep --apply NUMBER sweep.name={plan.name}`",
        ]
    )


def write_trials(trials: "Sequence[FrozenTrial]", metric: str, path: Path) -> None:
    """Write a table of all trials as CSV."""
    keys = list(dict.fromkeys(key for trial in trials for key in trial.params))
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["trial", "state", metric, "seconds", *keys, ERROR])
        for trial in trials:
            seconds = trial.duration.total_seconds() if trial.duration else ""
            values = [trial.params.get(key, "") for key in keys]
            error = trial.user_attrs.get(ERROR, "")
            value = "" if trial.value is None else trial.value
            writer.writerow([trial.number, trial.state.name, value, seconds, *values, error])
