"""What a sweep found: its best trials, a table of all, and figures."""

import csv
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep.sweep.plan import Plan
from lockstep.sweep.study import ERROR, OVERRIDES

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

SHOWN = 10  # of the best trials, in the description
FIGURE_SIZE = (11, 6)  # inches


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
    """What a trial tried, as on a command line."""
    return " ".join(trial.user_attrs.get(OVERRIDES, []))


def best_line(trial: "FrozenTrial", plan: Plan) -> str:
    """A complete trial in one line."""
    return f"trial {trial.number}: {plan.metric} {value_of(trial):.6g} with {overrides_of(trial)}"


def description(trials: "Sequence[FrozenTrial]", plan: Plan) -> str:
    """The Markdown that heads the sweep's page in MLflow."""
    rows = [
        f"| {trial.number} | {value_of(trial):.6g} | `{overrides_of(trial)}` |"
        for trial in best_first(trials, plan.direction)[:SHOWN]
    ]
    table = "\n".join([f"| trial | {plan.metric} | |", "|--:|--:|---|", *rows])
    return (
        f"Trials of `{plan.stage}`, scored on data that they did not learn from; "
        f"the test rows were not used.\n\n{table}\n\n"
        "Run the pipeline with one of them: "
        f"`uv run lockstep sweep --apply NUMBER sweep.name={plan.name}`"
    )


def write_summary(study: "Study", trials: "Sequence[FrozenTrial]", plan: Plan, to: Path) -> None:
    """Write trials.csv and, where there is something to see, figures into a folder."""
    _write_trials(trials, plan.metric, to / "trials.csv")
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from optuna.visualization import matplotlib as figures

    drawings: dict[str, Callable[..., Any]] = {
        "history": figures.plot_optimization_history,
        "parallel_coordinates": figures.plot_parallel_coordinate,
        "importance": figures.plot_param_importances,
    }
    values = [value_of(trial) for trial in best_first(trials, plan.direction)]
    for name, draw in drawings.items():
        # While all trials are equally good, no param matters more than another.
        if not values or (name == "importance" and len(set(values)) < 2):
            continue
        with warnings.catch_warnings(action="ignore"):  # Optuna calls its figures experimental
            draw(study, target_name=plan.metric)
            plt.gcf().set_size_inches(FIGURE_SIZE)
            plt.savefig(to / f"{name}.png", dpi=100, bbox_inches="tight")
            plt.close("all")


def _write_trials(trials: "Sequence[FrozenTrial]", metric: str, path: Path) -> None:
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
