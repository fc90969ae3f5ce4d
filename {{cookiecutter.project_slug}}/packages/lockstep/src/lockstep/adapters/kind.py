"""What a kind of model says of a file or folder: how MLflow is given it."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Kind:
    """A model, and how one of MLflow's flavors saves it.

    Attributes:
        flavor: `mlflow.FLAVOR.save_model` is called.
        arguments: The first ones of that call.
        options: Further ones, by name.
        packages: What has to be installed where it is loaded, by import name.
        loader: The source of a module with `_load_pyfunc`, if the flavor is `pyfunc`.
        predict: What it predicts for a table; None if the saved model is loaded to find that out.
        note: For the user.
    """

    flavor: str
    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    packages: Set[str] = frozenset()
    loader: str = ""
    predict: Callable[[Any], Any] | None = None
    note: str = ""


def pyfunc(loader: str, path: Path, packages: Set[str] = frozenset()) -> Kind:
    """A model that the source of a module loads, here as later in MLflow.

    Args:
        loader: Defines `_load_pyfunc(path)`, which returns something with `predict`.
        packages: As in `Kind`.
    """
    namespace: dict[str, Any] = {}
    exec(compile(loader, "loader", "exec"), namespace)
    model = namespace["_load_pyfunc"](str(path))
    return Kind("pyfunc", (), {"data_path": str(path)}, packages, loader, model.predict)
