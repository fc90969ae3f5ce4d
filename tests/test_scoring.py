"""Scoring: metrics of the predictions equal those of the model."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.metrics import get_scorer
from stages import stage

LABELS: dict[str, list[Any]] = {
    "words": ["no", "yes"],
    "numbers": [0, 1],
    "other numbers": [1, 2],
    "truth": [False, True],
    "three words": ["green", "blue", "red"],
}
METRICS = ["accuracy", "balanced_accuracy", "f1", "f1_macro", "roc_auc", "roc_auc_ovr"]
METRICS += ["average_precision", "neg_log_loss", "neg_brier_score", "matthews_corrcoef"]


def rows(labels: list[Any] | None, count: int = 90) -> tuple[pd.DataFrame, "pd.Series[Any]"]:
    """Features and a target that depends on them; without labels, the target is a number."""
    random = np.random.default_rng(1)
    features = pd.DataFrame(random.normal(size=(count, 2)), columns=["size", "weight"])
    noisy = features["size"] + random.normal(0, 0.7, count)
    if labels is None:
        return features, noisy
    codes = pd.qcut(noisy, len(labels), labels=False)
    return features, pd.Series(np.array(labels)[codes], index=features.index)


def measured(model: Any, features: pd.DataFrame, target: "pd.Series[Any]") -> dict[str, float]:
    """The metrics that scikit-learn computes for the model itself."""
    metrics = {}
    for name in METRICS:
        try:
            value = float(get_scorer(name)(model, features, target))
        except (AttributeError, ValueError):
            continue
        metrics[name.removeprefix("neg_")] = -value if name.startswith("neg_") else value
    return {name: value for name, value in metrics.items() if np.isfinite(value)}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("model", [LogisticRegression(), RidgeClassifier()], ids=["p", "score"])
def test_predictions_of_classes_score_as_the_model_does(
    model: Any, labels: list[Any], tmp_path: Any
) -> None:
    features, target = rows(labels)
    model.fit(features, target)
    stage("scoring").predictions(model, features, target).to_parquet(tmp_path / "p.parquet")
    table = pd.read_parquet(tmp_path / "p.parquet")
    expected = measured(model, features, target)
    metrics = stage("scoring").scorer(table, METRICS)(np.arange(len(table)))
    assert len(expected) >= 4
    assert {name: metrics[name] for name in expected} == pytest.approx(expected)


def test_predictions_of_numbers_score_as_the_model_does() -> None:
    features, target = rows(None)
    model = LinearRegression().fit(features, target)
    table = stage("scoring").predictions(model, features, target)
    metrics = stage("scoring").scorer(table, ["r2", "neg_mean_absolute_error"])(
        np.arange(len(table))
    )
    assert metrics["r2"] == pytest.approx(model.score(features, target))
    errors = (model.predict(features) - target).abs()
    assert metrics["mean_absolute_error"] == pytest.approx(errors.mean())


def test_undefined_metrics_are_left_out() -> None:
    features, target = rows(["no", "yes"])
    table = stage("scoring").predictions(
        LogisticRegression().fit(features, target), features, target
    )
    of_one_class = np.flatnonzero(target == "no")
    metrics = stage("scoring").scorer(table, ["accuracy", "roc_auc", "neg_log_loss"])(of_one_class)
    assert set(metrics) == {"accuracy"}


@pytest.mark.parametrize(
    ("name", "value", "baseline", "warned"),
    [
        ("accuracy", 1.0, 0.4, True),
        ("accuracy", 0.97, 0.4, False),
        ("accuracy", 1.0, 1.0, False),
        ("r2", 0.9995, -0.01, True),
        ("r2", 0.95, -0.01, False),
        ("neg_root_mean_squared_error", 3.0, 150.0, True),
        ("neg_root_mean_squared_error", 20.0, 150.0, False),
    ],
)
def test_a_result_near_its_limit_is_too_good(
    name: str, value: float, baseline: float, warned: bool
) -> None:
    shown = name.removeprefix("neg_")
    warnings = stage("evaluate").too_good(name, {shown: value, "baseline": {shown: baseline}})
    assert bool(warnings) == warned
    assert all(text.startswith(f"leak: {shown} is {value:.4g}") for text in warnings)


def test_rows_without_a_value_are_a_slice_too() -> None:
    column = pd.Series(["a", None, "b", "a"], index=[9, 8, 7, 6])
    slices = stage("evaluate").slices(column, lambda rows: {"first": float(rows[0])})
    assert {value: part["rows"] for value, part in slices.items()} == {"a": 2, "b": 1, "missing": 1}
    assert slices["missing"]["metrics"] == {"first": 1.0}


def test_curves_of_a_perfect_and_of_a_useless_model() -> None:
    curves = stage("curves")
    truth = np.array([False, False, True, True])
    perfect, useless = np.array([0.1, 0.2, 0.8, 0.9]), np.full(4, 0.5)
    assert curves.roc(truth, perfect)["true_positive_rate"].tolist() == [0.0] + [1.0] * 101
    assert np.allclose(curves.roc(truth, useless)["true_positive_rate"][1:], curves.GRID)
    assert set(curves.precision_recall(truth, perfect)["precision"]) == {1.0}
    assert set(curves.precision_recall(truth, useless)["precision"]) == {0.5}


def test_calibration_compares_predicted_probability_with_observed_frequency() -> None:
    predicted = np.array([0.05, 0.05, 0.75, 0.75, 1.0])
    table = stage("curves").calibration(np.array([False, False, True, False, True]), predicted)
    assert table["predicted"].tolist() == [0.05, 0.75, 1.0]
    assert table["observed"].tolist() == [0.0, 0.5, 1.0]
    assert table["rows"].tolist() == [2, 2, 1]
