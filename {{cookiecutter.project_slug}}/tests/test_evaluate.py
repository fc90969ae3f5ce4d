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

KINDS = {"classification": "Classifier", "regression": "Regressor"}
PLOTS = {
    "classification": {"calibration", "confusion", "importance", "precision_recall", "roc"},
    "regression": {"importance", "predictions"},
}
PICTURES = {
    "classification": PLOTS["classification"],
    "regression": {"importance", "predicted_against_true", "residuals"},
}

HISTORY = "step,train_loss,validation_score\n0,3,0.5\n1,2,\n"


def read(folder: Path, name: str) -> dict[str, Any]:
    """A JSON file that the stage wrote."""
    content: dict[str, Any] = json.loads((folder / name).read_text())
    return content


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
    curve = folder / "history.csv"
    curve.write_text(HISTORY)
    evaluate.main(cfg, model, *parts, curve, metrics, folder / "plots", *reports)
    return read(folder, "metrics.json")


@pytest.fixture(scope="module")
def evaluated(
    composed: Compose, table_once: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What the stage wrote for the small table; tests read it."""
    folder = tmp_path_factory.mktemp("evaluated")
    run(composed(), table_once, folder)
    return folder


def test_the_metrics_include_a_baseline(cfg: DictConfig, evaluated: Path) -> None:
    metrics = read(evaluated, "metrics.json")
    expected = {name.removeprefix("neg_") for name in cfg.evaluate.metrics}
    assert set(metrics) == {*expected, "baseline"}
    assert set(metrics["baseline"]) == expected
    first = cfg.evaluate.metrics[0]
    better = max if first.removeprefix("neg_") == first else min
    name = first.removeprefix("neg_")
    assert better(metrics[name], metrics["baseline"][name]) == metrics[name], metrics


def test_each_plot_is_a_table_and_a_picture(task: str, evaluated: Path) -> None:
    plots = evaluated / "plots"
    assert {path.stem for path in plots.glob("*.csv")} == PLOTS[task]
    assert {path.stem for path in plots.glob("*.png")} == {*PICTURES[task], "learning_curve"}
    assert all(len(pd.read_csv(path)) for path in plots.glob("*.csv"))


def test_the_same_bytes_each_time(
    cfg: DictConfig, table: pd.DataFrame, evaluated: Path, tmp_path: Path
) -> None:
    run(cfg, table, tmp_path)
    for path in [*(evaluated / "plots").iterdir(), *evaluated.glob("*.*")]:
        other = tmp_path / path.relative_to(evaluated)
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


def test_what_a_model_without_probabilities_lacks_is_in_one_note(
    capsys: pytest.CaptureFixture[str],
) -> None:
    features = pd.DataFrame({"size": [1.0, 2.0, 3.0, 4.0]})
    target = pd.Series(["a", "b", "a", "b"])
    model = OnlyPredicts().fit(features, target)
    scores = evaluate.score(model, features, target, ["neg_log_loss", "accuracy"])
    assert scores == {"accuracy": 0.5}
    tables = curves.classification_tables(model, features, target)
    assert set(tables) == {"confusion"}
    names = ["neg_log_loss", "accuracy"]
    note = evaluate.without_probabilities(model, "classification", scores, tables, names)
    assert "no neg_log_loss, plot roc, plot precision_recall, plot calibration" in note
    assert not capsys.readouterr().out, "one note says it all"


def test_each_metric_has_a_direction_and_an_interval_around_it(
    cfg: DictConfig, evaluated: Path
) -> None:
    metrics = read(evaluated, "metrics.json")
    evaluation = read(evaluated, "evaluation.json")
    assert list(evaluation["metrics"]) == [name for name in metrics if name != "baseline"]
    for name, about in evaluation["metrics"].items():
        low, high = about["interval"]
        assert low <= metrics[name] <= high, name
        loss = f"neg_{name}" in cfg.evaluate.metrics
        assert about["direction"] == ("minimize" if loss else "maximize"), name


def test_slices_are_the_categories_with_few_values_or_those_in_the_config(
    composed: Compose, table: pd.DataFrame, evaluated: Path, tmp_path: Path
) -> None:
    slices = read(evaluated, "evaluation.json")["slices"]
    assert set(slices) == {"colour", "is_new"}
    assert set(slices["colour"]) == {"red", "green", "blue"}
    assert sum(part["rows"] for part in slices["colour"].values()) == (table.index % 4 == 0).sum()
    model = {"_target_": f"sklearn.dummy.Dummy{KINDS[composed().data.task]}"}
    run(composed(model=model, evaluate__slices=["is_new"]), table, tmp_path)
    assert set(read(tmp_path, "evaluation.json")["slices"]) == {"is_new"}
    with pytest.raises(LockstepError, match="colr, which the test rows do not have"):
        run(composed(model=model, evaluate__slices=["colr"]), table, tmp_path)


def test_the_importance_finds_what_matters(table: pd.DataFrame, evaluated: Path) -> None:
    importance = pd.read_csv(evaluated / "plots/importance.csv")
    assert importance["feature"].iloc[0] == "size", importance
    assert set(importance["feature"]) == set(table.columns) - {"outcome"}
