"""A prediction log as Parquet files by day, in a folder or an object store."""

import contextlib
import logging
import os
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep import LockstepError
from lockstep.serve.settings import FEEDBACK
from lockstep.values import first_line, without_secrets

if TYPE_CHECKING:
    import pyarrow as pa

MERGED = 60  # small files of a day that become one
TRIES = 3  # to read files while a server merges small ones
log = logging.getLogger("lockstep.serve")


class Files:
    """A folder, or a URL of an object store such as s3://bucket/predictions."""

    def __init__(self, place: str) -> None:
        from pyarrow import fs

        self._place = place
        with self._explained(ValueError):
            uri = place if "://" in place else Path(place).absolute().as_uri()
            self._files, self._root = fs.FileSystem.from_uri(uri)
        self._small: dict[str, list[str]] = {}

    def open(self) -> None:
        """Create the folder."""
        with self._explained():
            self._files.create_dir(self._root, recursive=True)

    def write(self, kind: str, table: "pa.Table") -> None:
        """Write a file, which appears complete; small ones of a day are merged."""
        day = f"{self._root}/{kind}/date={datetime.now(UTC):%Y-%m-%d}"
        small = self._small.setdefault(day, [])
        small.append(self._write_file(day, table))
        if len(small) >= MERGED:
            try:
                self._merge(day, self._small.pop(day))
            except Exception as error:  # they stay as they are
                log.warning("small files of the prediction log are not merged: %s", error)

    def read(self, kind: str, *, inputs: bool = True, **wanted: str) -> "pa.Table":
        """Read all files that there are; their columns may differ."""
        import pyarrow as pa

        with self._explained(pa.ArrowException):
            for attempt in range(TRIES):
                try:
                    tables = list(self._tables(kind, wanted, inputs=inputs or kind == FEEDBACK))
                    return pa.concat_tables(tables, promote_options="permissive")
                except FileNotFoundError:  # the server has just merged small files
                    if attempt == TRIES - 1:
                        raise
        raise AssertionError

    @contextlib.contextmanager
    def _explained(self, *more: type[Exception]) -> Iterator[None]:
        kinds: tuple[type[Exception], ...] = (OSError, *more)
        try:
            yield
        except kinds as error:
            raise LockstepError(
                f"{without_secrets(self._place)} cannot be used: {first_line(error)}"
            ) from error

    def _tables(
        self, kind: str, wanted: Mapping[str, str], *, inputs: bool
    ) -> Iterator["pa.Table"]:
        import pyarrow as pa
        import pyarrow.dataset as ds
        from pyarrow import fs

        folder = f"{self._root}/{kind}"
        yield pa.table({})
        if self._files.get_file_info(folder).type == fs.FileType.NotFound:
            return
        chosen = ds.scalar(True)
        for name, value in wanted.items():
            chosen &= ds.field(name) == value
        for file in ds.dataset(folder, filesystem=self._files, format="parquet").get_fragments():
            names = file.physical_schema.names
            columns = names if inputs else [name for name in names if name.startswith("_")]
            if len(table := file.to_table(filter=chosen, columns=columns)):
                yield table

    def _merge(self, day: str, small: list[str]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        tables = [pq.read_table(name, filesystem=self._files, partitioning=None) for name in small]
        self._write_file(day, pa.concat_tables(tables, promote_options="permissive"))
        for name in small:  # a reader that sees both drops the duplicates
            self._files.delete_file(name)

    def _write_file(self, day: str, table: "pa.Table") -> str:
        import pyarrow.parquet as pq

        name = f"{datetime.now(UTC):%H%M%S}-{os.getpid()}-{uuid.uuid4().hex[:8]}.parquet"
        self._files.create_dir(day, recursive=True)
        draft, final = f"{day}/.{name}", f"{day}/{name}"
        pq.write_table(table, draft, filesystem=self._files, compression="zstd")
        self._files.move(draft, final)
        return final
