"""evaluate: metrics next to a baseline, and the tables and pictures of the plots."""

import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from conftest import Compose
from omegaconf import DictConfig
from sklearn.base import BaseEstimator, ClassifierMixin

from lockstep import LockstepError

from {{ cookiecutter.package_name }} import (
    curves,
    evaluate,
    train,
)

PLOTS = {
    "classification": {"calibration", "confusion", "importance", "precision_recall", "roc"},
    "regression": {"importance", "predictions"},
}
PICTURES = {
    "classification": PLOTS["classification"],
    "regression": {"importance", "predicted_against_true", "residuals"},
}


def run(cfg: DictConfig, table: pd.DataFrame, folder: Path) -> dict[str, Any]:
    """The metrics."""
    folder.mkdir(exist_ok=True)
    rows = {"train": table[table.index % 4 != 0], "test": table[table.index % 4 == 0]}
    for name, part in rows.items():
        part.to_parquet(folder / f"{name}.parquet")
    target = rows["train"][cfg.data.target]
    fitted = train.fit(rows["train"].drop(columns=cfg.data.target), target, cfg)
    model, metrics = folder / "model.joblib", folder / "metrics.json"
    joblib.dump(fitted, model)
    parts = folder / "train.parquet", folder / "test.parquet"
    reports = folder / "predictions.parquet", folder / "evaluation.json"
    evaluate.main(cfg, model, *parts, metrics, folder / "plots", *reports)
    result: dict[str, Any] = json.loads(metrics.read_text())
    return result


def test_the_metrics_include_a_baseline(
    cfg: DictConfig, table: pd.DataFrame, tmp_path: Path
) -> None:
    metrics = run(cfg, table, tmp_path)
    expected = {name.removeprefix("neg_") for name in cfg.evaluate.metrics}
    assert set(metrics) == {*expected, "baseline"}
    assert set(metrics["baseline"]) == expected
    first = cfg.evaluate.metrics[0]
    better = max if first.removeprefix("neg_") == first else min
    name = first.removeprefix("neg_")
    assert better(metrics[name], metrics["baseline"][name]) == metrics[name], metrics


def test_each_plot_is_a_table_and_a_picture(
    task: str, cfg: DictConfig, table: pd.DataFrame, tmp_path: Path
) -> None:
    run(cfg, table, tmp_path)
    plots = tmp_path / "plots"
    assert {path.stem for path in plots.glob("*.csv")} == PLOTS[task]
    assert {path.stem for path in plots.glob("*.png")} == PICTURES[task]
    assert all(len(pd.read_csv(path)) for path in plots.glob("*.csv"))


