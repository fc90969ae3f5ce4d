"""train: every model with every preprocessing, the same bytes each time."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pytest
from conftest import CONF, ROOT, Compose
from omegaconf import DictConfig, OmegaConf
from sklearn.ensemble import VotingClassifier
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

from lockstep import LockstepError

from {{ cookiecutter.package_name }} import estimators, train
from {{ cookiecutter.package_name }}.batches import memory_note
from {{ cookiecutter.package_name }}.tables import Table

# Those whose packages are installed: `uv sync --extra boosting` adds some.
MODELS = sorted(
    path.stem
    for path in (CONF / "model").glob("*.yaml")
    if find_spec(OmegaConf.load(path)._target_.partition(".")[0])
    and path.stem != "xgboost_ray"  # starts a cluster
)
PREPROCESSINGS = sorted(path.stem for path in (CONF / "preprocess").glob("*.yaml"))
STAGE = """
import sys
from importlib.util import find_spec
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
        for size in {"n_estimators", "max_iter", "iterations"}.intersection(cfg.model):
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


@pytest.mark.parametrize("kind", ["cluster.KMeans", "ensemble.IsolationForest"])
def test_a_model_that_no_target_teaches_is_refused(
    kind: str, composed: Compose, table: pd.DataFrame
) -> None:
    cfg = composed(model=OmegaConf.create({"_target_": f"sklearn.{kind}"}))
    with pytest.raises(LockstepError, match="this pipeline is for classification and regression"):
        fit(cfg, table)


class OnlyCodes(DecisionTreeClassifier):  # type: ignore[misc] # scikit-learn has no types
    """Accepts classes only as numbers, as XGBoost and neural networks do."""

    def fit(self, features: object, target: object, **options: object) -> "OnlyCodes":
        if set(pd.Series(target)) != {0, 1}:
            raise TypeError("invalid data type 'str'")
        return super().fit(features, target, **options)  # type: ignore[no-any-return]


class Columns(DecisionTreeClassifier):  # type: ignore[misc]
    """Answers with an array for each row, as CatBoost does."""

    def predict(self, features: object, check_input: bool = True) -> Any:
        return super().predict(features).reshape(-1, 1)


@pytest.mark.parametrize("kind", [OnlyCodes, Columns])
def test_a_classifier_of_other_habits_learns_and_predicts_texts(
    kind: type, composed: Compose, table: pd.DataFrame, features: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(train, "build", lambda section: kind())
    labels = pd.Series(["b", "a"] * 60, index=table.index)
    fitted = train.fit(features, labels, composed(data__task="classification"))
    predicted = fitted.predict(features)
    assert set(predicted) == {"a", "b"}
    assert (predicted == labels).mean() > 0.9, "each class is predicted for its own rows"
    assert list(fitted.classes_) == ["a", "b"]
    assert isinstance(estimators.without_codes(fitted[-1]), kind)


class Mistaken(DecisionTreeClassifier):  # type: ignore[misc]
    """Has a mistake in its `fit`."""

    def fit(self, features: object, target: object, **options: object) -> "Mistaken":
        raise TypeError("unsupported operand")


def test_a_mistake_in_fit_is_a_message(
    composed: Compose, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "build", lambda section: Mistaken())
    with pytest.raises(LockstepError, match="cannot be fitted: TypeError: unsupported operand"):
        fit(composed(data__task="classification"), table.assign(outcome=["b", "a"] * 60))


def test_times_and_random_ids_are_no_part_of_a_model() -> None:
    class Fitted:
        """Has what CatBoost, a search and skorch keep."""

        def __init__(self, number: float) -> None:
            self.metadata = {"model_guid": str(number), "train_finish_time": str(number)}
            self.refit_time_ = number
            self.cv_results_ = {"mean_fit_time": [number], "mean_test_score": [0.5]}
            self.history = [{"dur": number, "train_loss": 0.5}]

        def get_params(self) -> dict[str, Any]:
            return {}

        def get_metadata(self) -> dict[str, str]:
            return self.metadata

    def settled(number: float) -> list[Any]:
        model = Pipeline([("model", VotingClassifier([("inner", Fitted(number))]))])
        estimators.settle(model)
        return [vars(part) for part in estimators.parts(model) if isinstance(part, Fitted)]

    assert settled(1.0) == settled(2.0)
    assert settled(1.0)[0]["cv_results_"] == {"mean_test_score": [0.5]}


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


def test_some_rows_at_a_time_teach_the_same_from_a_file(
    composed: Compose, table: pd.DataFrame, features: pd.DataFrame, tmp_path: Path
) -> None:
    table.to_parquet(tmp_path / "train.parquet")
    cfg = composed("model=sgd", "preprocess=onehot", model__rows=50, model__preprocess_rows=60)
    from_file = train.fit_table(Table(tmp_path / "train.parquet"), cfg)
    assert (from_file.predict(features) == fit(cfg, table).predict(features)).all()
    assert from_file[-1].t_ > cfg.model.epochs * len(table), "each row in each epoch"


def test_a_training_that_takes_much_memory_says_so(composed: Compose, table: pd.DataFrame) -> None:
    cfg = composed("model=random_forest")
    features, target = table.drop(columns="outcome"), table["outcome"]
    preprocess, model = (part for _, part in train.fit(features, target, cfg).steps)
    assert memory_note(model, preprocess, features, 1000) == ""
    note = memory_note(model, preprocess, features, 10**9)
    assert "takes about" in note
    assert "split.train_rows=1000000 trains on some of the rows, model=sgd" in note


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
