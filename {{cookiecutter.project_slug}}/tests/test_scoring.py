"""scoring: metrics of the predictions equal those of the model."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.metrics import get_scorer

from lockstep.intervals import difference, intervals

from {{ cookiecutter.package_name }} import scoring

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
    scoring.predictions(model, features, target).to_parquet(tmp_path / "p.parquet")
    table = pd.read_parquet(tmp_path / "p.parquet")
    expected = measured(model, features, target)
    metrics = scoring.scorer(table, METRICS)(np.arange(len(table)))
    assert len(expected) >= 4
    assert {name: metrics[name] for name in expected} == pytest.approx(expected)


def test_predictions_of_numbers_score_as_the_model_does() -> None:
    features, target = rows(None)
    model = LinearRegression().fit(features, target)
    table = scoring.predictions(model, features, target)
    metrics = scoring.scorer(table, ["r2", "neg_mean_absolute_error"])(np.arange(len(table)))
    assert metrics["r2"] == pytest.approx(model.score(features, target))
    errors = (model.predict(features) - target).abs()
    assert metrics["mean_absolute_error"] == pytest.approx(errors.mean())


def test_undefined_metrics_are_left_out() -> None:
    features, target = rows(["no", "yes"])
    table = scoring.predictions(LogisticRegression().fit(features, target), features, target)
    of_one_class = np.flatnonzero(target == "no")
    metrics = scoring.scorer(table, ["accuracy", "roc_auc", "neg_log_loss"])(of_one_class)
    assert set(metrics) == {"accuracy"}


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    random, covered = np.random.default_rng(0), 0
    for _ in range(100):
        hits = random.random(150) < 0.8
        mean = {"accuracy": lambda rows, hits=hits: float(hits[rows].mean())}["accuracy"]
        low, high = intervals(
            lambda rows, mean=mean: {"accuracy": mean(rows)},  # type: ignore[misc]
            150,
            confidence=0.9,
            resamples=200,
        )["accuracy"]
        covered += low <= 0.8 <= high
    assert 80 <= covered <= 97, covered


def test_the_interval_of_many_rows_is_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(0).normal(size=100_000)
    low, high = intervals(
        lambda rows: {"mean": float(values[rows].mean())}, 100_000, confidence=0.95, resamples=500
    )["mean"]
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(100_000), rel=0.15)


def test_a_paired_interval_is_tighter_than_the_two_models_apart() -> None:
    random = np.random.default_rng(0)
    hard = random.random(300) < 0.3  # rows that both get wrong
    lucky = random.random(300) < 0.02
    first = lambda rows: {"accuracy": float((~hard[rows] | lucky[rows]).mean())}  # noqa: E731
    second = lambda rows: {"accuracy": float((~hard[rows]).mean())}  # noqa: E731
    (alone,) = intervals(first, 300, confidence=0.95, resamples=300).values()
    (paired,) = intervals(difference(first, second), 300, confidence=0.95, resamples=300).values()
    assert paired[1] - paired[0] < (alone[1] - alone[0]) / 2


def test_a_number_that_few_resamples_define_gets_no_interval() -> None:
    def rare(rows: Any) -> dict[str, float]:
        return {"always": 1.0} | ({"rare": 1.0} if (rows == 0).sum() == 1 else {})

    assert set(intervals(rare, 40, confidence=0.95, resamples=100)) == {"always"}
