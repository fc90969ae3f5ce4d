"""Score a config for `lockstep sweep`, on the training rows and with the code of `train`."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from sklearn.metrics import get_scorer
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, TimeSeriesSplit

from .features import features_and_target
from .train import fit

CACHE_BYTES = 500_000_000  # of preprocessed rows, per worker


class CrossValidation:
    """Scores a config by cross-validation on the training rows; the test rows are never read.

    The folds follow the strategy of the split: by class, by group or by time.
    """

    def __init__(self, train: Path, *, data: Any, split: Any, metric: str, folds: int) -> None:
        """Read the rows once for all trials of a worker.

        Args:
            train: The file of the training rows.
            data: The section `data` of the config.
            split: The section `split` of the config.
            metric: The name of a scikit-learn scorer.
            folds: The number of folds.
        """
        table = pd.read_parquet(train)
        if split.strategy in ("time", "partitions") and data.time:
            table = table.sort_values(data.time, kind="stable", ignore_index=True)
        self._features, self._target = features_and_target(table, data)
        splitter = {
            "random": KFold(folds, shuffle=True, random_state=split.seed),
            "stratified": StratifiedKFold(folds, shuffle=True, random_state=split.seed),
            "group": GroupKFold(folds, shuffle=True, random_state=split.seed),
            "time": TimeSeriesSplit(folds),
            "partitions": TimeSeriesSplit(folds),
        }[split.strategy]
        groups = table[data.group] if data.group else None
        self._folds = [
            (learn, check, PreprocessingCache(CACHE_BYTES // folds))
            for learn, check in splitter.split(self._features, self._target, groups)
        ]
        self._scorer = get_scorer(metric)
        self._sign = -1 if metric.startswith("neg_") else 1  # shown as a positive number

    def __call__(self, cfg: Any) -> Iterator[float]:
        """The mean score after each fold; a sweep may stop iterating to prune the trial.

        Args:
            cfg: The params of the stage `train`.
        """
        total = 0.0
        for number, (learn, check, memory) in enumerate(self._folds, start=1):
            model = fit(self._features.iloc[learn], self._target.iloc[learn], cfg, memory)
            score = self._scorer(model, self._features.iloc[check], self._target.iloc[check])
            total += self._sign * float(score)
            yield total / number


class PreprocessingCache:
    """The preprocessed rows of one fold, shared by trials that differ in the model only.

    A `memory` for scikit-learn's Pipeline. The one of joblib would hash the rows in each trial and
    leave files on the disk.
    """

    def __init__(self, size: int) -> None:
        """Start empty.

        Args:
            size: The capacity in bytes; a full cache is cleared.
        """
        self._size = self._left = size
        self._results: dict[str, Any] = {}

    def cache(self, fit_transform: Callable[..., Any], **_: Any) -> Callable[..., Any]:
        """The same function, except that transformers with equal params are fitted once."""

        def fitted_once(transformer: Any, *args: Any, **options: Any) -> Any:
            key = joblib.hash(transformer)
            if key not in self._results:
                result = fit_transform(transformer, *args, **options)
                needed = _bytes(result[0])
                if needed > self._size:
                    return result
                if needed > self._left:
                    self._results, self._left = {}, self._size
                self._results[key] = result
                self._left -= needed
            return self._results[key]

        return fitted_once


def _bytes(rows: Any) -> int:
    """The size of a table, an array or a sparse array."""
    parts = getattr(rows, "__dict__", {}).values()
    return sys.getsizeof(rows) + sum(getattr(part, "nbytes", 0) for part in parts)
