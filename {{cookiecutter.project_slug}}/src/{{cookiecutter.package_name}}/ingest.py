"""Read the raw table and give each column a type: data/raw.* -> data/table.parquet."""

import difflib
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api import types

from lockstep import LockstepError

from .cells import is_missing
from .kinds import (
    KINDS,
    Column,
    as_text,
    convert,
    finite,
    infer,
    odd_labels,
    read_numbers,
    settled,
)
from .notes import on_numbers
from .parsing import table_decimals, to_numbers
from .reading import open_raw
from .schema import Rule, Schema, infer_rule, read_schema, write_schema
from .tables import count_distinct, write_columns

REPORT = ["column", "kind", "missing", "distinct", "note"]
TARGET = "the target"
SHOWN = 30  # notes in the terminal


def main(cfg: Any, raw: Path, table: Path, columns: Path, schema: Path) -> None:
    """Run the stage; `columns` reports on each column, including those left out.

    The rules in `schema` tell how earlier data were read; the file is written if there is none.
    """
    rules = read_schema(schema).columns if schema.exists() else None
    inferred: dict[str, Rule] = {}
    lines: list[Any] = []

    def typed() -> Iterator["pd.Series[Any]"]:
        for name, column in typed_columns(rows, cfg.data, decimals, rules):
            lines.append(line(name, column))
            if column.kind in KINDS:
                if rules is None:
                    inferred[name] = infer_rule(column.values, name == cfg.data.target, column.read)
                yield column.values

    for left in table.parent.glob(".ingest-*"):  # by a run that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        prefix=".ingest-", dir=table.parent, ignore_cleanup_errors=True
    ) as folder:
        rows, decimals = open_raw(raw, cfg.data, Path(folder))
        count = write_columns(typed(), table, Path(folder))
    report = pd.DataFrame(lines, columns=REPORT)
    report.to_csv(columns, index=False)
    print(summary(report, count, cfg.data.target))
    print("\n".join([*notes(report), f"see {columns.as_posix()} for each column"]))
    if rules is None:
        write_schema(Schema(columns=inferred), schema)
        print(f"{schema.name} was inferred from the data: review it, edit it, commit it")


def type_columns(
    raw: pd.DataFrame,
    data: Any,
    decimals: str,
    rules: Mapping[str, Rule] | None = None,
    *,
    part: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, dict[str, Any]]]:
    """Type a whole table in memory, as `typed_columns` does.

    Returns:
        The typed table, without the rows whose target is missing; the report; and how the text of
        each column was read.
    """
    given = {str(name): values for name, values in raw.items()}
    columns = dict(typed_columns(given, data, decimals, rules, part=part))
    typed = {name: column.values for name, column in columns.items() if column.kind in KINDS}
    report = [line(name, column) for name, column in columns.items()]
    read = {name: column.read for name, column in columns.items()}
    return pd.DataFrame(typed), pd.DataFrame(report, columns=REPORT), read


def typed_columns(
    raw: Mapping[str, "pd.Series[Any]"],
    data: Any,
    decimals: str,
    rules: Mapping[str, Rule] | None = None,
    *,
    part: bool = False,
) -> Iterator[tuple[str, Column]]:
    """Give each column the type of its kind, one after another.

    Args:
        raw: The columns of the raw table, indexed by row number.
        data: The section `data` of the config.
        decimals: The decimal mark of text, or both with the likely one first.
        rules: Those in schema.yaml.
        part: Whether the rows are some of several partitions; the rules then decide the kinds.

    Yields:
        The name and the column, without the rows whose target is missing; a column that carries no
        information is of none of the `KINDS`.

    Raises:
        LockstepError: A column that the config names does not exist, the target does not suit the
            task, or there is nothing to learn from.
    """
    if not part:
        check_names(raw, data)
    if len(decimals) > 1:
        decimals = table_decimals(raw, decimals[0])
    marked = mark_missing(raw[data.target], data.missing)
    target = _mark_target(raw[data.target], marked, data, decimals)
    known = target.notna()
    _tell_missing(raw[data.target][~known] if not known.all() else target[:0])
    learned = False
    for name in raw:
        values = target if name == data.target else mark_missing(raw[name], data.missing)
        values = values if known.all() else values[known]
        column = _column(values, data, decimals, (rules or {}).get(name), part=part)
        learned |= column.kind in KINDS and name not in (data.target, data.group)
        del values  # a column at a time is in memory
        yield name, column._replace(values=column.values.rename(name))
    if not learned:
        raise LockstepError(
            "no column is left to learn from: set data.types for a column to keep it"
        )


