"""Read one file of data/raw as schema.yaml says, and check it: -> data/table/<name>.parquet.

`lockstep map` calls `prepare` with all files, then `main` for each one that is new or changed. All
files have the same columns; `data.optional`, `data.rename` and `data.drop` bring together those
that do not.
"""

import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lockstep import LockstepError

from .ingest import check_names, mark_missing, notes, summary, type_columns
from .kinds import KINDS, infer
from .reading import read_raw
from .schema import Schema, infer_schema, read_schema, write_schema
from .validate import check, explain, first_rows

INSPECTED = 2**28  # bytes of raw data from which schema.yaml is inferred


def prepare(cfg: Any, folder: Path, partitions: Sequence[Path], schema: Path) -> None:
    """Infer schema.yaml if there is none: from all partitions, or from some if they are large.

    Raises:
        LockstepError: Not all of them have the same columns, or a column is not of one type.
    """
    if schema.exists():
        check_names([*read_schema(schema).columns, *cfg.data.drop], cfg.data)
        return
    size = sum(path.stat().st_size for path in partitions)
    inspected = partitions[:: -(-size // INSPECTED) or 1]
    parts: dict[str, pd.DataFrame] = {}
    for path in inspected:
        parts[path.relative_to(folder).as_posix()], decimals = _read(path, cfg.data)
    _require_same_columns(parts, cfg.data)
    _require_same_types(parts, cfg.data)
    rows = pd.concat(parts.values(), ignore_index=True)
    rows.index = pd.RangeIndex(1, len(rows) + 1, name="row")
    typed, report, read = type_columns(rows, cfg.data, decimals)
    print(summary(report, len(typed), cfg.data.target))
    print("\n".join(notes(report)))
    left_out = report[~report["kind"].isin([*KINDS, "dropped"])]["column"]
    write_schema(infer_schema(typed, cfg.data.target, read, left_out), schema)
    print(f"{schema.name} was inferred from {len(parts)} files: review it, edit it, commit it")


def main(cfg: Any, raw: Path, table: Path, schema: Path) -> dict[str, Any]:
    """Read and check one partition.

    Returns:
        The number of rows, the first and the last `data.time`, and which of `data.drop` it has.

    Raises:
        LockstepError: It has other columns than schema.yaml, or breaks its rules.
    """
    rules = read_schema(schema)
    rows, decimals = _read(raw, cfg.data)
    dropped = [name for name in cfg.data.drop if name in rows]
    for name in cfg.data.optional:
        if name not in rows:
            rows[name] = pd.Series(None, rows.index, dtype="str")
    _require_known_columns(rows, rules, cfg.data, raw)
    columns = {name: rule for name, rule in rules.columns.items() if name not in cfg.data.drop}
    typed, *_ = type_columns(rows[list(columns)], cfg.data, decimals, columns, part=True)
    problems = check(typed, columns)
    if len(problems):
        raise LockstepError(explain(problems, typed.loc[first_rows(problems)], raw, schema))
    typed.to_parquet(table)
    facts: dict[str, Any] = {"rows": len(typed), "dropped": dropped}
    if cfg.data.time and len(typed):
        times = typed[cfg.data.time]
        facts |= {"first": str(times.min()), "last": str(times.max())}
    return facts


def _read(path: Path, data: Any) -> tuple[pd.DataFrame, str]:
    """The raw rows of a file under the present names of their columns, and the decimal marks."""
    rows, decimals = read_raw(path, data)
    for old, new in data.rename.items():
        if old in rows and new in rows:
            raise LockstepError(f"{path.as_posix()} has {old!r} and {new!r}: correct data.rename")
    rows = rows.rename(columns=dict(data.rename))
    for folder in path.parts[:-1]:  # as Hive names them: year=2013
        name, equals, value = folder.partition("=")
        if equals and name not in rows:
            rows[name] = pd.Series(urllib.parse.unquote(value), rows.index, dtype="str")
    return rows, decimals


def _require_known_columns(rows: pd.DataFrame, schema: Schema, data: Any, path: Path) -> None:
    lacking = [name for name in schema.columns if name not in [*rows, *data.drop]]
    known = [*schema.columns, *schema.left_out, *data.drop]
    new = [str(name) for name in rows if name not in known]
    if lacking or new:
        lines = [f"{path.as_posix()} has other columns than the files before:"]
        lines += [f"  {name} is missing: add it to data.optional if it may be" for name in lacking]
        lines += [f"  {name} is new: add it to data.drop" for name in new]
        lines.append(
            "if a column has a new name, set data.rename in conf/data; to learn from a new one, "
            "add it to schema.yaml, and to data.optional"
        )
        raise LockstepError("\n".join(lines))


def _require_same_columns(parts: dict[str, pd.DataFrame], data: Any) -> None:
    columns = {column: None for rows in parts.values() for column in rows}
    for column in columns:
        lacking = [name for name, rows in parts.items() if column not in rows]
        if lacking and column not in [*data.optional, *data.drop]:
            having = next(name for name, rows in parts.items() if column in rows)
            raise LockstepError(
                f"{having} has a column {column!r}, which is missing in {shown(lacking)}\n"
                "add it to data.drop; or to data.optional, if it may be missing; or, if it only "
                "has another name there, set data.rename in conf/data"
            )


def _require_same_types(parts: dict[str, pd.DataFrame], data: Any) -> None:
    """Refuse a column that is text in some files, and numbers or dates in most.

    In the table of all rows, it would be text with many values.
    """
    columns = {column: None for rows in parts.values() for column in rows}
    for column in columns:
        if column in [*data.drop, *data.types, data.group]:
            continue
        kinds = {}
        for name, rows in parts.items():
            if column in rows:
                values = mark_missing(rows[column], data.missing)
                # One more row, so that a column with one value has the kind of that value.
                kinds[name] = infer(values.reindex([*values.index, 0])).kind
        text = [name for name, kind in kinds.items() if kind in ("category", "text")]
        others = [name for name, kind in kinds.items() if kind in ("number", "date")]
        if text and len(others) > len(text):
            raise LockstepError(
                f"the column {column!r} is a {kinds[others[0]]} in {shown(others)}, but not in "
                f"{shown(text)}\nfix the files; or, to read it as text, set "
                f"data.types: {{{column}: category}} in conf/data"
            )


def shown(names: Sequence[str]) -> str:
    """The first of some names."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
