"""tune: a config is scored on training rows alone, on folds that follow the split."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Compose
from omegaconf import OmegaConf
from sklearn.compose import ColumnTransformer

from {{ cookiecutter.package_name }} import tune

METRIC = {"classification": "accuracy", "regression": "neg_mean_absolute_error"}


@pytest.fixture
def rows(table: pd.DataFrame, tmp_path: Path) -> Path:
    path = tmp_path / "train.parquet"
    table.assign(shop=table.index % 7).to_parquet(path)
    return path


def scores(rows: Path, task: str, composed: Compose, strategy: str) -> list[float]:
    cfg = composed(data__time="sold", data__group="shop" if strategy == "group" else None)
    split = OmegaConf.merge(cfg.split, {"strategy": strategy})
    score = tune.CrossValidation(rows, data=cfg.data, split=split, metric=METRIC[task], folds=3)
    OmegaConf.update(cfg, "model.n_estimators", 5)
    return list(score(cfg))


@pytest.mark.parametrize("strategy", ["random", "group", "time"])
def test_a_config_is_scored_fold_by_fold_the_same_each_time(
    rows: Path, task: str, composed: Compose, strategy: str
) -> None:
    values = scores(rows, task, composed, strategy)
    assert len(values) == 3
    assert all(value > 0 for value in values), "an error is shown as a positive number"
    assert scores(rows, task, composed, strategy) == values


def test_the_value_is_the_mean_of_the_folds(
    rows: Path, task: str, composed: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([0.5, 0.7, 0.9])
    monkeypatch.setattr(tune, "get_scorer", lambda name: lambda *given: next(values))
    cfg = composed()
    OmegaConf.update(cfg, "model.n_estimators", 5)
    split = OmegaConf.merge(cfg.split, {"strategy": "random"})
    score = tune.CrossValidation(rows, data=cfg.data, split=split, metric="accuracy", folds=3)
    assert list(score(cfg)) == pytest.approx([0.5, 0.6, 0.7])


@pytest.mark.parametrize(("kept", "fits"), [(tune.CACHE_BYTES, 2), (0, 3)])
def test_models_share_the_preprocessed_rows_of_a_fold(
    rows: Path, task: str, composed: Compose, monkeypatch: pytest.MonkeyPatch, kept: int, fits: int
) -> None:
    fitted: list[ColumnTransformer] = []

    def counted(self: ColumnTransformer, *args: Any, **options: Any) -> Any:
        fitted.append(self)
        return original(self, *args, **options)

    original = ColumnTransformer.fit_transform
    monkeypatch.setattr(ColumnTransformer, "fit_transform", counted)
    monkeypatch.setattr(tune, "CACHE_BYTES", kept)
    cfg = composed()
    split = OmegaConf.merge(cfg.split, {"strategy": "random"})
    score = tune.CrossValidation(rows, data=cfg.data, split=split, metric=METRIC[task], folds=3)
    trials = ["preprocess=onehot", "preprocess=ordinal", "preprocess=onehot"]
    values = []
    for number, trial in enumerate(trials, start=5):
        cfg = composed("model=random_forest", trial)
        OmegaConf.update(cfg, "model.n_estimators", number)
        values.append(list(score(cfg)))
    assert len(fitted) == fits * 3
    alone = tune.CrossValidation(rows, data=cfg.data, split=split, metric=METRIC[task], folds=3)
    assert list(alone(cfg)) == values[-1]
