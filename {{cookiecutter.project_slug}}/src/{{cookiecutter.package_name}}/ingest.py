"""Read the raw table and give each column a type: data/raw.* -> data/table.parquet."""

import difflib
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api import types

from lockstep import LockstepError

from .kinds import KINDS, Column, as_text, convert, finite, infer, odd_labels
from .parsing import to_numbers
from .reading import read_raw


def main(cfg: Any, raw: Path, table: Path, columns: Path) -> None:
    """Run the stage; `columns` reports on each column, including those left out."""
    rows, decimals = read_raw(raw, cfg.data.csv)
    typed, report = type_columns(rows, cfg.data, decimals)
    typed.to_parquet(table)
    report.to_csv(columns, index=False)
    print(summary(typed, report, cfg.data.target))
    print(f"see {columns.as_posix()} for each column")


def type_columns(raw: pd.DataFrame, data: Any, decimals: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give each column the type of its kind, and leave out those that carry no information.

    Args:
        raw: The raw table, indexed by row number.
        data: The section `data` of the config.
        decimals: The decimal marks that may occur in text, the likely one first.

    Returns:
        The typed table, without the rows whose target is missing; and the report, one row per raw
        column: column, kind, missing, distinct, note.

    Raises:
        LockstepError: A column that the config names does not exist, the target does not suit the
            task, or there is nothing to learn from.
    """
    _check_names(raw.columns, data)
    raw = pd.DataFrame({name: _mark_missing(raw[name], set(data.missing)) for name in raw})
    known = raw[data.target].notna()
    raw = raw[known]
    typed, report = {}, []
    for name, values in raw.items():
        column = _column(values, data, decimals)
        if column.kind in KINDS:
            typed[name] = column.values
        shown = as_text(values) if column.kind == "nested" else column.values
        report.append((name, column.kind, shown.isna().sum(), shown.nunique(), column.note))
    if not set(typed) - {data.target, data.group}:
        raise LockstepError(
            "no column is left to learn from: set data.types for a column to keep it"
        )
    if dropped := (~known).sum():
        print(f"note: {dropped} rows left out: their {data.target} is missing")
    names = ["column", "kind", "missing", "distinct", "note"]
    return pd.DataFrame(typed), pd.DataFrame(report, columns=names)


def summary(table: pd.DataFrame, report: pd.DataFrame, target: str) -> str:
    """One line about the typed table: `344 rows; species from 5 number, 2 category`."""
    kinds = report[report["column"].isin(table.columns.drop(target))]["kind"].value_counts()
    left_out = report[~report["column"].isin(table.columns)]["column"]
    text = (
        f"{len(table)} rows; {target} from {', '.join(f'{n} {kind}' for kind, n in kinds.items())}"
    )
    return f"{text}; left out: {', '.join(left_out)}" if len(left_out) else text


def _mark_missing(values: "pd.Series[Any]", words: set[str]) -> "pd.Series[Any]":
    if not isinstance(values.dtype, pd.StringDtype):
        return values
    text = values.str.strip()
    return text.mask(text.str.lower().isin(words))


def _column(values: "pd.Series[Any]", data: Any, decimals: str) -> Column:
    name = str(values.name)
    if name == data.target:
        return target_column(values, data, decimals)
    if name in data.drop:
        return Column("dropped", values, "left out: in data.drop")
    if name in data.types:
        return convert(values, data.types[name], decimals)
    if name == data.group:
        return Column("category", as_text(values), "tells groups apart; not learned from")
    column = infer(values, decimals)
    if name == data.time and column.kind not in ("number", "date"):
        return convert(values, "number", decimals)
    return column


def target_column(values: "pd.Series[Any]", data: Any, decimals: str) -> Column:
    """The column to predict: float64 for regression, the labels as in the data for classification.

    Args:
        values: The raw column, without missing values.
        data: The section `data` of the config.
        decimals: As for `type_columns`.

    Raises:
        LockstepError: The column cannot be predicted.
    """
    if values.nunique() < 2:
        raise LockstepError(
            f"the target {data.target!r} has fewer than two different values, so there is nothing "
            "to predict: choose another data.target"
        )
    wanted = data.types.get(data.target)
    numbers = finite(to_numbers(as_text(values), decimals))
    if data.task == "regression":
        if numbers.isna().any():
            raise LockstepError(
                f"the target {data.target!r} contains {values[numbers.isna()].iloc[0]!r}, not a "
                "number: set data.task: classification or another data.target, or add the value to "
                "data.missing"
            )
        return Column("number", numbers, "the target")
    if types.is_bool_dtype(values):
        return Column("boolean", values, "the target")
    is_code = wanted == "category" or as_text(values).str.fullmatch(r"0\d+").any()
    exact = numbers.abs() < 2**53  # beyond, different integers are the same float
    if is_code or not exact.all() or (numbers % 1 != 0).any():
        note = "; ".join(filter(None, ("the target", odd_labels(as_text(values)))))
        return Column("category", as_text(values), note)
    return Column("integer", numbers.astype("int64"), "the target")


def _check_names(columns: pd.Index, data: Any) -> None:
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
