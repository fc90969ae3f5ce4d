"""Read the raw file by column: text as text, other formats with the types that they have."""

import csv
import datetime
import gzip
import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from lockstep import LockstepError

from . import formats

HEAD = 2**20  # bytes that are inspected
BLOCK = 2**23  # bytes of a CSV that are parsed at once
EXACT = 2**53  # larger integers are not exact as floats


class Columns(Mapping[str, "pd.Series[Any]"]):
    """The columns of a raw table, each read when it is asked for."""

    def __init__(
        self, read: Callable[[int], pa.ChunkedArray], names: Sequence[str], rows: int
    ) -> None:
        """Describe the table.

        Args:
            read: Reads the column at a position.
            names: The names of the columns, in order.
            rows: The number of rows.
        """
        self._read, self._names, self._rows = read, list(names), rows

    def __iter__(self) -> Iterator[str]:
        """The names of the columns."""
        return iter(self._names)

    def __len__(self) -> int:
        """The number of columns."""
        return len(self._names)

    def __getitem__(self, name: str) -> "pd.Series[Any]":
        """The values of a column."""
        table = pa.table([_plain(self._read(self._names.index(name)))], [name])
        values: pd.Series[Any] = table.to_pandas(date_as_object=False)[name]
        values.index = _numbers(self._rows)
        return values


def read_raw(path: Path, data: Any) -> tuple[pd.DataFrame, str]:
    """Read a whole raw table, as `open_raw` does."""
    columns, decimals = open_raw(path, data)
    return pd.DataFrame(dict(columns)), decimals


def open_raw(
    path: Path, data: Any, folder: Path | None = None
) -> tuple[Mapping[str, "pd.Series[Any]"], str]:
    """Open a raw table; its content, not its name, shows its format.

    Args:
        path: A CSV, JSON, Parquet, SQLite or Excel file.
        data: The section `data` of the config.
        folder: Where to put the text of a CSV by column, so that it is not in memory; None keeps it
            there.

    Returns:
        The columns, those of a CSV as text, others with their types; the index `row` counts
        from 1. And the decimal marks that may occur in text, the likely one first.

    Raises:
        LockstepError: The file cannot be read, has no rows, or its column names are not unique.
    """
    delimiter = ","
    columns: Mapping[str, pd.Series[Any]]
    try:
        with formats.open_binary(path) as file:
            head = file.read(HEAD)
        form = formats.format_of(head)
        if form == "csv":
            columns, delimiter = _open_csv(path, head, data.csv, folder)
        elif form == "parquet":
            columns = _open_parquet(path)
        else:
            columns = _in_memory(READERS[form](path, data))
    except (ValueError, EOFError, csv.Error, gzip.BadGzipFile, zlib.error) as error:
        raise LockstepError(f"{path.as_posix()} cannot be read: {error}") from error
    if not columns or next(iter(columns.values())).empty:
        raise LockstepError(f"{path.as_posix()} has no rows: add data")
    return columns, data.csv.decimal or (",." if delimiter == ";" else ".,")


def _open_csv(
    path: Path, head: bytes, options: Any, folder: Path | None
) -> tuple[Mapping[str, "pd.Series[Any]"], str]:
    encoding = options.encoding or _encoding(path)
    try:
        start = head.decode(encoding, "ignore").removeprefix("\ufeff")
        delimiter = options.delimiter or formats.delimiter_of(start)
        first = list(itertools.islice(formats.rows_of(start, delimiter), 101))
        if len(head) == HEAD or len(first) > 100:
            del first[-1]  # which may be cut
        names = formats.names_of(first[0], first[1:]) if first else []
        if delimiter == formats.SPACES:
            return _in_memory(_read_spaced(path, encoding, names)), delimiter
        short = len(names) > len(first[0])
        with formats.open_binary(path) as file:
            text = pa.csv.open_csv(
                file,
                pa.csv.ReadOptions(
                    encoding=encoding,
                    column_names=names if short else None,
                    skip_rows=1 if short else 0,
                    block_size=BLOCK,
                ),
                pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                pa.csv.ConvertOptions(
                    column_types={name: pa.large_string() for name in [*first[0], *names]}
                ),
            )
            rows, read = _by_column(text, folder)
    except (LookupError, UnicodeError) as error:
        raise LockstepError(
            f"{path.as_posix()}: {error}: set data.csv.encoding, for example to cp1252"
        ) from error
    except pa.ArrowInvalid as error:
        raise LockstepError(
            f"{path.as_posix()} is not a table with the delimiter {delimiter!r}: {error}\n"
            "fix the line, or set data.csv.delimiter in conf/data/default.yaml"
        ) from error
    return Columns(read, names, rows), delimiter


