"""ONNX: a graph of operators, whichever framework it was exported from."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep.adapters.kind import Kind

if TYPE_CHECKING:
    import pandas as pd

DTYPES = {"float16": "float16", "float": "float32", "double": "float64", "string": "object"}


def kind(path: Path) -> Kind | None:
    """A file `.onnx`, with its weights in it or beside it."""
    if path.suffix != ".onnx":
        return None
    import onnx

    return Kind("onnx", (onnx.load(path),), packages={"onnx", "onnxruntime"})


class Graph:
    """A graph that predicts for tables.

    A graph with one input takes all columns, another one each column by its name. Its first output
    is the prediction.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        self._path = path
        self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def __reduce__(self) -> tuple[Any, ...]:
        """By its path, as a session cannot be pickled."""
        return Graph, (self._path,)

    def predict(self, table: "pd.DataFrame") -> Any:
        """The first output, which has a row for each of the table."""
        inputs = self._session.get_inputs()
        feeds = {}
        for wanted in inputs:
            columns = table if len(inputs) == 1 else table[[wanted.name]]
            kind = wanted.type.removeprefix("tensor(").removesuffix(")")
            values = columns.to_numpy(DTYPES.get(kind, kind))
            feeds[wanted.name] = values[:, 0] if len(wanted.shape) == 1 else values
        return self._session.run(None, feeds)[0]
