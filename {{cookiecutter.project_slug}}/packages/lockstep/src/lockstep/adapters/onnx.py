"""ONNX: a graph of operators, whichever framework it was exported from."""

from pathlib import Path

from lockstep.adapters.kind import Kind


def kind(path: Path) -> Kind | None:
    """A file `.onnx`, with its weights in it or beside it."""
    if path.suffix != ".onnx":
        return None
    import onnx

    return Kind("onnx", (onnx.load(path),), packages={"onnx", "onnxruntime"})