def _by_column(
    text: pa.RecordBatchReader, folder: Path | None
) -> tuple[int, Callable[[int], pa.ChunkedArray]]:
    """The number of rows in a stream, and what reads a column of them."""
    if folder is None:
        table = text.read_all()
        return table.num_rows, table.column
    rows, path = 0, str(folder / "raw.arrow")
    with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, text.schema) as writer:
        for batch in text:
            writer.write_batch(batch)
            rows += batch.num_rows
    # Mapped again for each column, so that the pages of the last one are released.
    return rows, lambda n: pa.ipc.open_file(pa.memory_map(path)).read_all().column(n)


def _in_memory(frame: pd.DataFrame) -> dict[str, "pd.Series[Any]"]:
    """The columns of a table that is read at once."""
    frame.index = _numbers(len(frame))
    return {str(name): values for name, values in frame.items()}


def _numbers(rows: int) -> pd.RangeIndex:
    return pd.RangeIndex(1, rows + 1, name="row")


def _read_spaced(path: Path, encoding: str, names: Sequence[str]) -> pd.DataFrame:
    """A table whose columns are separated by one or more spaces."""
    with formats.open_binary(path) as file:
        text = file.read().decode(encoding)
    rows = list(formats.rows_of(text, formats.SPACES))[1:]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(names):
            raise ValueError(
                f"row {number} has {len(row)} fields, the others {len(names)}; the fields are "
                "separated by spaces: quote those that contain one"
            )
    return pd.DataFrame(rows, columns=list(names), dtype="str")


def _encoding(path: Path) -> str:
    with formats.open_binary(path) as file:
        encoding = formats.encoding_of(iter(partial(file.read, HEAD), b""))
    if not encoding.startswith("utf"):
        print(f"note: the raw file is not utf-8; read as {encoding} (or set data.csv.encoding)")
    return encoding


def _open_parquet(path: Path) -> Columns:
    dataset = pa.parquet.ParquetDataset(path)
    names = dataset.schema.names
    rows = sum(fragment.count_rows() for fragment in dataset.fragments)
    return Columns(
        lambda n: dataset.read([names[n]]).column(names[n]), formats.names_of(names), rows
    )


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of another type if pandas would store its values as objects."""
    if pa.types.is_dictionary(column.type):
        return _plain(column.cast(column.type.value_type))
    if pa.types.is_decimal(column.type):
        return column.cast(pa.float64())
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        try:
            return column.cast(pa.string())
        except pa.ArrowInvalid:  # not text
            return column
    return column


def _read_json(path: Path, data: Any) -> pd.DataFrame:
    with formats.open_binary(path) as file:
        content = file.read()
    text = content.decode("utf-8-sig")
    names, rows = formats.records_of(text, formats.format_of(content))
    return _frame(names, rows)


def _read_sqlite(path: Path, data: Any) -> pd.DataFrame:
    name = formats.chosen(path, formats.tables_in(path), data.table, data.target)
    return _frame(*formats.rows_in(path, name))


def _read_excel(path: Path, data: Any) -> pd.DataFrame:
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise ValueError("it is an Excel file, which openpyxl reads: uv add openpyxl") from error
    sheets = {}
    with path.open("rb") as file:  # of any name: openpyxl refuses some
        for sheet in load_workbook(file, read_only=True, data_only=True).worksheets:
            filled = (row for row in sheet.iter_rows(values_only=True) if set(row) != {None})
            header, *rows = list(filled) or [()]
            sheets[sheet.title] = formats.names_of([str(cell or "") for cell in header]), rows
    columns = {title: names for title, (names, _) in sheets.items()}
    names, rows = sheets[formats.chosen(path, columns, data.table, data.target)]
    return _frame(names, [(*row, *[None] * (len(names) - len(row))) for row in rows])


READERS = {
    "json": _read_json,
    "jsonl": _read_json,
    "sqlite": _read_sqlite,
    "xlsx": _read_excel,
}


def _frame(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return pd.DataFrame(
        {name: _typed(list(column)) for name, column in zip(names, columns, strict=True)}
    )


def _typed(values: list[Any]) -> "pd.Series[Any]":
    """Values as Python has them, as a column of one type: text, if they are of several."""
    kinds = {type(value) for value in values} - {type(None)}
    if kinds & {dict, list, bytes}:
        return pd.Series(values, dtype="object")
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean")
    if kinds and kinds <= {int, float} and not any(_is_inexact(value) for value in values):
        return pd.Series(values, dtype="float64")
    if kinds and kinds <= {datetime.datetime, datetime.date}:
        return pd.to_datetime(pd.Series(values, dtype="object")).astype("datetime64[us]")
    return pd.Series([None if value is None else str(value) for value in values], dtype="str")


def _is_inexact(value: Any) -> bool:
    return isinstance(value, int) and abs(value) > EXACT
