"""Typed tables in Parquet files, larger than memory if need be: by column, or by group of rows.

data/table is one file or, for raw data in a folder, one for each partition.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

MANIFEST = "_partitions.json"  # what `lockstep map` writes
GROUP = 2**20  # rows that are read or written at once, as pyarrow does


class Table:
    """The columns of a table, each read when it is asked for; those of a folder are in memory."""

    def __init__(self, path: Path) -> None:
        """Read the names of the columns and the index.

        Args:
            path: As for `read_table`.
        """
        self.path = path
        self._whole = whole = read_table(path) if path.is_dir() else None
        empty = pq.read_schema(path).empty_table().to_pandas() if whole is None else whole
        self._names, self.dates = list(empty), list(empty.select_dtypes("datetime"))
        self.index = self[self._names[0]].index

    def __iter__(self) -> Iterator[str]:
        """The names of the columns."""
        return iter(self._names)

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.index)

    def __getitem__(self, name: str) -> "pd.Series[Any]":
        """The values of a column."""
        return (self._whole if self._whole is not None else read_table(self.path, [name]))[name]

    def loc(self, labels: Any) -> pd.DataFrame:
        """The rows with these values of the index, in their order."""
        chosen = self.index.isin(labels)
        rows: Any = pd.concat(list(self.batches(chosen)), ignore_index=True)
        found: pd.DataFrame = rows.set_axis(self.index[chosen]).loc[labels]
        return found

    def batches(self, chosen: Any) -> Iterator[pd.DataFrame]:
        """All columns of the chosen rows, a part of them at a time.

        Args:
            chosen: Whether each row is one of them, shape (rows,), bool.
        """
        if self._whole is not None:
            yield self._whole[chosen].reset_index(drop=True)
            return
        start = 0
        for rows in batches(self.path):
            yield rows[chosen[start : start + len(rows)]]
            start += len(rows)


def read_table(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read all rows.

    Args:
        path: data/table.parquet; or the folder data/table, with a file for each partition.
        columns: Those to read; None for all.

    Returns:
        The rows, indexed by row number; those of a folder by partition and row number.
    """
    if path.is_file():
        return pd.read_parquet(path, columns=columns)
    parts = {
        name: pd.read_parquet(path / entry["out"], columns=columns)
        for name, entry in manifest(path).items()
        if "problem" not in entry
    }
    return pd.concat(parts, names=["partition", "row"])


def batches(path: Path, rows: int = GROUP) -> Iterator[pd.DataFrame]:
    """Read some rows at a time, all columns of them; the index is that of the batch.

    Args:
        path: A Parquet file.
        rows: The most of them.
    """
    with pq.ParquetFile(path) as parquet:
        for batch in parquet.iter_batches(rows):
            frame: pd.DataFrame = pa.Table.from_batches([batch]).to_pandas()
            yield frame.reset_index(drop=True)


def write_table(groups: Iterable[pd.DataFrame], index: "pd.Index[Any]", path: Path) -> None:
    """Write what `DataFrame.to_parquet` writes of the whole table, a group of rows at a time.

    Args:
        groups: The rows, in order; all groups have the same columns.
        index: That of the whole table.
        path: The file.
    """
    writer, start = None, 0
    try:
        for rows in _regrouped(groups):
            rows.index = index[start : start + len(rows)]
            start += len(rows)
            table = pa.Table.from_pandas(rows)
            writer = writer or pq.ParquetWriter(path, _with_index(table.schema, index))
            writer.write_table(table.replace_schema_metadata(writer.schema.metadata))
    finally:
        if writer:
            writer.close()


def write_columns(columns: Iterable["pd.Series[Any]"], path: Path, folder: Path) -> int:
    """Write a table whose columns are made one after another, with one of them in memory.

    Args:
        columns: They have the same index.
        path: The file.
        folder: For files that are of no use later.

    Returns:
        The number of rows.
    """
    files: list[Path] = []
    names: list[str] = []
    index: pd.Index[Any] = pd.RangeIndex(0)
    for values in columns:
        names.append(str(values.name))
        index = values.index
        files.append(folder / f"{len(files)}.arrow")
        table = pa.table([pa.array(values, from_pandas=True)], names[-1:])
        with pa.OSFile(str(files[-1]), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            for start in range(0, len(values), GROUP):
                writer.write_table(table.slice(start, GROUP).combine_chunks())
    readers = [pa.ipc.open_file(pa.OSFile(str(file))) for file in files]
    groups = (
        pa.table([reader.get_batch(number).column(0) for reader in readers], names).to_pandas()
        for number in range(readers[0].num_record_batches)
    )
    write_table(groups, index, path)
    return len(index)


def count_distinct(values: "pd.Series[Any]") -> int:
    """The number of different values, without missing ones."""
    if values.dtype.kind not in "fM":
        return values.nunique()
    ordered = np.sort(values.dropna().to_numpy())  # takes less memory than a table of hashes
    return int(len(ordered) > 0) + int((ordered[1:] != ordered[:-1]).sum())


def manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """What is known about each partition, in their order: md5, out, facts, problem."""
    entries = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return {name: entries[name] for name in sorted(entries, key=in_order)}


def in_order(name: str) -> list[Any]:
    """A key to sort names by, with numbers as numbers: part-2 comes before part-10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def _regrouped(groups: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """The same rows in groups of one size; one without rows if there are none."""
    held = pd.DataFrame()
    for rows in groups:
        held = pd.concat([held, rows], ignore_index=True) if len(held) else rows
        while len(held) > GROUP:
            yield held.iloc[:GROUP]
            held = held.iloc[GROUP:]
    yield held


def _with_index(schema: pa.Schema, index: "pd.Index[Any]") -> pa.Schema:
    """The schema of a part of a table, with what pandas notes about the index of the whole."""
    whole = pa.Schema.from_pandas(pd.DataFrame(index=index))
    about, of_whole = (json.loads(part.metadata[b"pandas"]) for part in (schema, whole))
    about["index_columns"] = of_whole["index_columns"]
    return schema.with_metadata({b"pandas": json.dumps(about)})
