"""The predictions of a model as a table, and the metrics of any of its rows.

Metrics are computed from the table, so that two models can be compared on the same rows without
predicting again. `[tool.lockstep]` in pyproject.toml names this module: `lockstep publish` and
`promote` call `predict` and `scorer` to compare a model with the champion.
"""

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.utils.metaestimators import available_if

from .features import features_and_target

METHODS = {"predict_proba": "probability.", "decision_function": "score."}
BATCH = 2**17  # rows that are predicted at once: preprocessing takes several times their memory
Array = npt.NDArray[Any]


def predict(model: Any, test: Path, cfg: Any) -> pd.DataFrame:
    """The predictions of a model for the test rows.

    Args:
        model: A fitted estimator; for a model that is not from scikit-learn, the folder of the
            MLflow model.
        test: The file of test rows.
        cfg: The config, with its section `data`.

    Returns:
        The table that `predictions` returns.
    """
    return predictions(model, *features_and_target(pd.read_parquet(test), cfg.data))


def predictions(model: Any, features: pd.DataFrame, target: "pd.Series[Any]") -> pd.DataFrame:
    """The predictions of a model for some rows.

    Args:
        model: A fitted estimator.
        features: The rows, shape (rows, columns).
        target: The true values, shape (rows,).

    Returns:
        actual, predicted; for a classifier also, for each class, `probability.CLASS` if it provides
        probabilities, and `score.CLASS` if it has a decision function.
    """
    parts = [
        _predicted(model, features.iloc[start : start + BATCH], target.iloc[start : start + BATCH])
        for start in range(0, max(len(features), 1), BATCH)
    ]
    return pd.concat(parts) if len(parts) > 1 else parts[0]


def _predicted(model: Any, features: pd.DataFrame, target: "pd.Series[Any]") -> pd.DataFrame:
    answers = {"actual": target, "predicted": np.ravel(model.predict(features))}
    table = pd.DataFrame(answers, index=features.index)
    for method, prefix in METHODS.items() if hasattr(model, "classes_") else ():
        if hasattr(model, method):
            values = np.asarray(getattr(model, method)(features))
            values = values if values.ndim == 2 else np.column_stack([-values, values])
            names = [f"{prefix}{label}" for label in model.classes_]
            if values.shape[1] != len(names):
                continue  # a score for each pair of classes
            table = table.join(pd.DataFrame(values, index=table.index, columns=names))
    return table


def scorer(table: pd.DataFrame, names: list[str]) -> Callable[[Array], dict[str, float]]:
    """Create the function that computes metrics from rows of predictions.

    Args:
        table: As returned by `predictions`.
        names: Names of scikit-learn's scorers, with or without `neg_`.

    Returns:
        A function that takes the positions of rows, shape (rows,), and returns the metrics by name,
        without `neg_` and positive; metrics that these rows leave undefined are left out.
    """
    known = set(get_scorer_names())
    scorers = {
        name.removeprefix("neg_"): get_scorer(name if name in known else f"neg_{name}")
        for name in names
    }
    signs = {name: 1 if name in known else -1 for name in scorers}
    numbers = pd.api.types.is_float_dtype(table["actual"]) and len(table.columns) == 2
    model = stored(table, "regression" if numbers else "classification", coded=True)

    def measure(rows: Array) -> dict[str, float]:
        metrics = {}
        with (
            warnings.catch_warnings(action="ignore"),
            sklearn.config_context(assume_finite=True, skip_parameter_validation=True),
        ):
            for name, metric in scorers.items():
                try:
                    value = signs[name] * float(metric(model, rows, model.actual[rows]))
                except (AttributeError, ValueError):
                    continue
                if math.isfinite(value):
                    metrics[name] = value
        return metrics

    return measure


def stored(table: pd.DataFrame, task: str, *, coded: bool = False) -> Any:
    """A model that returns the stored predictions of rows, given their positions.

    Args:
        table: As returned by `predictions`.
        task: classification or regression.
        coded: Whether the classes are numbers, which are compared several times faster than text.
    """
    return _Classifier(table, coded) if task == "classification" else _Regressor(table)


class _Classifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """The stored predictions of a classifier."""

    def __init__(self, table: pd.DataFrame, coded: bool) -> None:
        self._scores = {
            method: table[[name for name in table.columns if name.startswith(prefix)]]
            for method, prefix in METHODS.items()
        }
        names = max(([str(name) for name in part] for part in self._scores.values()), key=len)
        actual, predicted = table["actual"].to_numpy(), table["predicted"].to_numpy()
        labels = _labels([name.partition(".")[2] for name in names], table["actual"])
        if not names:
            labels = np.unique(np.concatenate([actual, predicted]))
        if coded and not pd.api.types.is_numeric_dtype(table["actual"]):
            classes = np.unique(np.concatenate([actual, predicted, labels]).astype(str))
            actual, predicted, labels = (
                np.searchsorted(classes, part.astype(str)) for part in (actual, predicted, labels)
            )
        self.actual, self._predicted, self.classes_ = actual, predicted, labels

    def predict(self, rows: Array) -> Array:
        return self._predicted[rows]

    @available_if(lambda self: not self._scores["predict_proba"].empty)  # type: ignore[untyped-decorator]
    def predict_proba(self, rows: Array) -> Array:
        return self._scores["predict_proba"].to_numpy()[rows]

    @available_if(lambda self: not self._scores["decision_function"].empty)  # type: ignore[untyped-decorator]
    def decision_function(self, rows: Array) -> Array:
        scores = self._scores["decision_function"].to_numpy()[rows]
        return scores[:, 1] if len(self.classes_) == 2 else scores


class _Regressor(RegressorMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """The same for regression."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.actual, self._predicted = table["actual"].to_numpy(), table["predicted"].to_numpy()

    def predict(self, rows: Array) -> Array:
        return self._predicted[rows]


def _labels(names: list[str], actual: "pd.Series[Any]") -> Array:
    """The classes in the names of columns, with the type of the target."""
    if pd.api.types.is_bool_dtype(actual):
        return np.array([name == "True" for name in names])
    return np.array(names, dtype=object).astype(actual.to_numpy().dtype)
