"""Models in files that hold numbers and no code: their own libraries read them, without MLflow."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lockstep.adapters import boosting, onnx

# By flavor of MLflow: the class that MLmodel may name, and what reads the file, whatever MLmodel
# says besides.
READERS: dict[str, tuple[str | None, Callable[[Path], Any]]] = {
    "catboost": (None, boosting.catboost_model),
    "lightgbm": ("lightgbm.basic.Booster", boosting.lightgbm_model),
    "onnx": (None, onnx.Graph),
    "xgboost": ("xgboost.core.Booster", boosting.XGBoost),
}


def native_flavor(flavors: Mapping[str, Any]) -> str | None:
    """The flavor whose file is loaded by its own library; None without one.

    Args:
        flavors: Those of an MLflow model.
    """
    for name, (kind, _) in READERS.items():
        if name in flavors and flavors[name].get("model_class") == kind:
            return name
    return None


def load_native(folder: Path, name: str, flavors: Mapping[str, Any]) -> Any:
    """The model of a native flavor, as something with `predict`."""
    return READERS[name][1](folder / flavors[name]["data"])
