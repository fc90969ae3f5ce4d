"""Evaluate the model on the test rows: metrics, plots, and what the gate needs."""

import json
import math
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.base import is_regressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.inspection import permutation_importance
from sklearn.metrics import get_scorer
from sklearn.pipeline import Pipeline

from lockstep import LockstepError
from lockstep.intervals import intervals

from .curves import classification_tables, regression_tables
from .features import features_and_target
from .plots import About, save
from .scoring import predictions, scorer, stored

# The share of the baseline's error that is left when a result is too good to be true. That of an
# error (neg_...) is larger: R² 0.999 is 3% of the root mean squared error.
LEFT = {"maximize": 0.01, "minimize": 0.03}
MOST_VALUES = 10  # a column with more is not a slice unless evaluate.slices names it


def main(
    cfg: Any,
    model: Path,
    train: Path,
    test: Path,
    history: Path,
    metrics: Path,
    plots: Path,
    predictions_file: Path,
    evaluation_file: Path,
) -> None:
    """Run the stage; `plots` is a folder, `history` has the learning curve."""
    fitted = joblib.load(model)
    rows = pd.read_parquet(test)
    features, target = features_and_target(rows, cfg.data)
    print(f"evaluating on {len(features)} rows ...", flush=True)
    table = predictions(fitted, features, target)
    table.to_parquet(predictions_file)
    predicted, every = stored(table, cfg.data.task), np.arange(len(table))
    baseline = fit_baseline(pd.read_parquet(train, columns=[cfg.data.target]), cfg.data)
    names = list(cfg.evaluate.metrics)
    scores = score(predicted, every, target, names)
    with_baseline = {**scores, "baseline": score(baseline, every, target, names)}
    metrics.write_text(json.dumps(with_baseline, indent=2) + "\n", encoding="utf-8")
    print(as_text(with_baseline))
    tables_of = classification_tables if cfg.data.task == "classification" else regression_tables
    tables = tables_of(predicted, every, target)
    if note := without_probabilities(fitted, cfg.data.task, scores, tables, names):
        print(note)
    if cfg.evaluate.importance.repeats:
        metric = next(name for name in names if name.removeprefix("neg_") in scores)
        tables["importance"] = importance(fitted, features, target, metric, cfg, predicted)
    tables["history"] = pd.read_csv(history)
    save(tables, plots, about(fitted, baseline, target, with_baseline))
    defined = [name for name in names if name.removeprefix("neg_") in scores]
    report = evaluation(table, rows, defined, cfg)
    report["warnings"] = too_good(defined[0], with_baseline)
    for warning in report["warnings"]:
        print(f"warning: {warning}")
    text = json.dumps(report, indent=2, ensure_ascii=False)
    evaluation_file.write_text(text + "\n", encoding="utf-8")


def evaluation(
    table: pd.DataFrame, rows: pd.DataFrame, names: list[str], cfg: Any
) -> dict[str, Any]:
    """Confidence intervals of the metrics, and the metrics of each slice.

    Args:
        table: The predictions, one line per row.
        rows: The test rows, in the same order.
        names: scikit-learn's names of scorers; the first one decides.
        cfg: The config.

    Returns:
        rows, confidence; metrics: the direction and interval of each; slices: for each value of
        each column, the number of rows and the metrics. Undefined numbers are left out.
    """
    measure = scorer(table, names)
    options = cfg.evaluate.intervals
    bounds = intervals(
        measure, len(table), confidence=options.confidence, resamples=options.resamples
    )
    about: dict[str, dict[str, Any]] = {}
    for name in names:
        shown = name.removeprefix("neg_")  # neg_...: lower is better
        about[shown] = {"direction": "maximize" if shown == name else "minimize"}
        if shown in bounds:
            about[shown]["interval"] = bounds[shown]
    return {
        "rows": len(table),
        "confidence": options.confidence,
        "metrics": about,
        "slices": {column: slices(rows[column], measure) for column in slice_columns(rows, cfg)},
    }


def too_good(name: str, scores: dict[str, Any]) -> list[str]:
    """A warning if hardly anything of the baseline's error is left.

    Args:
        name: scikit-learn's name of the scorer that decides.
        scores: As `score` returns them, and those of the `baseline`.
    """
    shown = name.removeprefix("neg_")
    best, direction = (1, "maximize") if shown == name else (0, "minimize")
    value, baseline = scores[shown], scores["baseline"].get(shown)
    if baseline is None or abs(best - value) >= LEFT[direction] * abs(best - baseline):
        return []
    return [
        f"leak: {shown} is {value:.4g}, the baseline's {baseline:.4g}: for most data, that is too "
        "good to be true; if plots/importance.png shows a column that is not known when the model "
        "is used, add it to data.drop"
    ]


def slice_columns(rows: pd.DataFrame, cfg: Any) -> list[str]:
    """The columns that evaluate.slices names; by default, the categories with few values."""
    chosen = cfg.evaluate.slices
    if chosen is not None:
        if unknown := sorted(set(chosen) - set(rows.columns)):
            raise LockstepError(
                f"evaluate.slices names {', '.join(unknown)}, which the test rows do not have\n"
                f"their columns are {', '.join(rows.columns)}: change evaluate.slices"
            )
        return list(chosen)
    categories = rows.drop(columns=cfg.data.target).select_dtypes(["str", "object", "bool"])
    return [name for name in categories if categories[name].nunique() <= MOST_VALUES]


