"""Pictures of the tables from `curves`: the model's in blue, the baseline's dashed in orange."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .curves import average

INK, PALE = "#334155", "#94a3b8"
# Told apart with any kind of colour vision: Okabe & Ito, Color Universal Design, 2008.
ACCENT, SECOND = "#0072b2", "#d55e00"
COLOURS = [ACCENT, "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#000000", "#f0e442"]
BASELINE: dict[str, Any] = {"color": SECOND, "linestyle": "--", "linewidth": 1.4}
DOTS: dict[str, Any] = {"s": 14, "alpha": 0.5, "color": ACCENT, "linewidth": 0}
PARTS: dict[str, dict[str, Any]] = {  # of a learning curve
    "train_": {"color": ACCENT},
    "validation_": {"color": SECOND, "linestyle": "--"},
    "": {"color": INK, "linestyle": ":"},
}
MOST_BARS = 20
MOST_LINES = 100_000  # of a CSV: `dvc plots` sends all of them to the browser
MOST_CELLS = 20  # a larger confusion matrix has no numbers and no labels


@dataclass(frozen=True)
class About:
    """What a picture says of the model besides its table.

    Attributes:
        metric: The one that decides.
        lead: How far the model is ahead of the baseline by it.
        guess: What the baseline predicts for every row: the mean; or the share of rows of a class,
            of the second of two or the average of more.
    """

    model: str
    target: str
    rows: int
    metric: str
    lead: float = math.nan
    guess: float = math.nan


def save(tables: dict[str, pd.DataFrame], folder: Path, about: About) -> None:
    """Write each table as a CSV for `dvc plots` and as pictures for MLflow.

    Args:
        tables: By name: those that `draw` takes; an empty one is left out.
        folder: For both.
        about: For titles, labels and the baseline.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        if name != "history":  # it has a file already
            some = average(table).iloc[:: -(-len(table) // MOST_LINES) or 1]
            some.to_csv(folder / f"{name}.csv", index=table.index.name == "row")
        for picture, figure in draw(name, table, about).items() if len(table) else ():
            figure.savefig(folder / f"{picture}.png", dpi=120)


def draw(name: str, table: pd.DataFrame, about: About) -> dict[str, Figure]:
    """Draw a table.

    Args:
        name: One of `PICTURES`.
        table: As returned by `curves`; `importance` has feature, importance, std; `history`, step
            and metrics by step.
        about: For titles, labels and the baseline.

    Returns:
        The figures by file name.
    """
    figures = {}
    for picture, (title, draw_on) in PICTURES[name].items():
        figure = Figure(figsize=(6.4, 4.8), layout="constrained")
        axes = figure.subplots()
        axes.set_title(title, loc="left", color=INK, fontweight="bold", pad=20)
        size = f"{len(table):,} steps" if name == "history" else f"{about.rows:,} test rows"
        subtitle = f"{about.model}, {size}"
        axes.text(0, 1.02, subtitle, transform=axes.transAxes, color=INK, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
        draw_on(axes, table, about)
        figures[picture] = figure
    return figures


def _roc(axes: Axes, table: pd.DataFrame, about: About) -> None:
    axes.plot([0, 1], [0, 1], label="baseline: area 0.5", **BASELINE)
    _curves(axes, table, "area {:.3f}")
    axes.set(xlabel="False positive rate", ylabel="True positive rate")
    axes.legend(loc="lower right", framealpha=0.85, edgecolor="none")


def _precision_recall(axes: Axes, table: pd.DataFrame, about: About) -> None:
    axes.axhline(about.guess, label=f"baseline: {about.guess:.3f}", **BASELINE)
    _curves(axes, table, "mean precision {:.3f}")
    axes.set(xlabel="Recall", ylabel="Precision")
    axes.legend(loc="lower left", framealpha=0.85, edgecolor="none")


def _curves(axes: Axes, table: pd.DataFrame, caption: str) -> None:
    """A line for each class; if there are many, only the mean is labelled."""
    x, y, _ = table.columns
    classes = list(table.groupby("class", sort=False))
    few = len(classes) <= len(COLOURS)
    for n, (label, curve) in enumerate(classes):
        text = f"{label}: {caption.format(np.trapezoid(curve[y], curve[x]))}" if few else None
        colour = COLOURS[n] if few else PALE
        axes.plot(curve[x], curve[y], color=colour, linewidth=1.6 if few else 0.8, label=text)
    if len(classes) > 1:
        mean = average(table)
        text = f"mean: {caption.format(np.trapezoid(mean[y], mean[x]))}"
        axes.plot(mean[x], mean[y], color=INK, linewidth=2.4, linestyle=":", label=text)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))


def _confusion(axes: Axes, table: pd.DataFrame, about: About) -> None:
    counts = pd.crosstab(table["actual"], table["predicted"])
    classes = counts.index.union(counts.columns)
    counts = counts.reindex(index=classes, columns=classes, fill_value=0)
    shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0).to_numpy()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    bar = axes.figure.colorbar(image, ax=axes, label="Share of the actual class")
    bar.outline.set_visible(False)
    axes.grid(visible=False)
    axes.set(xlabel=f"Predicted {about.target}", ylabel=f"Actual {about.target}")
    if len(classes) > MOST_CELLS:
        return
    names = [_short(name) for name in classes]
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set_yticks(range(len(names)), names)
    for (row, column), count in np.ndenumerate(counts.to_numpy()):
        colour = "white" if shares[row, column] > 0.6 else INK
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour)


