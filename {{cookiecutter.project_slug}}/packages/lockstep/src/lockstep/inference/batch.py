"""Predict whole files: read, predicted and written in batches, part by part.

A part is a file of the input and becomes a file of the output. What is complete is not made again,
and nothing half-written ever has a part's name.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep import LockstepError
from lockstep.files import TABLES, file_digest
from lockstep.inference.columns import InvalidRows
from lockstep.inference.csv import open_csv
from lockstep.values import first_line

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.fs import FileSystem

    from lockstep.inference.version import Version

PREDICTION, PROBABILITY = "prediction", "probability."  # columns of the output
METADATA = "lockstep."  # before each key in the metadata of an output file


@dataclass(frozen=True)
class Part:
    """A file of the input and the file that it becomes."""

    source_system: "FileSystem"
    source: str
    target_system: "FileSystem"
    target: str

    @property
    def name(self) -> str:
        """The name of the file that is read."""
        return self.source.rpartition("/")[2]

    @cached_property
    def identity(self) -> str:
        """Differs if the input does: its MD5; for a remote file, its size and time."""
        if self.source_system.type_name == "local":
            return file_digest(Path(self.source))
        info = self.source_system.get_file_info(self.source)
        return f"{info.size} bytes at {info.mtime_ns}"


def parts_of(source: str, target: str) -> list[Part]:
    """The files of an input, and where their predictions go.

    Args:
        source: A file, a folder or a pattern with `*`, as a path or a URL such as s3://bucket/new.
        target: A file if its name ends with .csv or .parquet; else a folder, which gets a Parquet
            file for each one of the input.

    Raises:
        LockstepError: There is no such input, or the output cannot hold it.
    """
    system, files, base = _listed(source)
    if not files:
        raise LockstepError(f"there is no CSV or Parquet file at {source}")
    target_system, place = _system(target)
    targets = [place]
    if not place.endswith(TABLES):
        names = (path.removeprefix(base).strip("/").rpartition(".")[0] for path in files)
        targets = [f"{place}/{name}.parquet" for name in names]
    elif len(files) > 1:
        raise LockstepError(f"{source} has {len(files)} files, and {target} is one: name a folder")
    if len(set(targets)) < len(targets):
        raise LockstepError(f"two files of {source} would become one of {target}: rename one")
    if system == target_system and (both := {*files}.intersection(targets)):
        raise LockstepError(f"{both.pop()} is read, and would be overwritten: name another output")
    return [Part(system, old, target_system, new) for old, new in zip(files, targets, strict=True)]


def predict_part(
    part: Part, version: "Version", rows: int, told: Callable[[int], None]
) -> tuple[int, bool]:
    """Predict a file.

    Args:
        rows: The number of rows that are in memory at once.
        told: Is called with the number of rows of each batch that is done.

    Returns:
        The number of rows, and whether they were predicted now and not before.

    Raises:
        LockstepError: The file cannot be read, or the model refuses a row.
    """
    metadata = _metadata(part, version)
    if (known := _complete(part, metadata)) is not None:
        return known, False
    folder, _, name = part.target.rpartition("/")
    draft = f"{folder}/.{name}.draft" if folder else f".{name}.draft"
    if folder:
        part.target_system.create_dir(folder, recursive=True)
    try:
        with part.target_system.open_output_stream(draft) as stream:
            count = _write(part, version, rows, told, stream, metadata)
    except BaseException:
        if part.target_system.get_file_info(draft).is_file:
            part.target_system.delete_file(draft)
        raise
    part.target_system.move(draft, part.target)
    return count, True


def _write(
    part: Part,
    version: "Version",
    rows: int,
    told: Callable[[int], None],
    stream: Any,
    metadata: dict[str, str],
) -> int:
    """Write all rows with their predictions; returns their number."""
    count, writer, schema = 0, None, None
    with contextlib.ExitStack() as closing:
        for table in _batches(part, version, rows):
            try:
                done = _with_predictions(table, version)
            except (InvalidRows, UnicodeDecodeError) as error:  # that of a column's name
                raise LockstepError(f"{part.source}, in the rows after {count}: {error}") from error
            if writer is None:
                schema = done.schema.with_metadata({**(done.schema.metadata or {}), **metadata})
                writer = closing.enter_context(_writer(stream, part.target, schema))
            writer.write_table(done.cast(schema))
            count += len(table)
            told(len(table))
    if not count:
        raise LockstepError(f"{part.source} has no rows")
    return count


def _with_predictions(table: "pa.Table", version: "Version") -> "pa.Table":
    """The rows with the model's answers as more columns."""
    import pyarrow as pa

    answers = version.predict_table(version.columns.fit(table.to_pandas()))
    predictions = answers.predictions
    if predictions.ndim == 1:
        table = table.append_column(PREDICTION, pa.array(predictions))
    else:  # as MLflow's signature names them
        for at, column in enumerate(predictions.T):
            table = table.append_column(f"{PREDICTION}_{at}", pa.array(column.tolist()))
    for at, label in enumerate(version.classes or ()):
        table = table.append_column(f"{PROBABILITY}{label}", pa.array(answers.probabilities[:, at]))
    return table


