"""Learn from more rows than fit in memory; and tell what learning from all rows at once takes."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
import psutil
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.pipeline import Pipeline

Batch = tuple[pd.DataFrame, "pd.Series[Any]"]
FORESTS = (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
COPIES = 3  # of the preprocessed rows: its parts, the whole, and most models make another
NODES = 100  # bytes of those that a row adds to a tree that grows until it knows each row
MUCH = 1e9  # bytes; a need of less is not worth a note


class InBatches:
    """Teaches an estimator with `partial_fit` some rows at a time.

    conf/model/sgd.yaml names it as `_target_`. The fitted pipeline has the estimator itself.
    """

    def __init__(
        self, estimator: Any, rows: int = 100_000, epochs: int = 5, preprocess_rows: int = 500_000
    ) -> None:
        """Choose how many rows are in memory.

        Args:
            estimator: It has a method `partial_fit`.
            rows: Those of a batch.
            epochs: How often each row is learned from.
            preprocess_rows: Those, evenly spread, that preprocessing is fitted on.
        """
        self.estimator, self.rows, self.epochs = estimator, rows, epochs
        self.preprocess_rows = preprocess_rows

    def fit(
        self,
        preprocessor: Callable[[pd.DataFrame], Any],
        batches: Callable[[int], Iterable[Batch]],
        rows: int,
        *,
        is_class: bool,
    ) -> Pipeline:
        """Fit a pipeline.

        Args:
            preprocessor: Makes unfitted transformers for features.
            batches: Iterates over features and target, given the rows of a batch.
            rows: The number of all rows.
            is_class: Whether the target are classes.
        """
        step = -(-rows // self.preprocess_rows)
        some: list[Batch] = []
        classes: set[Any] = set()
        for features, target in batches(self.rows):
            some.append((features.iloc[::step], target.iloc[::step]))
            if is_class:
                classes |= set(target.unique())
        features, target = (pd.concat(parts) for parts in zip(*some, strict=True))
        preprocess = preprocessor(features).fit(features, target)
        known = {"classes": np.array(sorted(classes))} if is_class else {}
        for _ in range(self.epochs):
            for features, target in batches(self.rows):
                self.estimator.partial_fit(preprocess.transform(features), target, **known)
        return Pipeline([("preprocess", preprocess), ("model", self.estimator)])


def memory_note(model: Any, preprocess: Any, features: pd.DataFrame, rows: int) -> str:
    """How much memory it takes to fit a model, if that is much, and what takes less.

    Args:
        model: The unfitted model.
        preprocess: Fitted transformers.
        features: Some of the rows.
        rows: The number of all rows.
    """
    width = preprocess.transform(features).shape[1]
    each = features.memory_usage(deep=True).sum() / len(features) + COPIES * 8 * width
    if isinstance(model, FORESTS) and model.max_depth is None:
        each += NODES * model.n_estimators / max(model.min_samples_leaf, 1)
    needed, free = rows * each, psutil.virtual_memory().available
    if needed < min(MUCH, free):
        return ""
    return (
        f"{'warning' if needed > free else 'note'}: this model learns from all rows at once, which "
        f"takes about {needed / 1e9:.1f} GB of memory; {free / 1e9:.1f} GB are free. "
        "split.train_rows=1000000 trains on some of the rows, model=sgd on some at a time"
    )