def slices(column: "pd.Series[Any]", measure: Any) -> dict[str, dict[str, Any]]:
    """The metrics of the rows with each value of a column; `missing` stands for no value."""
    codes, values = pd.factorize(column.astype("str").where(column.notna(), "missing"), sort=True)
    return {
        str(value): {"rows": len(rows), "metrics": measure(rows)}
        for code, value in enumerate(values)
        for rows in [np.flatnonzero(codes == code)]
    }


def fit_baseline(rows: pd.DataFrame, data: Any) -> Any:
    """A model that ignores the columns: it predicts the class frequencies or the mean."""
    model = DummyClassifier() if data.task == "classification" else DummyRegressor()
    return model.fit(np.arange(len(rows)), rows[data.target])


def score(
    model: Any, features: Any, target: "pd.Series[Any]", names: list[str]
) -> dict[str, float]:
    """Score a model; a metric that cannot be computed is skipped with a note.

    Those that a model without probabilities lacks are in the note of `without_probabilities`.

    Args:
        model: A fitted estimator.
        features: Rows that it was not trained on, shape (rows, columns); of a `stored` model,
            their positions.
        target: The true values, shape (rows,).
        names: scikit-learn's names of scorers.

    Returns:
        The scores; those named `neg_...` without that prefix, and positive.
    """
    scores = {}
    for name in names:
        try:
            with warnings.catch_warnings(category=UndefinedMetricWarning, action="ignore"):
                value = float(get_scorer(name)(model, features, target))
        except (AttributeError, ValueError) as error:
            if isinstance(error, AttributeError) and not hasattr(model, "predict_proba"):
                continue
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            print(f"note: no {name}: {reason}")
            continue
        if not math.isfinite(value):
            print(f"note: no {name}: it is {value} on these rows")
            continue
        positive = name.removeprefix("neg_")
        scores[positive] = value if positive == name else -value
    if not scores:
        raise LockstepError(
            f"none of the metrics {', '.join(names)} can be computed for this model: "
            "change evaluate.metrics in conf/evaluate"
        )
    return scores


def without_probabilities(
    model: Any,
    task: str,
    scores: dict[str, float],
    tables: dict[str, pd.DataFrame],
    names: list[str],
) -> str:
    """A note on the metrics and plots that a classifier lacks; empty if it has probabilities."""
    if task != "classification" or hasattr(model, "predict_proba"):
        return ""
    metrics = [name for name in names if name.removeprefix("neg_") not in scores]
    plots = [f"plot {name}" for name in ("roc", "precision_recall", "calibration")]
    missing = [*metrics, *(plot for plot in plots if plot.removeprefix("plot ") not in tables)]
    return f"note: the model predicts no probabilities: no {', '.join(missing)}"


def importance(
    model: Any,
    features: pd.DataFrame,
    target: "pd.Series[Any]",
    metric: str,
    cfg: Any,
    predicted: Any,
) -> pd.DataFrame:
    """How much a metric drops when a column is shuffled (Breiman, Random Forests, 2001).

    `predicted` is the `stored` model, so that all rows are not predicted again.

    Returns:
        feature, importance, std; the most important one first.
    """
    options = cfg.evaluate.importance
    print(f"shuffling each of {features.shape[1]} columns {options.repeats} times ...", flush=True)
    scorer = get_scorer(metric)

    def scored(model: Any, rows: pd.DataFrame, truth: "pd.Series[Any]") -> float:
        if rows is features:  # they are predicted already
            return float(scorer(predicted, np.arange(len(rows)), truth))
        return float(scorer(model, rows, truth))

    result = permutation_importance(
        model,
        features,
        target,
        scoring=scored,
        n_repeats=options.repeats,
        max_samples=min(options.rows, len(features)),
        random_state=cfg.split.seed,
    )
    values = {"importance": result.importances_mean, "std": result.importances_std}
    table = pd.DataFrame({"feature": features.columns, **values})
    return table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def about(
    model: Any,
    baseline: Any,
    target: "pd.Series[Any]",
    scores: dict[str, Any],
) -> About:
    """What the plots say of the model and the baseline; the first of the scores decides."""
    metric, value = next(iter(scores.items()))
    if is_regressor(baseline):
        guess = float(baseline.predict(target[:1])[0])
    else:
        classes = baseline.classes_
        guess = float((target == classes[1]).mean()) if len(classes) == 2 else 1 / len(classes)
    return About(
        model=type(model[-1] if isinstance(model, Pipeline) else model).__name__,
        target=str(target.name),
        rows=len(target),
        metric=metric,
        lead=abs(value - scores["baseline"].get(metric, math.nan)),
        guess=guess,
    )


def as_text(scores: dict[str, Any]) -> str:
    """The scores next to those of the baseline, one per line."""
    width = max(map(len, scores))
    lines = [f"{'':{width}}  {'model':>10}  {'baseline':>10}"]
    for name, value in scores.items():
        if name != "baseline":
            baseline = scores["baseline"].get(name, float("nan"))
            lines.append(f"{name:{width}}  {value:10.4g}  {baseline:10.4g}")
    return "\n".join(lines)
