"""Fit preprocessing and model as one pipeline: data/train.parquet -> models/model.joblib."""

import itertools
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.base import is_classifier, is_regressor
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from lockstep import LockstepError
from lockstep.history import history

from .batches import Batch, InBatches, memory_note
from .estimators import epochs, fit_classifier, settle, without_codes
from .features import build, features_and_target, preprocessor
from .tables import Table, batches, read_table

# The attributes in which estimators keep learning curves -> the columns of metrics/history.csv.
CURVES = {
    "train_score_": "train_score",
    "validation_score_": "validation_score",
    "loss_curve_": "train_loss",
    "validation_scores_": "validation_score",
}
FEW = 10_000  # rows take little memory with any model, and show what more of them will take
# Kinds of estimators that no target teaches.
OUT_OF_SCOPE = {"clusterer": "finds clusters", "outlier_detector": "finds outliers"}


def main(cfg: Any, train: Path, model: Path, example: Path, history_file: Path) -> None:
    """Run the stage; `example` receives a few input rows, `history_file` the learning curve."""
    table = Table(train)
    example_of(table, cfg.data).to_parquet(example)
    columns = len([column for column in table if column not in (cfg.data.target, cfg.data.group)])
    if note := _memory_note(table, cfg):
        print(note)
    name = cfg.model._target_.rpartition(".")[2]
    print(f"fitting {name} on {len(table)} rows, {columns} columns ...", flush=True)
    start = time.perf_counter()
    with history(history_file) as log:
        pipeline = fit_table(table, cfg)
        seconds = time.perf_counter() - start
        for step, values in enumerate(learning_curve(without_codes(pipeline[-1]))):
            log(step=step, **values)
    settle(pipeline)
    joblib.dump(pipeline, model, compress=3)  # deterministic: fitting again gives the same bytes
    size = model.stat().st_size / 1e6
    print(f"fitted in {seconds:.1f} s; the model takes {size:.1f} MB")


def example_of(table: Table, data: Any) -> pd.DataFrame:
    """A few rows of input: the first ones, and the first missing value of each column.

    MLflow infers the model's signature from them, including which columns may be missing.
    """
    ignored = (data.target, data.group)
    gaps = [table[name].isna().to_numpy() for name in table if name not in ignored]
    first_gaps = [gap.argmax() for gap in gaps if gap.any()]
    rows = sorted({*range(min(5, len(table))), *first_gaps})
    features, _ = features_and_target(table.loc(table.index[rows]), data)
    return features.reset_index(drop=True)


def _memory_note(table: Table, cfg: Any) -> str:
    model = build(cfg.model)
    if isinstance(model, InBatches) or len(table) <= FEW:
        return ""
    features, target = features_and_target(next(batches(table.path, FEW)), cfg.data)
    preprocess = preprocessor(features, cfg.preprocess).fit(features, target)
    return memory_note(model, preprocess, features, len(table))


def fit_table(table: Table, cfg: Any) -> Pipeline:
    """Fit the pipeline on the rows of a file, as `fit` does."""

    def parts(size: int) -> Iterator[Batch]:
        return (features_and_target(rows, cfg.data) for rows in batches(table.path, size))

    return _fit(
        lambda: features_and_target(read_table(table.path), cfg.data), parts, len(table), cfg
    )


def fit(features: pd.DataFrame, target: "pd.Series[Any]", cfg: Any, memory: Any = None) -> Pipeline:
    """Fit the pipeline that the sections `preprocess` and `model` of the config describe.

    Args:
        features: The columns to learn from.
        target: The values to predict.
        cfg: The params of the stage.
        memory: A cache of preprocessed rows, for scikit-learn's Pipeline.

    Raises:
        LockstepError: The model does not accept the data.
    """

    def parts(size: int) -> Iterator[Batch]:
        for start in range(0, len(features), size):
            yield features.iloc[start : start + size], target.iloc[start : start + size]

    return _fit(lambda: (features, target), parts, len(features), cfg, memory)


def _fit(
    whole: Callable[[], Batch],
    parts: Callable[[int], Iterable[Batch]],
    rows: int,
    cfg: Any,
    memory: Any = None,
) -> Pipeline:
    model = build(cfg.model)
    is_class = cfg.data.task == "classification"
    _require_task(model.estimator if isinstance(model, InBatches) else model, cfg)
    try:
        if isinstance(model, InBatches):
            to_numbers = partial(preprocessor, preprocess=cfg.preprocess)
            return model.fit(to_numbers, parts, rows, is_class=is_class)
        features, target = whole()

        def fitted(model: Any) -> Pipeline:
            steps = [("preprocess", preprocessor(features, cfg.preprocess)), ("model", model)]
            return Pipeline(steps, memory=memory).fit(features, target)

        return fit_classifier(fitted, model, features, target) if is_class else fitted(model)
    except LockstepError:
        raise
    except Exception as error:  # libraries raise different ones for the same mistake
        raise LockstepError(
            f"{cfg.model._target_} cannot be fitted: {_described(error)}\n"
            "change conf/model, or conf/preprocess so that the model receives data that it supports"
        ) from error


def _described(error: Exception) -> str:
    """What is wrong; an unusual error with its type and, in this package, its place."""
    if isinstance(error, ValueError):
        return str(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    own = Path(last.filename).is_relative_to(Path(__file__).parent)
    place = f" ({Path(last.filename).name}, line {last.lineno})" if own else ""
    return f"{type(error).__name__}: {error}{place}"


def learning_curve(model: Any) -> Iterator[dict[str, float]]:
    """The scores of each iteration, if the fitted estimator kept them."""
    for epoch in epochs(model):
        yield {
            name.replace("valid_", "validation_"): float(value)
            for name, value in epoch.items()
            if name.endswith(("_loss", "_acc"))
        }
    curves = dict(
        _as_error(name, np.ravel(curve).tolist())
        for attribute, name in CURVES.items()
        if (curve := getattr(model, attribute, None)) is not None
    )
    for values in itertools.zip_longest(*curves.values()):
        yield {name: value for name, value in zip(curves, values, strict=True) if value is not None}


def _as_error(name: str, curve: list[float]) -> tuple[str, list[float]]:
    """A curve with its name; scikit-learn's scores of errors, which are negative, become errors."""
    if any(value > 0 for value in curve):
        return name, curve
    return name.replace("score", "loss"), [-value for value in curve]


def _require_task(model: Any, cfg: Any) -> None:
    """Refuse a model for another task, which may even be fitted without an error."""
    if not hasattr(model, "__sklearn_tags__"):
        return
    for suits, task in ((is_classifier, "classification"), (is_regressor, "regression")):
        if suits(model) and cfg.data.task != task:
            raise LockstepError(
                f"{cfg.model._target_} is for {task}, but data.task is {cfg.data.task}: choose a "
                f"model for {cfg.data.task} in conf/model, or set data.task: {task}"
            )
    kind = get_tags(model).estimator_type
    if kind in OUT_OF_SCOPE or not hasattr(model, "predict"):
        raise LockstepError(
            f"{cfg.model._target_} {OUT_OF_SCOPE.get(kind, 'predicts nothing')}: this pipeline is "
            f"for classification and regression; choose a model for {cfg.data.task} in conf/model"
        )
