"""How `lockstep sweep` scores a config: on the training rows alone, fitted as `train` does."""

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

PREPARED_BYTES = 500_000_000  # of preprocessed rows that a worker keeps


class CrossValidation:
    """Scores a config by cross-validation; the test rows are never seen.

    The folds follow the split that made the training rows: by class, by group or by time.
    """

    def __init__(self, train: Path, *, data: Any, split: Any, metric: str, folds: int) -> None:
        """Read the rows once, for all trials of a worker.

        Args:
            train: The rows to learn from and to check on.
            data: The section `data` of the config.
            split: The section `split` of the config.
            metric: scikit-learn's name of a scorer.
            folds: How many times a part of the rows is left out to check on.
        """
        table = pd.read_parquet(train)
        if split.strategy == "time":
            table = table.sort_values(data.time, kind="stable", ignore_index=True)
        self._features, self._target = features_and_target(table, data)
        splitter = {
            "random": KFold(folds, shuffle=True, random_state=split.seed),
            "stratified": StratifiedKFold(folds, shuffle=True, random_state=split.seed),
            "group": GroupKFold(folds, shuffle=True, random_state=split.seed),
            "time": TimeSeriesSplit(folds),
        }[split.strategy]
        groups = table[data.group] if data.group else None
        self._folds = [
            (learn, check, Prepared(PREPARED_BYTES // folds))
            for learn, check in splitter.split(self._features, self._target, groups)
        ]
        self._scorer = get_scorer(metric)
        self._sign = -1 if metric.startswith("neg_") else 1  # shown as a positive number

    def __call__(self, cfg: Any) -> Iterator[float]:
        """The mean score of the folds so far, after each; a sweep may stop listening.

        Args:
            cfg: The params of the stage `train`.
        """
        total = 0.0
        for number, (learn, check, memory) in enumerate(self._folds, start=1):
            model = fit(self._features.iloc[learn], self._target.iloc[learn], cfg, memory)
            score = self._scorer(model, self._features.iloc[check], self._target.iloc[check])
            total += self._sign * float(score)
            yield total / number


class Prepared:
    """What preprocessing made of one fold, for the trials that only try another model.

    A `memory` for scikit-learn's Pipeline. joblib's own would hash the rows for each trial and
    leave them on the disk.
    """

    def __init__(self, size: int) -> None:
        """Keep nothing yet.

        Args:
            size: How much to keep, in bytes; when it is full, it begins anew.
        """
        self._size = self._left = size
        self._made: dict[str, Any] = {}

    def cache(self, fit_transform: Callable[..., Any], **_: Any) -> Callable[..., Any]:
        """The same function, but transformers with the same params are fitted once."""

        def fitted_once(transformer: Any, *args: Any, **options: Any) -> Any:
            key = joblib.hash(transformer)
            if key not in self._made:
                made = fit_transform(transformer, *args, **options)
                needed = _bytes(made[0])
                if needed > self._size:
                    return made
                if needed > self._left:
                    self._made, self._left = {}, self._size
                self._made[key] = made
                self._left -= needed
            return self._made[key]

        return fitted_once


def _bytes(rows: Any) -> int:
    """The size of a table, an array or a sparse one."""
    parts = getattr(rows, "__dict__", {}).values()
    return sys.getsizeof(rows) + sum(getattr(part, "nbytes", 0) for part in parts)
