"""The figures of a sweep: how the best value came about, each param's values, what mattered."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep.sweep.plan import Plan
from lockstep.sweep.summary import best_first, records, value_of
from lockstep.values import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from optuna.study import Study
    from optuna.trial import FrozenTrial

# As in the project's own plots: Okabe & Ito, Color Universal Design, 2008.
INK, ACCENT, SECOND = "#334155", "#0072b2", "#d55e00"
COLUMNS = 3  # of the panels, one for each param
LABEL_LENGTH = 18


def write_figures(
    study: "Study", trials: "Sequence[FrozenTrial]", plan: Plan, folder: Path
) -> None:
    """Draw what there is to see, as PNG files."""
    complete = sorted(best_first(trials, plan.direction), key=lambda trial: trial.number)
    if not complete:
        return
    _save(_history(complete, plan), folder / "history.png")
    keys = list(dict.fromkeys(key for trial in complete for key in trial.params))
    if keys:
        _save(_params(complete, plan, keys), folder / "params.png")
    # While all trials are equally good, no param matters more than another.
    if len({value_of(trial) for trial in complete}) > 1 and (shares := dict(_importance(study))):
        _save(_bars(shares, plan), folder / "importance.png")


def _importance(study: "Study") -> "Iterator[tuple[str, float]]":
    from optuna.importance import get_param_importances

    try:
        yield from get_param_importances(study).items()
    except (RuntimeError, ValueError):  # too few trials have the same params
        return


def _history(trials: "Sequence[FrozenTrial]", plan: Plan) -> "Figure":
    figure, (axes,) = _panels(f"{plan.metric} of {len(trials)} trials", plan, 1)
    numbers = [trial.number for trial in trials]
    axes.scatter(numbers, [value_of(trial) for trial in trials], s=22, color=ACCENT, label="trial")
    best = [trial for _, trial in records(trials, plan.direction)]
    steps = [trial.number for trial in best] + [numbers[-1]]
    values = [value_of(trial) for trial in best] + [value_of(best[-1])]
    axes.step(steps, values, where="post", color=SECOND, label=f"best: {values[-1]:.4g}")
    axes.set(xlabel="trial", ylabel=plan.metric)
    axes.legend(framealpha=0.85, edgecolor="none")
    return figure


def _params(trials: "Sequence[FrozenTrial]", plan: Plan, keys: Sequence[str]) -> "Figure":
    figure, panels = _panels(f"{plan.metric} by what was tried", plan, len(keys))
    for axes in panels[::COLUMNS]:
        axes.set_ylabel(plan.metric)
    winner = best_first(trials, plan.direction)[0]
    for axes, key in zip(panels, keys, strict=True):
        tried = [trial for trial in trials if key in trial.params]
        values = [_shown(trial.params[key]) for trial in tried]
        axes.scatter(values, [value_of(trial) for trial in tried], s=22, color=ACCENT, alpha=0.7)
        if key in winner.params:
            axes.scatter([_shown(winner.params[key])], [value_of(winner)], s=60, color=SECOND)
        if all(getattr(trial.distributions[key], "log", False) for trial in tried):
            axes.set_xscale("log")
        axes.set_xlabel(_name(key))
    return figure


def _bars(shares: dict[str, float], plan: Plan) -> "Figure":
    figure, (axes,) = _panels(f"What mattered for {plan.metric}", plan, 1)
    keys = list(shares)[::-1]
    bars = axes.barh(list(map(_name, keys)), [shares[key] for key in keys], 0.6, color=ACCENT)
    axes.bar_label(bars, fmt="{:.2f}", padding=3, color=INK)
    axes.set(xlabel="share of the differences that the param explains", xlim=(0, 1.08))
    return figure


def _panels(title: str, plan: Plan, count: int) -> "tuple[Figure, list[Axes]]":
    """A figure with a title, the sweep's name, and panels in one style."""
    from matplotlib.figure import Figure

    columns = min(count, COLUMNS)
    rows = -(-count // columns)
    size = (7.2, 4.6) if count == 1 else (4.2 * columns, 0.6 + 3.2 * rows)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    panels = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
    figure.suptitle(f"{title}\n{plan.name}", x=0.01, ha="left", color=INK, fontweight="bold")
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
    for axes in panels[count:]:
        axes.remove()
    return figure, panels[:count]


def _name(key: str) -> str:
    """A param without the sign that adds it to the config."""
    return key.lstrip("+")


def _shown(value: Any) -> Any:
    """A number as it is, everything else as a short text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return shortened(str(value), LABEL_LENGTH)


def _save(figure: "Figure", path: Path) -> None:
    figure.savefig(path, dpi=110)
