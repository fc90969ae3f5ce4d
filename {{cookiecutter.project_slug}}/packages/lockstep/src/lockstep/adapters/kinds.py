"""The kinds of models that `type: model` in dvc.yaml may point to: docs/models.md lists them.

A kind is a function that looks at a file or folder and returns how MLflow is given it, or None if
it is of another kind. To add one, write it in a module here and add it to those of `kind_of`.
"""

from pathlib import Path

from lockstep.adapters import boosting, code, folders, onnx, sklearn, torch
from lockstep.adapters.kind import Kind


def kind_of(path: Path, load: str | None) -> Kind | None:
    """The kind of a model; None if it is none of those that are known.

    Args:
        load: The dotted name of a function of the project that loads it, if dvc.yaml names one.

    Raises:
        Exception: What the model's framework raises.
    """
    if load:
        return code.loaded_by(load, path)
    kinds = (code.kind, folders.kind, sklearn.kind, boosting.kind, onnx.kind, torch.kind)
    return next((found for kind in kinds if (found := kind(path))), None)
