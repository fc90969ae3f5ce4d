"""What a sweep found: its best trials, a table of all, and figures."""

import csv
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep.sweep.plan import Plan
from lockstep.sweep.study import ERROR, OVERRIDES, SURPLUS

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

SHOWN = 10  # of the best trials, in the description
FIGURE_SIZE = (11, 6)  # inches


def ended(study: "Study") -> "list[FrozenTrial]":
    """The trials that came to an end, lost ones included, by number."""
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state.is_finished() and SURPLUS not in trial.user_attrs
    ]


def value_of(trial: "FrozenTrial") -> float:
    """The value of a trial that is complete."""
    assert trial.value is not None
    return trial.value


def best_first(trials: "Sequence[FrozenTrial]", direction: str) -> "list[FrozenTrial]":
    """The complete trials; of equal ones the earlier first.

    Args:
        trials: Any.
        direction: `maximize` or `minimize`.
    """
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    sign = -1 if direction == "maximize" else 1
    return sorted(complete, key=lambda trial: (sign * value_of(trial), trial.number))


def records(trials: "Sequence[FrozenTrial]", direction: str) -> "Iterator[tuple[int, FrozenTrial]]":
    """The trials that were better than all that ended before them, and how many those were."""
    best = None
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    in_time = sorted(complete, key=lambda trial: str(trial.datetime_complete))
    for before, trial in enumerate(in_time):
        if best is None or best_first([best, trial], direction)[0] is trial:
            best = trial
            yield before, trial


def overrides_of(trial: "FrozenTrial") -> str:
    """What a trial tried, as on a command line."""
    return " ".join(trial.user_attrs.get(OVERRIDES, []))


def description(study: "Study", plan: Plan) -> str:
    """The Markdown that heads the sweep's page in MLflow."""
    trials = best_first(ended(study), plan.direction)
    lines = [f"| trial | {plan.metric} | |", "|--:|--:|---|"]
    lines += [
        f"| {trial.number} | {value_of(trial):.6g} | `{overrides_of(trial)}` |"
        for trial in trials[:SHOWN]
    ]
    return "\n".join(
        [
            f"Trials of `{plan.stage}`, scored on data that they did not learn from; "
            "the test rows were not used.",
            "",
            *lines,
            "",
            f"Run the pipeline with one of them: `uv run lockstep sweep --apply NUMBER "
            f"sweep.name={plan.name}`",
        ]
    )


def write_summary(study: "Study", plan: Plan, folder: Path) -> None:
    """Write trials.csv and, where there is something to see, figures.

    Args:
        study: With the trials.
        plan: That of the sweep.
        folder: To write into.
    """
    _write_trials(ended(study), plan.metric, folder / "trials.csv")
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from optuna.visualization import matplotlib as figures

    drawings: dict[str, Callable[..., Any]] = {
        "history": figures.plot_optimization_history,
        "parallel_coordinates": figures.plot_parallel_coordinate,
        "importance": figures.plot_param_importances,
    }
    complete = best_first(ended(study), plan.direction)
    distinct = {value_of(trial) for trial in complete}
    for name, draw in drawings.items():
        # Nothing can be said of what matters while all trials are equally good.
        if not complete or (name == "importance" and len(distinct) < 2):
            continue
        with warnings.catch_warnings(action="ignore"):  # Optuna calls its figures experimental
            draw(study, target_name=plan.metric)
            plt.gcf().set_size_inches(FIGURE_SIZE)
            plt.savefig(folder / f"{name}.png", dpi=100, bbox_inches="tight")
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
