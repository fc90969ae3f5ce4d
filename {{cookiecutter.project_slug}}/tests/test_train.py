"""train: every model with every preprocessing, the same bytes each time."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pytest
from conftest import CONF, ROOT, Compose
from omegaconf import DictConfig, OmegaConf
from sklearn.tree import DecisionTreeClassifier

from lockstep import LockstepError

from {{ cookiecutter.package_name }} import train

MODELS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
PREPROCESSINGS = sorted(path.stem for path in (CONF / "preprocess").glob("*.yaml"))
STAGE = """
import sys
from pathlib import Path
from omegaconf import OmegaConf
import {{ cookiecutter.package_name }}.train as train
train.main(OmegaConf.load("cfg.yaml"), *map(Path, sys.argv[1:]))
"""


def fit(cfg: DictConfig, table: pd.DataFrame) -> Any:
    return train.fit(table.drop(columns="outcome"), table["outcome"], cfg)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("model", MODELS)
def test_every_model_fits_with_every_preprocessing(
    model: str, composed: Compose, table: pd.DataFrame, features: pd.DataFrame
) -> None:
    unseen = features.head(3).copy()
    unseen["colour"] = pd.Series(["violet", None, "red"], index=unseen.index, dtype="str")
    unseen.loc[1, ["weight", "sold"]] = None
    for preprocess in PREPROCESSINGS:
        cfg = composed(f"model={model}", f"preprocess={preprocess}")
        for size in {"n_estimators", "max_iter"}.intersection(cfg.model):
            cfg.model[size] = 5
        fitted = train.fit(features, table["outcome"], cfg)
        assert len(fitted.predict(unseen)) == 3, preprocess


def test_any_class_with_the_interface_of_scikit_learn_works(
    task: str, composed: Compose, table: pd.DataFrame
) -> None:
    kind = "Classifier" if task == "classification" else "Regressor"
    model = f"""
        _target_: sklearn.ensemble.ExtraTrees{kind}
        n_estimators: 5
        random_state: 0
    """
    cfg = composed(model=OmegaConf.create(model))
    assert fit(cfg, table)


def test_a_model_for_the_other_task_is_refused(
    task: str, composed: Compose, table: pd.DataFrame
) -> None:
    name = "Lars" if task == "classification" else "Perceptron"
    cfg = composed(model=OmegaConf.create({"_target_": f"sklearn.linear_model.{name}"}))
    with pytest.raises(LockstepError, match=f"data.task is {task}: choose a model for {task}"):
        fit(cfg, table)


class OnlyCodes(DecisionTreeClassifier):  # type: ignore[misc] # scikit-learn has no types
    """Accepts the same classes as XGBoost."""

    __module__ = "xgboost.like"

    def fit(self, features: object, target: object, **options: object) -> "OnlyCodes":
        assert set(pd.Series(target)) == {0, 1}
        return super().fit(features, target, **options)  # type: ignore[no-any-return]


def test_a_model_that_takes_classes_only_as_codes_gets_codes(
    composed: Compose, table: pd.DataFrame, features: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "build", lambda section: OnlyCodes())
    labels = pd.Series(["b", "a"] * 60, index=table.index)
    fitted = train.fit(features, labels, composed(data__task="classification"))
    assert set(fitted.predict(features)) == {"a", "b"}


def test_the_same_bytes_in_every_process(
    cfg: DictConfig, table: pd.DataFrame, tmp_path: Path
) -> None:
    table.to_parquet(tmp_path / "train.parquet")
    OmegaConf.save(cfg, tmp_path / "cfg.yaml")
    names = ["model.joblib", "example.parquet", "history.csv"]
    train.main(cfg, tmp_path / "train.parquet", *(tmp_path / name for name in names))
    here = [(tmp_path / name).read_bytes() for name in names]
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *filter(None, sys.path)]),
    }
    command = [sys.executable, "-c", STAGE, "train.parquet", *names]
    subprocess.run(command, check=True, cwd=tmp_path, env=environment)
    assert [(tmp_path / name).read_bytes() for name in names] == here


def test_the_stage_writes_model_example_and_history(
    cfg: DictConfig, table: pd.DataFrame, features: pd.DataFrame, tmp_path: Path
) -> None:
    table.to_parquet(tmp_path / "train.parquet")
    model, curve = tmp_path / "model.joblib", tmp_path / "history.csv"
    train.main(cfg, tmp_path / "train.parquet", model, tmp_path / "example.parquet", curve)
    example = pd.read_parquet(tmp_path / "example.parquet")
    assert example.head().equals(features.head().reset_index(drop=True))
    assert example.isna().any().equals(features.isna().any()), "MLflow learns what may be missing"
    assert len(joblib.load(model).predict(example)) == len(example) < 10
    assert curve.read_text().startswith("step")


def test_a_learning_curve_becomes_the_history(composed: Compose, table: pd.DataFrame) -> None:
    cfg = composed("model=hist_gradient_boosting", model__max_iter=5)
    fitted = fit(cfg, table)
    steps = list(train.learning_curve(fitted[-1]))
    assert steps
    assert min(min(values.values()) for values in steps) >= 0, "errors are positive"
    assert set(steps[0]) == {"train_loss", "validation_loss"}
    assert list(train.learning_curve(DecisionTreeClassifier())) == []


def test_the_group_is_not_learned_from(
    composed: Compose, table: pd.DataFrame, tmp_path: Path
) -> None:
    example = tmp_path / "example.parquet"
    table.to_parquet(tmp_path / "train.parquet")
    cfg = composed(data__group="colour")
    outputs = tmp_path / "model.joblib", example, tmp_path / "history.csv"
    train.main(cfg, tmp_path / "train.parquet", *outputs)
    assert list(pd.read_parquet(example)) == ["size", "weight", "is_new", "sold"]


def test_what_cannot_be_fitted_is_explained(composed: Compose, table: pd.DataFrame) -> None:
    cfg = composed(preprocess__number={}, model={"_target_": "sklearn.svm.LinearSVR"})
    cfg.data.task = "regression"
    with pytest.raises(LockstepError, match="change conf/model, or conf/preprocess"):
        fit(cfg, table.assign(outcome=1.0))
