"""The rows of the prediction log: as tables, and found again by the id of their request."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from lockstep.inference.columns import Values
from lockstep.inference.version import Version

ANSWERS, FEEDBACK = "answers", "feedback"
TRIES = 3  # to read a log while its server merges small files


class Entry(NamedTuple):
    """An answer to keep."""

    request: str
    time: float
    role: str
    version: Version
    values: Values
    predictions: list[Any]
    probabilities: list[list[float]] | None


class TrueValue(NamedTuple):
    """What the answer to a row should have been."""

    request: str
    row: int
    actual: Any
    time: float


def filesystem(place: str) -> tuple[Any, str]:
    """The file system of a folder or URL, and the path in it."""
    from pyarrow import fs

    found: tuple[Any, str] = fs.FileSystem.from_uri(
        place if "://" in place else Path(place).absolute().as_uri()
    )
    return found


def share_of(key: str) -> float:
    """A number from 0 to 1 that is always the same for a key."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6]) / 2**48


def find_request(place: str, request: str) -> tuple[list[dict[str, Any]], dict[int, Any]]:
    """The rows of a request in a log, and the true values by row.

    Raises:
        OSError: The log cannot be read.
    """
    rows = {(row["_role"], row["_row"]): row for row in _found(place, ANSWERS, request)}
    truths = sorted(_found(place, FEEDBACK, request), key=lambda row: row["_time"])
    return [rows[key] for key in sorted(rows)], {row["_row"]: row["actual"] for row in truths}


def _found(place: str, kind: str, request: str) -> Iterator[dict[str, Any]]:
    import pyarrow.dataset as ds
    from pyarrow import fs

    files, root = filesystem(place)
    if files.get_file_info(f"{root}/{kind}").type == fs.FileType.NotFound:
        return
    for attempt in range(TRIES):
        data = ds.dataset(f"{root}/{kind}", filesystem=files, format="parquet")
        if not data.files:
            return
        try:
            found = data.to_table(filter=ds.field("_request") == request).to_pylist()
        except FileNotFoundError:  # the server has just merged small files
            if attempt == TRIES - 1:
                raise
            continue
        yield from found
        return


def answers_table(entries: Sequence[Entry], drop: Collection[str]) -> Any:
    """Answers as a table, with the types of the model's columns."""
    import pyarrow as pa

    columns = entries[0].version.columns.all
    named: dict[str, Any] = {
        column.name: pa.array(
            column.kind.array([v for entry in entries for v in entry.values[column.name]]),
            from_pandas=True,
        )
        for column in columns
        if column.name not in drop
    }
    places = [(entry, row) for entry in entries for row in range(len(entry.predictions))]
    texts = {
        "_request": [entry.request for entry, _ in places],
        "_role": [entry.role for entry, _ in places],
        "_model": [entry.version.about.model for entry, _ in places],
        "_version": [entry.version.about.version for entry, _ in places],
        "_run": [entry.version.about.run for entry, _ in places],
        "_commit": [entry.version.about.commit for entry, _ in places],
    }
    named |= {name: pa.array(values, pa.string()) for name, values in texts.items()}
    named["_row"] = pa.array([row for _, row in places], pa.int32())
    named["_time"] = [datetime.fromtimestamp(entry.time, UTC) for entry, _ in places]
    named["_prediction"] = [entry.predictions[row] for entry, row in places]
    for place, label in enumerate(entries[0].version.classes or []):
        shares = [
            entry.probabilities[row][place] if entry.probabilities else None
            for entry, row in places
        ]
        named[f"_probability.{label}"] = pa.array(shares, pa.float64())
    return pa.table(named)


def feedback_table(truths: Sequence[TrueValue]) -> Any:
    """True values as a table."""
    import pyarrow as pa

    return pa.table(
        {
            "_request": [truth.request for truth in truths],
            "_row": pa.array([truth.row for truth in truths], pa.int32()),
            "actual": [truth.actual for truth in truths],
            "_time": [datetime.fromtimestamp(truth.time, UTC) for truth in truths],
        }
    )
