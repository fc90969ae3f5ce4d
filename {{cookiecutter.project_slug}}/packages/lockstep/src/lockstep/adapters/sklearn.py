"""scikit-learn: its models in the format of DVC's cache and in those of MLflow.

DVC keeps a joblib file, which is bit-identical when the same model is trained again. MLflow
gets skops, which runs no code when it is loaded, or a pickle where skops cannot hold a model.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

SKOPS, CLOUDPICKLE = "skops", "cloudpickle"  # as MLflow names its formats


class Answers(NamedTuple):
    """What a model predicts for some rows.

    Attributes:
        predictions: One for each row.
        probabilities: Of each class, shape (rows, classes); None if the model has none.
    """

    predictions: Any
    probabilities: Any = None


# Their `predict` is, by its source, the class with the highest of their probabilities.
_ARGMAX = ("RandomForestClassifier", "ExtraTreesClassifier")


def predict(model: Any, rows: Any, *, probabilities: bool) -> Answers:
    """What a model predicts, with probabilities for the price of one prediction where possible.

    The steps of a pipeline before the last one transform the rows once.
    """
    import sklearn

    with sklearn.config_context(skip_parameter_validation=True):
        if not probabilities:
            return Answers(model.predict(rows))
        if hasattr(model, "steps") and len(model.steps) > 1:
            rows, model = model[:-1].transform(rows), model[-1]
        shares = model.predict_proba(rows)
        kind = type(model)
        if kind.__name__ in _ARGMAX and kind.__module__.startswith("sklearn.ensemble."):
            return Answers(model.classes_[shares.argmax(axis=1)], shares)
        return Answers(model.predict(rows), shares)


def load_model(file: Path) -> Any:
    """The estimator in a joblib file."""
    import joblib

    return joblib.load(file)


def skops_types(model: Any) -> list[str]:
    """The types in a model that skops does not trust by default.

    Raises:
        Exception: skops cannot hold the model; the estimator's own code may raise anything.
    """
    import skops.io

    return list(skops.io.get_untrusted_types(data=skops.io.dumps(model)))


def packages_behind(model: Any, types: Sequence[str]) -> set[str]:
    """The packages that have to be installed where a model is loaded, by import name.

    Args:
        model: An estimator, or a pipeline, whose last step decides.
        types: As `skops_types` returns them.
    """
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    names = [type(last).__module__, *types]
    return {"sklearn", *(name.partition(".")[0] for name in names)}
