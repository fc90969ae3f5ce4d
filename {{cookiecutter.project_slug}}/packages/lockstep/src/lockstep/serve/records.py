"""The rows of the prediction log: as tables, and found again by the id of their request."""

import hashlib
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from lockstep.inference.columns import Values
from lockstep.inference.version import Version
from lockstep.serve.places import Place
from lockstep.serve.settings import ANSWERS, FEEDBACK, PROBABILITY


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


def share_of(key: str) -> float:
    """A number from 0 to 1 that is always the same for a key."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6]) / 2**48


def find_request(log: Place, request: str) -> tuple[list[dict[str, Any]], dict[int, Any]]:
    """The rows of a request in a log, and the true values by row.

    Raises:
        LockstepError: The log cannot be read.
    """
    answers = log.read(ANSWERS, _request=request).to_pylist()
    rows = {(row["_role"], row["_row"]): row for row in answers}
    truths = log.read(FEEDBACK, _request=request).to_pylist()
    truths.sort(key=lambda row: row["_time"])
    return [rows[key] for key in sorted(rows)], {row["_row"]: row["actual"] for row in truths}


def answers_table(entries: Sequence[Entry], drop: Collection[str]) -> Any:
    """Answers as a table, with the types of the model's columns."""
    import pyarrow as pa

    groups: dict[int, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(id(entry.version), []).append(entry)
    tables = [_answers_of(group[0].version, group, drop) for group in groups.values()]
    return pa.concat_tables(tables, promote_options="permissive")


def _answers_of(version: Version, entries: Sequence[Entry], drop: Collection[str]) -> Any:
    """The answers of one version; what is the same for a request is repeated for its rows."""
    import pyarrow as pa

    counts = [len(entry.predictions) for entry in entries]
    owner = np.repeat(np.arange(len(entries)), counts)
    named: dict[str, Any] = {
        column.name: pa.array(
            column.kind.array([v for entry in entries for v in entry.values[column.name]]),
            from_pandas=True,
        )
        for column in version.columns.all
        if column.name not in drop
    }
    about, text = version.about, pa.string()
    same = {"_model": about.model, "_version": about.version, "_run": about.run}
    named |= {
        "_request": pa.array([entry.request for entry in entries], text).take(owner),
        "_role": pa.array([entry.role for entry in entries], text).take(owner),
        **{
            name: pa.repeat(pa.scalar(value, text), len(owner))
            for name, value in {**same, "_commit": about.commit}.items()
        },
        "_row": pa.array(np.concatenate([np.arange(count) for count in counts]), pa.int32()),
        "_time": pa.array(
            [datetime.fromtimestamp(entry.time, UTC) for entry in entries],
            pa.timestamp("us", "UTC"),
        ).take(owner),
        "_prediction": [item for entry in entries for item in entry.predictions],
    }
    shares = [entry.probabilities for entry in entries if entry.probabilities]
    for place, label in enumerate(version.classes or [] if shares else []):
        named[f"{PROBABILITY}{label}"] = pa.array(np.concatenate(shares)[:, place])
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