def line(name: str, column: Column) -> tuple[Any, ...]:
    """What the report says about a column."""
    values = column.values
    if column.kind == "nested":
        values = values.map(repr, na_action="ignore")
    return name, column.kind, int(values.isna().sum()), count_distinct(values), column.note


def summary(report: pd.DataFrame, rows: int, target: str) -> str:
    """One line about the typed table: `344 rows; species from 5 number, 2 category`."""
    is_typed = report["kind"].isin(KINDS)
    kinds = report[is_typed & (report["column"] != target)]["kind"].value_counts()
    left_out = report[~is_typed]["column"]
    text = f"{rows} rows; {target} from {', '.join(f'{n} {kind}' for kind, n in kinds.items())}"
    return f"{text}; left out: {', '.join(left_out)}" if len(left_out) else text


def notes(report: pd.DataFrame) -> list[str]:
    """A line about each column with a note in the report, unless conf/ itself says it."""
    known = (report["note"] == TARGET) | (report["kind"] == "dropped")
    noted = report[(report["note"] != "") & ~known]
    lines = [
        f"  {column}: {kind}: {note}" if kind in KINDS else f"  {column}: {note}"
        for column, kind, note in noted[["column", "kind", "note"]].itertuples(index=False)
    ]
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], f"  … and {more} more notes"] if more > 1 else lines


def mark_missing(values: "pd.Series[Any]", words: Iterable[str]) -> "pd.Series[Any]":
    """Text without spaces around it; missing where it is one of the words."""
    if not isinstance(values.dtype, pd.StringDtype):
        return values
    column = pa.chunked_array(pa.array(values)).cast(pa.large_string())
    lower = pa.array([word.lower() for word in words], pa.large_string())
    marked = [_marked(chunk, lower) for chunk in column.chunks]
    array = pd.array(pa.chunked_array(marked, column.type), dtype="str")
    return pd.Series(array, values.index, name=values.name)


def _marked(text: pa.Array, words: pa.Array) -> pa.Array:
    """A part of a column; what there is nothing to change about is not copied."""
    stripped = pc.utf8_trim_whitespace(text)
    is_missing = pc.is_in(pc.utf8_lower(stripped), words)
    stripped = text if stripped.equals(text) else stripped
    return pc.if_else(is_missing, None, stripped) if pc.any(is_missing).as_py() else stripped


def _mark_target(
    raw: "pd.Series[Any]", marked: "pd.Series[Any]", data: Any, decimals: str
) -> "pd.Series[Any]":
    """The target with what marks a missing value among numbers, or with what is a class, NA."""
    if not isinstance(marked.dtype, pd.StringDtype) or marked.isna().all():
        return marked
    _, found = to_numbers(marked, decimals)
    classes = marked.dropna().unique()
    is_text = data.types.get(data.target) == "category" or not found.fit or found.others
    if data.task == "regression" or not is_text:
        return marked.mask(marked.isin([text for text in classes if is_missing(text)]))
    codes = len(classes) > 1 and all(re.fullmatch("[A-Z]{2}", text) for text in classes)
    if codes and "NA" not in data.missing:  # a continent, or Namibia
        return marked.mask(raw.str.strip() == "NA", "NA")
    return marked


