"""A window of current data: read in batches, counted, and thinned to a sample of rows."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from lockstep import LockstepError
from lockstep.files import TABLES, file_digest, tables_in
from lockstep.monitor.answers import labelled, log_of, true_values
from lockstep.monitor.distribution import Bins, Counts, Numbers
from lockstep.serve.settings import ANSWERS, FEEDBACK
from lockstep.values import digest

BATCH = 100_000  # rows that are read at a time
SAMPLE = 20_000  # rows that are predicted and looked at together; at least half as many are kept

Batch = tuple[pd.DataFrame, Mapping[str, int]]  # rows, and by column, values that were unreadable


@dataclass
class Window:
    """What is kept of the rows of a window, whatever their number.

    Attributes:
        columns: The columns that the data have.
        counts: For each column of the reference, the number of rows in each bin.
        unreadable: For each column, the number of values that are not of the column's kind.
        beyond: For each column of numbers, how many are far outside the reference's range.
        sample: Every n-th row, with the columns and kinds of the reference.
    """

    rows: int = 0
    columns: list[str] = field(default_factory=list)
    counts: dict[str, Counts] = field(default_factory=dict)
    unreadable: dict[str, int] = field(default_factory=dict)
    beyond: dict[str, int] = field(default_factory=dict)
    sample: pd.DataFrame = field(default_factory=pd.DataFrame)
    step: int = 1

    def add(self, batch: "Batch", bins: Mapping[str, Bins], kinds: pd.DataFrame) -> None:
        """Count the rows of a batch.

        Args:
            kinds: An empty table with the columns and kinds of the reference.
        """
        rows, known = batch
        self.columns = [str(name) for name in rows.columns]
        table, unreadable = conformed(rows, kinds)
        unreadable = Counter(unreadable) + Counter(known)
        for name, column in bins.items():
            counted = column.count(table[name])
            self.counts[name] = self.counts[name] + counted if name in self.counts else counted
            if isinstance(column, Numbers):
                self.beyond[name] = self.beyond.get(name, 0) + column.beyond(table[name])
        for name, number in unreadable.items():
            self.unreadable[name] = self.unreadable.get(name, 0) + number
        first = -self.rows % self.step
        self.sample = pd.concat([self.sample, table.iloc[first :: self.step]], ignore_index=True)
        while len(self.sample) > SAMPLE:
            self.sample, self.step = self.sample.iloc[::2].reset_index(drop=True), 2 * self.step
        self.rows += len(rows)


def conformed(batch: pd.DataFrame, kinds: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """The rows with the columns and kinds of the reference.

    Returns:
        The table; a column that the data lack is missing throughout. And for each column, the
        number of values that could not be read as its kind, which are missing, too.
    """
    columns: dict[str, Any] = {}
    unreadable: dict[str, int] = {}
    for name, dtype in kinds.dtypes.items():
        given = batch[name] if name in batch else pd.Series(pd.NA, index=batch.index, dtype="str")
        columns[str(name)] = values = _as_kind(given, dtype)
        unreadable[str(name)] = int((values.isna() & given.notna()).sum())
    return pd.DataFrame(columns, index=batch.index), {k: n for k, n in unreadable.items() if n}


def _as_kind(values: "pd.Series[Any]", dtype: Any) -> "pd.Series[Any]":
    if pd.api.types.is_datetime64_any_dtype(dtype):
        dates = pd.to_datetime(values, errors="coerce", format="ISO8601")
        return dates.dt.tz_localize(None).astype(dtype)
    if pd.api.types.is_bool_dtype(dtype):
        known = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}
        return values.astype("str").str.lower().map(known)
    if pd.api.types.is_numeric_dtype(dtype):
        return pd.to_numeric(values, errors="coerce").astype("float64")
    return values.astype("str").where(values.notna())


def read_window(
    source: Path,
    bins: Mapping[str, Bins],
    kinds: pd.DataFrame,
    read: Callable[[Path], Batch] | None = None,
    target: str | None = None,
    newest: int | None = None,
) -> Window:
    """Read a file, all files of a folder, or a log of predictions, as one window.

    Args:
        newest: The number of rows to take, the last ones; None for all.
        read: Reads a raw file as the project does; without it, CSV files are read as pandas does.
        target: The column that the true values in a log belong to.

    Raises:
        LockstepError: There are no data, or they cannot be read.
    """
    window = Window()
    log = log_of(source)
    truths = true_values(log, target) if target and log else None
    batches = (batch for path in files_of(source) for batch in _batches(path, read))
    for rows, unreadable in batches if newest is None else _last(batches, newest):
        table = rows if truths is None else labelled(rows, truths)
        window.add((table, unreadable), bins, kinds)
    if not window.rows:
        raise LockstepError(f"{source} has no rows")
    if not set(window.columns) & set(kinds.columns):
        raise LockstepError(
            f"{source} has none of the model's columns\n"
            f"the model was trained on {', '.join(map(str, kinds.columns))}"
        )
    return window


def files_of(source: Path) -> list[Path]:
    """The data files of a window: the file, or those below the folder.

    Raises:
        LockstepError: There are none.
    """
    if source.is_file():
        if source.suffix not in TABLES:
            raise LockstepError(f"{source} is neither CSV nor Parquet")
        return [source]
    found = tables_in(source / ANSWERS if log_of(source) == source else source)
    if not found:
        raise LockstepError(
            f"there are no data at {source}: name a CSV or Parquet file, or a folder"
        )
    return found


def digest_of(source: Path) -> str:
    """The identity of a window's data."""
    files = files_of(source)
    if log := log_of(source):
        files += sorted((log / FEEDBACK).rglob("*.parquet"))
    return digest([file_digest(path) for path in files])


def parts_of(source: Path) -> list[Path]:
    """The windows in a folder: its files or, of a log, its days."""
    return (
        sorted({path.parent for path in files_of(source)}) if log_of(source) else files_of(source)
    )


def _last(batches: Iterator[Batch], count: int) -> Iterator[Batch]:
    """The last rows; no more than them and a batch are in memory.

    Where a batch is cut, the unreadable values are among the missing ones of the rest.
    """
    kept: deque[Batch] = deque()
    total = 0
    for batch in batches:
        kept.append(batch)
        total += len(batch[0])
        while total - len(kept[0][0]) >= count:
            total -= len(kept.popleft()[0])
    for number, (rows, unreadable) in enumerate(kept):
        if number or total <= count:
            yield rows, unreadable
        else:
            rest = rows.iloc[total - count :]
            lost = {name: int(rest[name].isna().sum()) for name in unreadable}
            yield rest, {name: min(lost[name], many) for name, many in unreadable.items()}


def _batches(path: Path, read: Callable[[Path], Batch] | None) -> Iterator[Batch]:
    """The rows of a file.

    Raises:
        LockstepError: It cannot be read.
    """
    try:
        yield from _batches_of(path, read)
    except FileNotFoundError:  # a server has just merged small files of its log
        raise
    except (ValueError, OSError) as error:  # pandas' and pyarrow's errors are ValueErrors
        raise LockstepError(f"{path} cannot be read: {error}") from error


def _batches_of(path: Path, read: Callable[[Path], Batch] | None) -> Iterator[Batch]:
    if path.suffix != ".parquet":
        if read:
            yield read(path)
        else:
            yield from ((batch, {}) for batch in pd.read_csv(path, chunksize=BATCH))
        return
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH):
            yield batch.to_pandas(), {}
