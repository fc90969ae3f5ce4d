"""PyTorch: programs that need no code of the project.

A state dict is not one of them: `meta: {load: package.module.function}` in dvc.yaml names what
loads it.
"""

import zipfile
from pathlib import Path

from lockstep.adapters.kind import Kind, pyfunc

EXPORTED = """\
import torch


class Program:
    def __init__(self, path):
        self._module = torch.export.load(path).module()

    def predict(self, table):
        with torch.no_grad():
            return self._module(torch.from_numpy(table.to_numpy("float32", copy=True))).numpy()


def _load_pyfunc(path):
    return Program(path)
"""


def kind(path: Path) -> Kind | None:
    """A TorchScript archive, or an exported program (`.pt2`)."""
    if path.suffix == ".pt2":
        return pyfunc(EXPORTED, path, {"torch"})
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        if not any("/code/" in name for name in archive.namelist()):
            return None  # a pickle of torch.save
    import torch

    script = torch.jit.load(str(path), map_location="cpu")
    return Kind("pytorch", (script,), {"serialization_format": "pickle"}, {"torch"})
