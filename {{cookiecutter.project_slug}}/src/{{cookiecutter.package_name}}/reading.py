"""Read the raw file: a CSV as text, a Parquet file with its types."""

import csv
import io
import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from lockstep import LockstepError

DELIMITERS = ",;\t|"
HEAD = 2**20  # bytes that are inspected, or read at a time


def read_raw(path: Path, options: Any) -> tuple[pd.DataFrame, str]:
    """Read a raw table.

    Args:
        path: A CSV or Parquet file.
        options: `delimiter`, `encoding` and `decimal` of a CSV; None detects them.

    Returns:
        All rows, the columns of a CSV as text, those of a Parquet file with their types; the index
        `row` counts from 1. And the decimal marks that may occur in text, the likely one first.

    Raises:
        LockstepError: The file cannot be read, has no rows, or its column names are not unique.
    """
    if path.suffix == ".parquet":
        table, delimiter = _read_parquet(path), ","
    else:
        table, delimiter = _read_csv(path, options)
    names = [
        name
        if name.strip()
        else f"column_{number}"  # the index that pandas and R write has no name
        for number, name in enumerate(table.column_names, start=1)
    ]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise LockstepError(
            f"{path} has more than one column named {twice[0]!r}: rename all but one"
        )
    if table.num_rows == 0:
        raise LockstepError(f"{path} has no rows below its header: add data")
    frame: pd.DataFrame = table.rename_columns(names).to_pandas(
        ignore_metadata=True, date_as_object=False
    )
    frame.index = pd.RangeIndex(1, len(frame) + 1, name="row")
    return frame, options.decimal or (",." if delimiter == ";" else ".,")


def _read_parquet(path: Path) -> pa.Table:
    try:
        table = pa.parquet.read_table(path)
    except pa.ArrowInvalid as error:
        raise LockstepError(f"{path} is not a Parquet file: {error}") from error
    fields = [field.with_type(_plain(field.type)) for field in table.schema]
    return table.cast(pa.schema(fields))


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type to use instead of one that pandas would store as objects."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    return pa.float64() if pa.types.is_decimal(kind) else kind


def _read_csv(path: Path, options: Any) -> tuple[pa.Table, str]:
    encoding = options.encoding or _encoding(path)
    try:
        with path.open(encoding=encoding, newline="") as file:
            head = "".join(file.readlines(HEAD)).removeprefix("\ufeff")
        delimiter = options.delimiter or _delimiter(head)
        header = next(_rows(head, delimiter), [])
        table = pa.csv.read_csv(
            path,
            pa.csv.ReadOptions(encoding=encoding),
            pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            pa.csv.ConvertOptions(column_types={name: pa.string() for name in header}),
        )
        return table, delimiter
    except (LookupError, UnicodeError) as error:
        raise LockstepError(
            f"{path}: {error}: set data.csv.encoding, for example to latin-1"
        ) from error
    except pa.ArrowInvalid as error:
        raise LockstepError(
            f"{path} is not a table with the delimiter {delimiter!r}: {error}\n"
            "fix the line, or set data.csv.delimiter in conf/data/default.yaml"
        ) from error


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            return "utf-16"
    try:
        with path.open(encoding="utf-8") as text:
            while text.read(HEAD):
                pass
    except UnicodeDecodeError:
        print("note: the raw file is not utf-8; read as latin-1 (data.csv.encoding overrides it)")
        return "latin-1"
    return "utf-8"


def _delimiter(head: str) -> str:
    """The delimiter with which the most lines have as many fields as the header."""

    def agreement(delimiter: str) -> tuple[float, int]:
        widths = [len(row) for row in itertools.islice(_rows(head, delimiter), 100)]
        width = widths[0] if widths else 0
        return (widths.count(width) / len(widths) if width > 1 else 0.0), width

    return max(DELIMITERS, key=agreement)


def _rows(head: str, delimiter: str) -> Iterator[list[str]]:
    return (row for row in csv.reader(io.StringIO(head, newline=""), delimiter=delimiter) if row)
