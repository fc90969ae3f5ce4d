"""The data behind the plots, as tables."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import precision_recall_curve, roc_curve

GRID = np.linspace(0, 1, 101)
BINS = 10
POINTS = 2000  # at most, in a scatter plot

Array = npt.NDArray[Any]


def classification_tables(
    model: Any, features: Any, target: "pd.Series[Any]"
) -> dict[str, pd.DataFrame]:
    """The tables of a classifier, without those that the model has no scores or probabilities for.

    Args:
        model: The fitted classifier.
        features: Rows that it was not trained on, shape (rows, columns); of a `stored` model,
            their positions.
        target: The true classes, shape (rows,).

    Returns:
        confusion: actual, predicted; one line per row.
        roc, precision_recall: the two rates and `class`. With two classes, the second one; with
            more, each class against all others.
        calibration: predicted, observed, rows. With two classes, the predicted probability of the
            second and its observed frequency; with more, those of the predicted class.
    """
    classes, truth = model.classes_, target.to_numpy()
    predicted = np.ravel(model.predict(features))
    tables = {
        "confusion": pd.DataFrame({"actual": truth, "predicted": predicted}, index=target.index)
    }
    scores = class_scores(model, features)
    if scores is None:
        return tables
    tables["roc"] = _by_class(roc, classes, truth, scores)
    tables["precision_recall"] = _by_class(precision_recall, classes, truth, scores)
    if hasattr(model, "predict_proba") and len(classes) == 2:
        tables["calibration"] = calibration(truth == classes[1], scores[:, 1])
    elif hasattr(model, "predict_proba"):
        tables["calibration"] = calibration(truth == predicted, scores.max(axis=1))
    return {name: table for name, table in tables.items() if len(table)}


def regression_tables(
    model: Any, features: Any, target: "pd.Series[Any]"
) -> dict[str, pd.DataFrame]:
    """The table of a regressor.

    Args:
        model: The fitted regressor.
        features: Rows that it was not trained on, shape (rows, columns); of a `stored` model,
            their positions.
        target: The true values, shape (rows,).

    Returns:
        predictions: actual, predicted, residual (actual - predicted); of evenly spaced rows.
    """
    rows = np.linspace(0, len(target) - 1, min(len(target), POINTS)).round().astype(int)
    actual, predicted = target.iloc[rows], np.ravel(model.predict(features))[rows]
    table = pd.DataFrame({"actual": actual, "predicted": predicted})
    return {"predictions": table.assign(residual=table["actual"] - table["predicted"])}


def class_scores(model: Any, features: Any) -> Array | None:
    """The probabilities or, without them, the decision function, shape (rows, classes)."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(features))
    if not hasattr(model, "decision_function"):
        return None
    scores = np.asarray(model.decision_function(features))
    return scores if scores.ndim == 2 else np.column_stack([-scores, scores])


def roc(truth: Array, scores: Array) -> pd.DataFrame:
    """The ROC curve on an even grid of false positive rates.

    Args:
        truth: Whether each row is positive, shape (rows,), bool.
        scores: Higher means more likely positive, shape (rows,).
    """
    false_positives, true_positives, _ = roc_curve(truth, scores)
    rates = np.interp(GRID, false_positives, true_positives)
    return pd.DataFrame({"false_positive_rate": [0.0, *GRID], "true_positive_rate": [0.0, *rates]})


def precision_recall(truth: Array, scores: Array) -> pd.DataFrame:
    """The best precision at each recall or a higher one, on an even grid.

    Interpolated as in Manning et al., Introduction to Information Retrieval, chapter 8: a straight
    line between two points would be too optimistic.

    Args:
        truth: Whether each row is positive, shape (rows,), bool.
        scores: Higher means more likely positive, shape (rows,).
    """
    precision, recall, _ = precision_recall_curve(truth, scores)
    recall, best = recall[-2::-1], np.maximum.accumulate(precision)[-2::-1]  # rising recall
    return pd.DataFrame({"recall": GRID, "precision": best[np.searchsorted(recall, GRID)]})


def calibration(occurred: Array, probability: Array) -> pd.DataFrame:
    """The predicted probability against the observed frequency, in bins of equal width.

    Args:
        occurred: Whether the predicted event occurred, shape (rows,), bool.
        probability: The predicted probability, shape (rows,).
    """
    bins = np.minimum((probability * BINS).astype(int), BINS - 1)
    table = pd.DataFrame({"predicted": probability, "observed": occurred, "bin": bins})
    grouped = table.groupby("bin")
    return grouped.mean().assign(rows=grouped.size()).reset_index(drop=True)


def average(table: pd.DataFrame) -> pd.DataFrame:
    """The mean of the curves of all classes: DVC draws one curve per experiment."""
    if "class" not in table:
        return table
    position = table.groupby("class").cumcount()
    return table.drop(columns="class").groupby(position).mean()


def _by_class(
    curve: Callable[[Array, Array], pd.DataFrame], classes: Array, truth: Array, scores: Array
) -> pd.DataFrame:
    """A curve for each class that has both positive and negative rows."""
    shown = range(len(classes))[1:] if len(classes) == 2 else range(len(classes))
    curves = [
        curve(truth == classes[n], scores[:, n]).assign(**{"class": str(classes[n])})
        for n in shown
        if 0 < (truth == classes[n]).sum() < len(truth)
    ]
    return pd.concat(curves, ignore_index=True) if curves else pd.DataFrame()