def _calibration(axes: Axes, table: pd.DataFrame, about: About) -> None:
    axes.plot([0, 1], [0, 1], color=PALE, linewidth=1, label="perfect")
    share = np.average(table["observed"], weights=table["rows"])
    axes.axhline(share, label="baseline: the same for all", **BASELINE)
    sizes = 20 + 180 * table["rows"] / table["rows"].max()
    axes.plot(table["predicted"], table["observed"], color=ACCENT, linewidth=1.2)
    axes.scatter(table["predicted"], table["observed"], s=sizes, color=ACCENT, label="model")
    axes.set(xlabel="Predicted probability", ylabel="Share that came true")
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes.legend(loc="upper left", framealpha=0.85, edgecolor="none", markerscale=0.5)
    axes.text(1, 0, "larger: more rows", ha="right", color=PALE)


def _predicted_against_true(axes: Axes, table: pd.DataFrame, about: About) -> None:
    values = table[["actual", "predicted"]].to_numpy()
    ends = [values.min(), values.max()]
    axes.plot(ends, ends, color=PALE, linewidth=1, label="perfect")
    axes.axhline(about.guess, label=f"baseline: {about.guess:.4g}", **BASELINE)
    axes.scatter(table["actual"], table["predicted"], label="model", **DOTS)
    axes.set(xlabel=f"Actual {about.target}", ylabel=f"Predicted {about.target}")
    axes.legend(loc="upper left", framealpha=0.85, edgecolor="none")


def _residuals(axes: Axes, table: pd.DataFrame, about: About) -> None:
    typical = float(np.sqrt(np.mean((table["actual"] - about.guess) ** 2)))
    axes.axhline(0, color=PALE, linewidth=1, label="perfect")
    axes.axhline(typical, label=f"baseline's root mean square: {typical:.4g}", **BASELINE)
    axes.axhline(-typical, **BASELINE)
    axes.scatter(table["predicted"], table["residual"], label="model", **DOTS)
    axes.set(xlabel=f"Predicted {about.target}", ylabel=f"Actual - predicted {about.target}")
    axes.legend(loc="upper left", framealpha=0.85, edgecolor="none")


def _importance(axes: Axes, table: pd.DataFrame, about: About) -> None:
    shown = table.head(MOST_BARS)[::-1]
    axes.barh(
        [_short(name, 28) for name in shown["feature"]],
        shown["importance"],
        xerr=shown["std"],
        color=ACCENT,
        error_kw={"ecolor": PALE, "capsize": 2},
    )
    axes.axvline(0, color=INK, linewidth=0.8)
    if about.lead > 0:
        label = f"as bad as the baseline: {about.lead:.4g}"
        axes.axvline(about.lead, label=label, **BASELINE)
        axes.legend(loc="lower right", framealpha=0.85, edgecolor="none")
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"How much worse {about.metric} is when the column is shuffled")


def _learning_curve(axes: Axes, table: pd.DataFrame, about: About) -> None:
    """Train and validation in one chart; a second quantity has a separate axis, on the right."""
    quantities: dict[str, dict[str, str]] = {}
    for name in table.columns.drop("step"):
        part = next((part for part in PARTS if name.startswith(part)), "")
        quantities.setdefault(name.removeprefix(part), {})[part] = name
    for n, (quantity, parts) in enumerate(list(quantities.items())[:2]):
        place = axes.twinx() if n else axes
        for part, name in parts.items():
            line = table[["step", name]].dropna()
            place.plot(line["step"], line[name], linewidth=1.6, **PARTS[part])
            axes.plot([], [], label=name.replace("_", " "), **PARTS[part])
        place.set_ylabel(quantity.replace("_", " ").capitalize())
    axes.set_xlabel("Step")
    axes.legend(loc="center right", framealpha=0.85, edgecolor="none")


def _short(name: object, length: int = 14) -> str:
    text = str(name)
    return text if len(text) <= length else f"{text[: length - 1]}…"


# Table -> its pictures: file name -> title and drawing function.
PICTURES: dict[str, dict[str, tuple[str, Callable[[Axes, pd.DataFrame, About], None]]]] = {
    "roc": {"roc": ("ROC", _roc)},
    "precision_recall": {"precision_recall": ("Precision and recall", _precision_recall)},
    "confusion": {"confusion": ("Confusion matrix", _confusion)},
    "calibration": {"calibration": ("Calibration", _calibration)},
    "predictions": {
        "predicted_against_true": ("Predicted against true", _predicted_against_true),
        "residuals": ("Residuals", _residuals),
    },
    "importance": {"importance": ("Permutation importance", _importance)},
    "history": {"learning_curve": ("Learning curve", _learning_curve)},
}
