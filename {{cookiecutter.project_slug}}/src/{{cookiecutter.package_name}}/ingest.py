"""Read the raw table and give each column a type: data/raw.* -> data/table.parquet."""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
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
from .reading import read_raw
from .schema import Rule, infer_schema, read_schema, write_schema

REPORT = ["column", "kind", "missing", "distinct", "note"]
TARGET = "the target"
SHOWN = 30  # notes in the terminal


def main(cfg: Any, raw: Path, table: Path, columns: Path, schema: Path) -> None:
    """Run the stage; `columns` reports on each column, including those left out.

    The rules in `schema` tell how earlier data were read; the file is written if there is none.
    """
    rules = read_schema(schema).columns if schema.exists() else {}
    rows, decimals = read_raw(raw, cfg.data)
    typed, report = type_columns(rows, cfg.data, decimals, rules)
    typed.to_parquet(table)
    report[REPORT].to_csv(columns, index=False)
    print(summary(typed, report, cfg.data.target))
    print("\n".join([*notes(report), f"see {columns.as_posix()} for each column"]))
    if not schema.exists():
        read = dict(zip(report["column"], report["read"], strict=True))
        write_schema(infer_schema(typed, cfg.data.target, read), schema)
        print(f"{schema.name} was inferred from the data: review it, edit it, commit it")


def type_columns(
    raw: pd.DataFrame,
    data: Any,
    decimals: str,
    rules: Mapping[str, Rule] | None = None,
    *,
    part: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give each column the type of its kind, and leave out those that carry no information.

    Args:
        raw: The raw table, indexed by row number.
        data: The section `data` of the config.
        decimals: The decimal mark of text, or both with the likely one first.
        rules: Those in schema.yaml.
        part: Whether the rows are some of several partitions; the rules then decide the kinds.

    Returns:
        The typed table, without the rows whose target is missing; and the report, one row per raw
        column: column, kind, missing, distinct, note, read.

    Raises:
        LockstepError: A column that the config names does not exist, the target does not suit the
            task, or there is nothing to learn from.
    """
    if not part:
        check_names(raw.columns, data)
    if len(decimals) > 1:
        decimals = table_decimals(raw.select_dtypes("str"), decimals[0])
    marked = {name: mark_missing(raw[name], data.missing) for name in raw}
    target = _mark_target(raw[data.target], marked[data.target], data, decimals)
    known = target.notna()
    _tell_missing(raw[data.target][~known])
    raw = pd.DataFrame(marked | {data.target: target})[known]
    typed, report = {}, []
    for name, values in raw.items():
        column = _column(values, data, decimals, (rules or {}).get(str(name)), part=part)
        if column.kind in KINDS:
            typed[name] = column.values
        nested = column.kind == "nested"
        shown = values.map(repr, na_action="ignore") if nested else column.values
        counts = (shown.isna().sum(), shown.nunique())
        report.append((name, column.kind, *counts, column.note, column.read))
    if not set(typed) - {data.target, data.group}:
        raise LockstepError(
            "no column is left to learn from: set data.types for a column to keep it"
        )
    return pd.DataFrame(typed), pd.DataFrame(report, columns=[*REPORT, "read"])


def summary(table: pd.DataFrame, report: pd.DataFrame, target: str) -> str:
    """One line about the typed table: `344 rows; species from 5 number, 2 category`."""
    kinds = report[report["column"].isin(table.columns.drop(target))]["kind"].value_counts()
    left_out = report[~report["column"].isin(table.columns)]["column"]
    text = (
        f"{len(table)} rows; {target} from {', '.join(f'{n} {kind}' for kind, n in kinds.items())}"
    )
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
    text = values.str.strip()
    return text.mask(text.str.lower().isin({word.lower() for word in words}))


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
