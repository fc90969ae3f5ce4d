"""scikit-learn: its models in the format of DVC's cache and in those of MLflow.

DVC keeps a joblib file, which is bit-identical when the same model is trained again. MLflow
gets skops, which runs no code when it is loaded, or a pickle where skops cannot hold a model.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

SKOPS, CLOUDPICKLE = "skops", "cloudpickle"  # as MLflow names its formats


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