def _batches(part: Part, version: "Version", rows: int) -> "Iterator[pa.Table]":
    """The rows of a file, some at a time."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with part.source_system.open_input_file(part.source) as file:
            if part.source.endswith(".parquet"):
                for batch in parquet.ParquetFile(file).iter_batches(rows):
                    yield pa.Table.from_batches([batch])
                return
            for batch in open_csv(file, version.columns.all):
                for start in range(0, batch.num_rows, rows):
                    yield pa.Table.from_batches([batch.slice(start, rows)])
    except UnicodeDecodeError as error:
        raise LockstepError(
            f"{part.source} is not UTF-8: save it as such, or as Parquet"
        ) from error
    except (pa.ArrowException, OSError) as error:
        raise LockstepError(f"{part.source} cannot be read: {first_line(error)}") from error


def _writer(stream: Any, target: str, schema: "pa.Schema") -> Any:
    from pyarrow import csv, parquet

    kind = csv.CSVWriter if target.endswith(".csv") else parquet.ParquetWriter
    return kind(stream, schema)


def _metadata(part: Part, version: "Version") -> dict[str, str]:
    """What a Parquet file says of its origin."""
    about = version.about
    values = {
        "model": about.model,
        "version": about.version,
        "run": about.run,
        "reproduce": about.reproduce,
        "input": part.source,
        "input.digest": part.identity,
    }
    return {f"{METADATA}{key}": value for key, value in values.items() if value}


def _complete(part: Part, metadata: dict[str, str]) -> int | None:
    """The number of rows of an output that the same version made of the same input."""
    from pyarrow import parquet

    system, target = part.target_system, part.target
    if not (target.endswith(".parquet") and system.get_file_info(target).is_file):
        return None
    with system.open_input_file(target) as file:
        found = parquet.ParquetFile(file)
        known = found.schema_arrow.metadata or {}
        same = all(known.get(key.encode()) == value.encode() for key, value in metadata.items())
        return int(found.metadata.num_rows) if same else None


def _listed(source: str) -> "tuple[FileSystem, list[str], str]":
    """The CSV and Parquet files of an input, sorted, and the folder that they are in."""
    from pyarrow.fs import FileSelector

    if "*" in source and "://" not in source:
        base = Path(source[: source.index("*")].rpartition("/")[0] or ".")
        found = sorted(path for path in base.glob(source.removeprefix(f"{base.as_posix()}/")))
        system, place = _system(base.as_posix())
        files = [path.resolve().as_posix() for path in found if path.is_file()]
    else:
        system, place = _system(source)
        if system.get_file_info(place).is_file:
            return system, [place] if place.endswith(TABLES) else [], place.rpartition("/")[0]
        selector = FileSelector(place, recursive=True, allow_not_found=True)
        files = sorted(info.path for info in system.get_file_info(selector) if info.is_file)
    names = {path: path.removeprefix(place) for path in files if path.endswith(TABLES)}
    shown = [path for path, name in names.items() if "/." not in name and "/_" not in name]
    return system, shown, place


def _system(place: str) -> "tuple[FileSystem, str]":
    """The file system of a path or URL, and the path in it."""
    from pyarrow.fs import FileSystem, LocalFileSystem

    if "://" in place:
        try:
            system, path = FileSystem.from_uri(place)
        except (ValueError, OSError) as error:
            raise LockstepError(f"{place} cannot be used: {first_line(error)}") from error
        return system, path
    return LocalFileSystem(), Path(place).resolve().as_posix()
