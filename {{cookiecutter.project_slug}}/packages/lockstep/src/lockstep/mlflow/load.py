"""Load the models of MLflow, of any kind."""

import importlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from lockstep import LockstepError
from lockstep.adapters.trusted_model import load_model, mlmodel

# The flavors whose files hold a model and no code, each with the class that MLmodel may name: the
# library itself reads them, whatever MLmodel says besides.
NATIVE = {
    "catboost": None,
    "lightgbm": "lightgbm.basic.Booster",
    "onnx": None,
    "xgboost": "xgboost.core.Booster",
}


def load_any(folder: Path, trusted: Collection[str] | None) -> Any:
    """The model in a folder, as something with `predict`.

    Args:
        trusted: As `load_model` takes it; None trusts the folder as the project itself.

    Returns:
        An estimator of scikit-learn; of another kind, MLflow's object for it.

    Raises:
        LockstepError: It is not trusted, or of no kind that can be loaded.
    """
    flavors = mlmodel(folder).get("flavors") or {}
    if not flavors:
        raise LockstepError(
            "MLflow cannot load this model: it is of no kind that docs/models.md of Lockstep lists"
        )
    for flavor in NATIVE.keys() & flavors.keys():
        if flavors[flavor].get("model_class") == NATIVE[flavor]:
            reader = importlib.import_module(f"mlflow.{flavor}")
            return reader._load_pyfunc(str(folder / flavors[flavor]["data"]))
    model = load_model(folder, trusted)
    return load_pyfunc(folder) if isinstance(model, Path) else model


def load_pyfunc(folder: Path) -> Any:
    """The model in a folder, of any framework, as MLflow's `PyFuncModel`."""
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(str(folder))
