"""True values from a file, checked against the answers that they belong to."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from lockstep import LockstepError
from lockstep.inference.kinds import KINDS, Kind, Problem
from lockstep.serve.places import Place
from lockstep.serve.records import TrueValue
from lockstep.serve.settings import ANSWERS
from lockstep.serve.traffic import ROW
from lockstep.values import first_line

if TYPE_CHECKING:
    import pyarrow as pa


def read_values(file: Path, log: Place, now: float) -> tuple[list[TrueValue], int]:
    """The true values in a file for the rows of a log; those that are missing are left out.

    Returns:
        The values, as the model predicts them; and the number of those whose row the log lacks.

    Raises:
        LockstepError: The file cannot be read, a value is not what the model predicts, or the log
            has none of the rows.
    """
    table = _read(file)
    if missing := [name for name in ("request_id", "value") if name not in table]:
        raise LockstepError(f"{file} has no column {missing[0]}: it needs request_id and value")
    table = table[table["value"].notna()]
    answers = log.read(ANSWERS, inputs=False)
    if not len(answers):
        raise LockstepError("the log has no answers yet: is --log the one of `lockstep serve`?")
    rows = pd.to_numeric(table["row"]) if "row" in table else pd.Series(0, index=table.index)
    values = _values(file, table["value"], _kind(answers.schema.field("_prediction").type))
    known = set(zip(*(answers.column(name).to_pylist() for name in ROW), strict=True))
    named = zip(table["request_id"].astype(str), rows.astype(int), values, strict=True)
    truths = [TrueValue(*each, now) for each in named if each[:2] in known]
    if not truths:
        raise LockstepError(f"the log has no answer to any request in {file}")
    return truths, len(table) - len(truths)


def _read(file: Path) -> pd.DataFrame:
    try:
        if file.suffix == ".parquet":
            return pd.read_parquet(file)
        return pd.read_csv(file, dtype="str")
    except (OSError, ValueError) as error:  # pandas' and pyarrow's errors are ValueErrors
        raise LockstepError(f"{file} cannot be read: {first_line(error)}") from error


def _kind(predicted: "pa.DataType") -> Kind:
    import pyarrow.types as types

    for name, fits in (
        ("boolean", types.is_boolean),
        ("long", types.is_integer),
        ("double", types.is_floating),
    ):
        if fits(predicted):
            return KINDS[name]
    return KINDS["string"]


def _values(file: Path, column: "pd.Series[Any]", kind: Kind) -> list[Any]:
    given = column.tolist()
    if file.suffix != ".parquet":
        given = [kind.read(text) for text in given]
    values, wrong = kind.checked(given)
    if wrong:
        problem = Problem("value", *wrong[0])
        raise LockstepError(f"{file}: {problem}, which is what the model predicts")
    return values