def _tell_missing(lost: "pd.Series[Any]") -> None:
    """Print how many rows have no target, and the words that say so."""
    if len(lost):
        words = [repr(word) for word in lost.dropna().astype(str).unique() if word.strip()]
        shown = f" ({', '.join(words[:5])})" if words else ""
        rows = "1 row" if len(lost) == 1 else f"{len(lost)} rows"
        print(f"note: {rows} left out: their {lost.name} is missing{shown}")


def _column(
    values: "pd.Series[Any]", data: Any, decimals: str, rule: Rule | None, *, part: bool
) -> Column:
    name = str(values.name)
    if name == data.target:
        return target_column(values, data, decimals, rule, part=part)
    if name in data.drop:
        return Column("dropped", values, "left out: in data.drop")
    if name in data.types:
        return convert(values, data.types[name], decimals, rule)
    if name == data.group:
        return Column("category", as_text(values), "tells groups apart; not learned from")
    column = settled(values, rule, decimals) if part and rule else infer(values, decimals, rule)
    if name == data.time and column.kind not in ("number", "date"):
        return convert(values, "number", decimals, rule)
    return column


def target_column(
    values: "pd.Series[Any]",
    data: Any,
    decimals: str,
    rule: Rule | None = None,
    *,
    part: bool = False,
) -> Column:
    """The column to predict: float64 for regression, the labels as in the data for classification.

    Args:
        values: The raw column, without missing values.
        data: The section `data` of the config.
        decimals: As for `type_columns`.
        rule: That of the column in schema.yaml.
        part: As for `type_columns`.

    Raises:
        LockstepError: The column cannot be predicted.
    """
    if values.nunique() < 2 and not part:
        raise LockstepError(
            f"the target {data.target!r} has fewer than two different values, so there is nothing "
            "to predict: choose another data.target"
        )
    text = as_text(values)
    read, found = read_numbers(text, decimals, rule)
    numbers = finite(read)
    if data.task == "regression":
        if numbers.isna().any():
            raise LockstepError(
                f"the target {data.target!r} contains {values[numbers.isna()].iloc[0]!r}, not a "
                f"number{f'; {found.problem}' if found.problem else ''}: set data.task: "
                "classification or another data.target, or add the value to data.missing"
            )
        note = "; ".join(filter(None, (TARGET, on_numbers(text, numbers, found))))
        return Column("number", numbers, note, found.read)
    if types.is_bool_dtype(values):
        return Column("boolean", values, TARGET)
    is_text = "category" in (data.types.get(data.target), part and rule and rule.kind)
    is_code = is_text or text.str.fullmatch(r"0\d+").any()
    exact = numbers.abs() < 2**53  # beyond, different integers are the same float
    if is_code or found.unit or not exact.all() or (numbers % 1 != 0).any():
        words = ", ".join(repr(word) for word in text.unique() if is_missing(word))
        note = words and f"classes of their own, unless data.missing lists them: {words}"
        return Column("category", text, "; ".join(filter(None, (TARGET, note, odd_labels(text)))))
    return Column("integer", numbers.astype("int64"), TARGET)


def check_names(columns: Iterable[str], data: Any) -> None:
    """Raise a LockstepError if the config names a column that there is not."""
    columns = list(columns)
    columns_by_key = [("target", data.target), ("time", data.time), ("group", data.group)]
    columns_by_key += [("drop", name) for name in data.drop]
    columns_by_key += [("types", name) for name in data.types]
    for key, name in columns_by_key:
        if name is not None and name not in columns:
            lower = {str(column).lower(): str(column) for column in columns}
            close = difflib.get_close_matches(name.lower(), lower, n=1)
            hint = f"did you mean {lower[close[0]]!r}?" if close else f"it has {', '.join(columns)}"
            raise LockstepError(f"data.{key}: the raw table has no column {name!r}; {hint}")
    if data.target in data.drop:
        raise LockstepError(
            f"data.drop contains the target {data.target!r}: remove it from the list"
        )
