"""XGBoost fitted by several machines, through Ray Train (https://docs.ray.io/en/latest/train).

The fitted model is an ordinary one of XGBoost's: it is saved, served and rebuilt as any other.
"""

import copy
import os
import tempfile
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils import get_tags

from lockstep import LockstepError
from lockstep.cluster import HERE, join_ray
from lockstep.dvc.durations import ran_at


class OnRay(BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """A model of XGBoost that several workers fit together, each with its share of the rows.

    The same number of workers gives the same model, on one machine or on many. When a machine is
    lost, training starts again on the others.
    """

    def __init__(self, model: Any, workers: int = 2, threads: int = 1, tries: int = 3) -> None:
        """Choose what to fit, and by how many workers.

        Args:
            model: An `XGBClassifier` or `XGBRegressor`, unfitted.
            workers: They run on the cluster that the environment variable RAY_ADDRESS names, or
                else on this machine.
            threads: How many cores each worker uses.
            tries: How often training may start again.
        """
        self.model = model
        self.workers = workers
        self.threads = threads
        self.tries = tries

    def fit(self, rows: Any, target: Any) -> "OnRay":
        """Fit the model on the cluster.

        Args:
            rows: The features, shape (rows, columns).
            target: What to predict, shape (rows,).

        Raises:
            LockstepError: The cluster cannot be joined, or is too small.
            ValueError: The classes are not the numbers from 0; XGBoost takes no others.
        """
        target = np.asarray(target)
        settings = {
            "params": {**_params(self.model, target), "nthread": self.threads},
            "rounds": self.model.get_num_boosting_rounds(),
        }
        booster, where = self._grown(rows, target, settings)
        self.model_ = type(self.model)(**self.model.get_params())
        self.model_.load_model(bytearray(booster))
        ran_at(where)
        print(f"fitted by {where}", flush=True)
        return self

    def predict(self, rows: Any) -> Any:
        """What the fitted model predicts."""
        return self.model_.predict(rows)

    def predict_proba(self, rows: Any) -> Any:
        """The probabilities of the classes."""
        return self.model_.predict_proba(rows)

    def __sklearn_tags__(self) -> Any:
        """Those of the model."""
        return get_tags(self.model)

    def __reduce__(self) -> Any:
        """Pickle the model of XGBoost alone: whoever loads it needs neither Ray nor this module."""
        return copy.copy, (getattr(self, "model_", self.model),)

    def _grown(self, rows: Any, target: Any, settings: Mapping[str, Any]) -> tuple[bytes, str]:
        """The booster as XGBoost saves it, and where it was fitted."""
        cores = self.workers * self.threads
        ray = join_ray(os.environ.get("RAY_ADDRESS", HERE), max(cores, os.cpu_count() or 1))
        if (there := ray.cluster_resources().get("CPU", 0)) < cores:
            raise LockstepError(
                f"model.workers={self.workers} and model.threads={self.threads} need {cores} cores;"
                f" the Ray cluster has {there:g}: add machines with `ray start`, or ask for less"
            )
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.xgboost import XGBoostTrainer

        bounds = np.linspace(0, len(target), self.workers + 1, dtype=int)
        shares = [ray.put((rows[start:end], target[start:end])) for start, end in pairwise(bounds)]
        with tempfile.TemporaryDirectory() as folder:
            trainer = XGBoostTrainer(
                _grow,
                train_loop_config={"shares": shares, **settings},
                scaling_config=ScalingConfig(
                    num_workers=self.workers,
                    resources_per_worker={"CPU": self.threads},
                    placement_strategy="SPREAD",
                ),
                run_config=RunConfig(
                    storage_path=folder, failure_config=FailureConfig(max_failures=self.tries)
                ),
            )
            result: Any = trainer.fit()
        machines = sorted({node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]})
        return (
            result.return_value,
            f"{self.workers} workers of a Ray cluster ({', '.join(machines)})",
        )


def _params(model: Any, target: Any) -> dict[str, Any]:
    """The params of XGBoost's own training function, as its estimators derive them."""
    params: dict[str, Any] = model.get_xgb_params()
    if is_classifier(model):
        classes = np.unique(target)
        if not np.array_equal(classes, np.arange(len(classes))):
            raise ValueError("XGBoost takes only the numbers from 0 as classes")
        if len(classes) > 2:
            params |= {"objective": "multi:softprob", "num_class": len(classes)}
    return params


def _grow(settings: dict[str, Any]) -> Any:
    """Grow the trees with the other workers; the first worker's result is used."""
    import ray
    import xgboost

    rows, target = ray.get(settings["shares"][ray.train.get_context().get_world_rank()])
    share = xgboost.DMatrix(rows, target)
    return bytes(xgboost.train(settings["params"], share, settings["rounds"]).save_raw())
