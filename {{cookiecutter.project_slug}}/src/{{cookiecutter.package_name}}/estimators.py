"""What estimators of other libraries than scikit-learn need, before and after they are fitted."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import is_classifier
from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline


def fit_classifier(
    fit: Callable[[Any], Pipeline], model: Any, features: pd.DataFrame, classes: "pd.Series[Any]"
) -> Pipeline:
    """Fit a classifier so that it learns the classes, and predicts one for each row.

    Args:
        fit: Fits a pipeline that ends with the model that it is given.
        model: Where it accepts classes only as numbers (XGBoost, see dmlc/xgboost#11228; neural
            networks), it gets numbers; where it answers with an array for each row (CatBoost), the
            classes are taken out.
        features: The rows to learn from, shape (rows, columns).
        classes: Their classes, shape (rows,).
    """
    try:
        pipeline = fit(model)
    except Exception:
        if set(classes) == set(range(classes.nunique())) or not is_classifier(model):
            raise
        return fit(_with_codes(model))
    if np.ndim(pipeline.predict(features[:1])) > 1:
        flat = _with_codes(FrozenEstimator(pipeline[-1])).fit(features, classes)
        pipeline.steps[-1] = (pipeline.steps[-1][0], flat)
    return pipeline


def _with_codes(model: Any) -> VotingClassifier:
    """An ensemble of one classifier, which encodes the classes and decodes the predictions."""
    voting = "soft" if hasattr(model, "predict_proba") else "hard"
    return VotingClassifier([("model", model)], voting=voting)


def without_codes(model: Any) -> Any:
    """The classifier in an ensemble of one; another model itself."""
    if isinstance(model, VotingClassifier) and len(model.estimators_) == 1:
        model = model.estimators_[0]
    return model.estimator if isinstance(model, FrozenEstimator) else model


def settle(model: Any) -> None:
    """Take out of a fitted model what is no result and differs each time: times, and random ids.

    The same training then gives the same bytes, by which DVC knows that nothing has changed.
    """
    for part in parts(model):
        for name, value in vars(part).items():
            if name.endswith("_time_") and isinstance(value, float):
                setattr(part, name, 0.0)
        for name in [name for name in getattr(part, "cv_results_", ()) if name.endswith("_time")]:
            del part.cv_results_[name]
        if hasattr(part, "get_metadata"):  # of CatBoost
            part.get_metadata()["model_guid"] = part.get_metadata()["train_finish_time"] = ""
        for epoch in epochs(part):
            epoch.pop("dur", None)


def epochs(model: Any) -> list[dict[str, Any]]:
    """What a neural network of skorch keeps of each epoch; empty for other models."""
    history = getattr(model, "history", None)
    return list(history) if isinstance(history, list) else []


def parts(model: Any) -> Iterator[Any]:
    """A fitted estimator and all those in it."""
    seen: set[int] = set()
    unvisited = [model]
    while unvisited:
        value = unvisited.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            unvisited += value.values()
        elif isinstance(value, list | tuple):
            unvisited += value
        elif hasattr(value, "get_params") and not isinstance(value, type):
            yield value
            unvisited += vars(value).values()
