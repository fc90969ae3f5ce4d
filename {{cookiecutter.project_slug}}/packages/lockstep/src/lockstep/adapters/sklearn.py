"""scikit-learn: its models in the format of DVC's cache and in those of MLflow.

DVC keeps a joblib file, which is bit-identical when the same model is trained again. MLflow
gets skops, which runs no code when it is loaded, or a pickle where skops cannot hold a model.
"""

import io
import pickle
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lockstep.adapters.code import packages_behind
from lockstep.adapters.kind import Kind

PICKLES = (".joblib", ".pkl", ".pickle")

SKOPS, CLOUDPICKLE = "skops", "cloudpickle"  # as MLflow names its formats


class Answers(NamedTuple):
    """What a model predicts for some rows.

    Attributes:
        predictions: An array with one for each row, or with a row of several.
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
    with _quick():
        if not probabilities:
            return Answers(_by_row(model.predict(rows), rows))
        if hasattr(model, "steps") and len(model.steps) > 1:
            rows, model = model[:-1].transform(rows), model[-1]
        shares = model.predict_proba(rows)
        kind = type(model)
        if kind.__name__ in _ARGMAX and kind.__module__.startswith("sklearn.ensemble."):
            return Answers(model.classes_[shares.argmax(axis=1)], shares)
        return Answers(_by_row(model.predict(rows), rows), shares)


def _quick() -> AbstractContextManager[None]:
    """Without the checks of parameters; nothing for a model that is not scikit-learn's."""
    if "sklearn" not in sys.modules:
        return nullcontext()
    import sklearn

    quick: AbstractContextManager[None] = sklearn.config_context(skip_parameter_validation=True)
    return quick


def _by_row(predicted: Any, rows: Any) -> Any:
    """Predictions as an array with one for each row, or with a row of several."""
    array = np.asarray(predicted)
    if array.ndim == 0 or len(array) != rows.shape[0]:
        raise TypeError(f"the model predicted a {type(predicted).__name__}, not one value per row")
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def load_model(file: Path) -> Any:
    """The estimator in a joblib file."""
    import joblib

    return joblib.load(file)


def kind(path: Path) -> Kind | None:
    """A joblib file or a pickle with an estimator, or with the results of statsmodels."""
    if path.suffix not in PICKLES:
        return None
    model = load_model(path)
    if type(model).__module__.startswith("statsmodels."):
        return Kind("statsmodels", (model,), packages={"statsmodels"})
    try:
        types = skops_types(model)
    except Exception as error:  # skops raises what the estimator's own code raises
        types, skops_format = _names_in_pickle(model), CLOUDPICKLE
        note = (
            f"note: the model cannot be saved in the safe format skops ({error.__cause__ or error}"
            "); it is pickled: load it only where you trust its source"
        )
    else:
        skops_format, note = SKOPS, ""
    options = {
        "serialization_format": skops_format,
        # The model comes from this project's own training; MLmodel records its types.
        "skops_trusted_types": types if types and skops_format == SKOPS else None,
    }
    packages = {skops_format, *packages_behind_model(model, types)}
    return Kind("sklearn", (model,), options, packages, predict=model.predict, note=note)


def skops_types(model: Any) -> list[str]:
    """The types in a model that skops does not trust by default.

    Raises:
        Exception: skops cannot hold the model; the estimator's own code may raise anything.
    """
    import skops.io

    return list(skops.io.get_untrusted_types(data=skops.io.dumps(model)))


def packages_behind_model(model: Any, types: Sequence[str]) -> set[str]:
    """The packages that have to be installed where a model is loaded, by import name.

    Args:
        model: An estimator, or a pipeline, whose last step decides.
        types: As `skops_types` returns them.
    """
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    names = {type(last).__module__, *types}
    tops = {name.partition(".")[0] for name in names}
    return {"sklearn", *tops, *(package for name in names for package in packages_behind(name))}


def _names_in_pickle(model: Any) -> list[str]:
    """The classes and functions that a pickle of a model needs."""
    import cloudpickle

    names = []

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            names.append(f"{module}.{name}")
            return super().find_class(module, name)

    Unpickler(io.BytesIO(cloudpickle.dumps(model))).load()
    return names