def test_the_same_bytes_each_time(cfg: DictConfig, table: pd.DataFrame, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    run(cfg, table, first)
    run(cfg, table, second)
    for path in [*(first / "plots").iterdir(), *first.glob("*.*")]:
        other = second / path.relative_to(first)
        assert path.read_bytes() == other.read_bytes(), path.name


def test_more_than_two_classes(composed: Compose, table: pd.DataFrame, tmp_path: Path) -> None:
    cfg = composed(
        data__task="classification",
        data__target="colour",
        evaluate__metrics=["accuracy", "roc_auc_ovr"],
        model={"_target_": "sklearn.naive_bayes.GaussianNB"},
    )
    table["colour"] = table["colour"].fillna("red")
    metrics = run(cfg, table, tmp_path)
    assert set(metrics) == {"accuracy", "roc_auc_ovr", "baseline"}
    assert list(pd.read_csv(tmp_path / "plots/roc.csv")) == [
        "false_positive_rate",
        "true_positive_rate",
    ]


class OnlyPredicts(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """Provides neither probabilities nor scores; predicts a column, as CatBoost does."""

    def fit(self, features: Any, target: Any) -> "OnlyPredicts":
        self.classes_ = np.unique(target)
        return self

    def predict(self, features: Any) -> Any:
        return np.full((len(features), 1), self.classes_[0])


def test_what_a_model_cannot_provide_is_skipped_with_a_note(
    capsys: pytest.CaptureFixture[str],
) -> None:
    features = pd.DataFrame({"size": [1.0, 2.0, 3.0, 4.0]})
    target = pd.Series(["a", "b", "a", "b"])
    model = OnlyPredicts().fit(features, target)
    scores = evaluate.score(model, features, target, ["neg_log_loss", "accuracy"])
    assert scores == {"accuracy": 0.5}
    assert set(curves.classification_tables(model, features, target)) == {"confusion"}
    notes = capsys.readouterr().out
    assert "note: no neg_log_loss: " in notes
    assert "note: no ROC, precision-recall or calibration plot" in notes


def test_each_metric_has_a_direction_and_an_interval_around_it(
    cfg: DictConfig, table: pd.DataFrame, tmp_path: Path
) -> None:
    metrics = run(cfg, table, tmp_path)
    evaluation = json.loads((tmp_path / "evaluation.json").read_text())
    assert list(evaluation["metrics"]) == [name for name in metrics if name != "baseline"]
    for name, about in evaluation["metrics"].items():
        low, high = about["interval"]
        assert low <= metrics[name] <= high, name
        loss = f"neg_{name}" in cfg.evaluate.metrics
        assert about["direction"] == ("minimize" if loss else "maximize"), name


def test_slices_are_the_categories_with_few_values_or_those_in_the_config(
    composed: Compose, table: pd.DataFrame, tmp_path: Path
) -> None:
    run(composed(), table, tmp_path / "few")
    slices = json.loads((tmp_path / "few" / "evaluation.json").read_text())["slices"]
    assert set(slices) == {"colour", "is_new"}
    assert set(slices["colour"]) == {"red", "green", "blue"}
    assert sum(part["rows"] for part in slices["colour"].values()) == (table.index % 4 == 0).sum()
    run(composed(evaluate__slices=["is_new"]), table, tmp_path / "named")
    slices = json.loads((tmp_path / "named" / "evaluation.json").read_text())["slices"]
    assert set(slices) == {"is_new"}
    with pytest.raises(LockstepError, match="colr, which the test rows do not have"):
        run(composed(evaluate__slices=["colr"]), table, tmp_path / "unknown")


def test_rows_without_a_value_are_a_slice_too() -> None:
    column = pd.Series(["a", None, "b", "a"], index=[9, 8, 7, 6])
    slices = evaluate.slices(column, lambda rows: {"first": float(rows[0])})
    assert {value: part["rows"] for value, part in slices.items()} == {"a": 2, "b": 1, "missing": 1}
    assert slices["missing"]["metrics"] == {"first": 1.0}


def test_the_importance_finds_what_matters(
    cfg: DictConfig, table: pd.DataFrame, tmp_path: Path
) -> None:
    run(cfg, table, tmp_path)
    importance = pd.read_csv(tmp_path / "plots/importance.csv")
    assert importance["feature"].iloc[0] == "size", importance
    assert set(importance["feature"]) == set(table.columns) - {"outcome"}


def test_curves_of_a_perfect_and_of_a_useless_model() -> None:
    truth = np.array([False, False, True, True])
    perfect, useless = np.array([0.1, 0.2, 0.8, 0.9]), np.full(4, 0.5)
    assert curves.roc(truth, perfect)["true_positive_rate"].tolist() == [0.0] + [1.0] * 101
    assert np.allclose(curves.roc(truth, useless)["true_positive_rate"][1:], curves.GRID)
    assert set(curves.precision_recall(truth, perfect)["precision"]) == {1.0}
    assert set(curves.precision_recall(truth, useless)["precision"]) == {0.5}


def test_calibration_compares_predicted_probability_with_observed_frequency() -> None:
    predicted = np.array([0.05, 0.05, 0.75, 0.75, 1.0])
    table = curves.calibration(np.array([False, False, True, False, True]), predicted)
    assert table["predicted"].tolist() == [0.05, 0.75, 1.0]
    assert table["observed"].tolist() == [0.0, 0.5, 1.0]
    assert table["rows"].tolist() == [2, 2, 1]


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
    warnings = evaluate.too_good(name, {shown: value, "baseline": {shown: baseline}})
    assert bool(warnings) == warned
    assert all(text.startswith(f"leak: {shown} is {value:.4g}") for text in warnings)
