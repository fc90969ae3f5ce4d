"""Load the models of MLflow, of any kind."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from lockstep.adapters.trusted_model import load_model


def load_any(folder: Path, trusted: Collection[str] | None) -> Any:
    """The model in a folder, as something with `predict`.

    Args:
        trusted: As `load_model` takes it; None trusts the folder as the project itself.

    Returns:
        An estimator of scikit-learn, or MLflow's object for the model.

    Raises:
        LockstepError: It is not trusted, or of no kind that can be loaded.
    """
    model = load_model(folder, trusted)
    return load_pyfunc(folder) if isinstance(model, Path) else model


def load_pyfunc(folder: Path) -> Any:
    """The model in a folder, of any framework, as MLflow's `PyFuncModel`."""
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(str(folder))
