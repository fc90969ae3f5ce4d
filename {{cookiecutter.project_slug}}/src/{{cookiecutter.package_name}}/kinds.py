"""Infer the kind of a column, and convert its values to the type of that kind.

| kind     | dtype          | missing values                                  |
|----------|----------------|-------------------------------------------------|
| number   | float64        | NaN                                             |
| category | str            | NaN                                             |
| boolean  | bool           | none: with missing values it becomes a category |
| date     | datetime64[us] | NaT                                             |
| integer  | int64          | none: used for the classes of a target only     |

A column of another kind (empty, constant, id, text, nested) is of no use to a model as it is, and
is left out with a note.
"""

import re
from typing import Any, NamedTuple

import pandas as pd
from pandas.api import types

from lockstep import LockstepError

from .parsing import day_or_month, to_booleans, to_dates, to_numbers

KINDS = ("number", "category", "boolean", "date", "integer")
NAMES_ROWS = re.compile(r"(?i:(^|[\W_])(id|uuid|guid)$)|[a-z](Id|ID)$")
MAY_NAME_ROWS = re.compile(
    r"(?i:[\W_](no|nr|num|number)$|(^|[\W_])(account|acct|code|index|key|serial|ticket|invoice)$)"
    r"|[a-z](No|Nr)$"
)
NO_NAME = re.compile(r"column_1|Unnamed: 0|rownames")  # of row names, as pandas and R write them
KEEP = "data.types: {} keeps it"
FEW = 20  # with fewer values, an id or a text cannot be told from a category
MOST = 0.95  # if at least this share of the values are numbers, the others are errors


class Column(NamedTuple):
    """The values of a column, with the type of its kind, and a note for the report."""

    kind: str
    values: "pd.Series[Any]"
    note: str = ""


def infer(values: "pd.Series[Any]", decimals: str = ".,") -> Column:
    """Infer the kind of a column.

    Args:
        values: Text whose missing values are marked, or typed values from a Parquet file.
        decimals: The decimal marks that may occur in text, the likely one first.
    """
    present = values.dropna()
    if present.empty:
        return Column("empty", values, "left out: every value is missing")
    if isinstance(values.dtype, pd.StringDtype):
        column = _infer_text(values, decimals)
    elif types.is_bool_dtype(present.infer_objects()):
        column = _boolean(as_text(values), values)
    elif types.is_datetime64_any_dtype(values):
        column = Column("date", to_dates(as_text(values))[0])
    elif types.is_timedelta64_dtype(values):
        column = Column("number", values.dt.total_seconds(), "in seconds")
    elif types.is_numeric_dtype(values):
        column = _number(values.astype("float64"))
    else:
        return Column("nested", values, f"left out: {type(present.iloc[0]).__name__} in its cells")
    if len(present) == len(values) and (present == present.iloc[0]).all():
        return Column("constant", values, f"left out: always {present.iloc[0]}")
    names_rows = NO_NAME.fullmatch(str(values.name)) and len(present) > 1 and present.is_unique
    if names_rows and column.kind != "date" and _is_whole(column.values):
        kind = "number" if types.is_numeric_dtype(column.values) else "category"
        return Column("id", values, f"left out: names of the rows; {KEEP.format(kind)}")
    return column


def convert(values: "pd.Series[Any]", kind: str, decimals: str = ".,") -> Column:
    """Read a column as the given kind.

    Args:
        values: As for `infer`.
        kind: One of `KINDS`, or a date format.
        decimals: As for `infer`.

    Raises:
        LockstepError: None of the values can be read as that kind.
    """
    text = as_text(values)
    if kind == "category":
        return Column("category", text)
    if kind == "boolean":
        booleans = to_booleans(text.replace({"1": "true", "0": "false"}))
        if booleans is None:
            raise _refusal(text, kind)
        return _boolean(text, booleans)
    if kind == "number":
        numbers = to_numbers(text, decimals)
        if numbers.isna().all():
            raise _refusal(text, kind)
        return Column(kind, finite(numbers), _lost(text, numbers, kind))
    dates, _ = to_dates(text, kind if "%" in kind else None)
    if dates.isna().all():
        raise _refusal(text, kind)
    return Column("date", dates, _lost(text, dates, "date"))


def as_text(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """The values as in a CSV file; missing ones stay missing."""
    if types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    return values.astype("str") if values.notna().all() else values.astype("string").astype("str")


def finite(numbers: "pd.Series[Any]") -> "pd.Series[Any]":
    """The numbers, with infinite ones as missing."""
    return numbers.mask(numbers.abs() == float("inf"))


def _infer_text(text: "pd.Series[Any]", decimals: str) -> Column:
    booleans = to_booleans(text)
    if booleans is not None:
        return _boolean(text, booleans)
    if text.str.fullmatch(r"0\d+").any():
        column = _category(text)
        return column._replace(note=column.note or "codes, by their leading zeros")
    numbers = to_numbers(text, decimals)
    if numbers.count() == text.count():
        return _number(numbers)
    dates, pattern = to_dates(text)
    if pattern:
        other = day_or_month(text, pattern)
        note = f"; {other} fits as well: data.types decides" if other else ""
        return Column("date", dates, f"read as {pattern}{note}")
    if numbers.count() >= MOST * text.count():
        return Column("number", finite(numbers), _lost(text, numbers, "number"))
    return _category(text)


def _boolean(text: "pd.Series[Any]", booleans: "pd.Series[Any]") -> Column:
    if text.isna().any():
        return Column("category", text, "boolean with missing values")
    return Column("boolean", booleans.astype("bool"))


def _number(values: "pd.Series[Any]") -> Column:
    """A number, unless its name or its values show that it identifies rows."""
    present, name = values.dropna(), str(values.name)
    if not _is_whole(present):
        return Column("number", finite(values))
    named = NAMES_ROWS.search(name)
    if present.is_unique and (named or MAY_NAME_ROWS.search(name)):
        return Column("id", values, f"left out: it tells the rows apart; {KEEP.format('number')}")
    if named:
        return Column("category", as_text(values), "codes, by its name")
    if len(values) < FEW or not (values.diff().iloc[1:] > 0).all():
        return Column("number", finite(values))
    if present.iloc[0] in (0, 1) and present.iloc[-1] - present.iloc[0] == len(values) - 1:
        return Column("id", values, f"left out: it counts the rows; {KEEP.format('number')}")
    note = "it rises from row to row: if it only tells the rows apart, add it to data.drop"
    return Column("number", finite(values), note)


def _is_whole(values: "pd.Series[Any]") -> bool:
    """Whether there are no fractions; text has none."""
    return not types.is_numeric_dtype(values) or bool((values.dropna() % 1 == 0).all())


def odd_labels(text: "pd.Series[Any]") -> str:
    """A note on labels that differ in upper and lower case only, or that seem to be several."""
    labels = pd.Series(text.dropna().unique(), dtype="str")
    folded = labels.str.casefold()
    if folded.duplicated().any():
        alike = labels[folded == folded[folded.duplicated()].iloc[0]]
        return f"{', '.join(map(repr, alike))} are different values"
    for mark in ";|,":
        parts = labels.str.split(mark, regex=False).explode().str.strip()
        if parts.size > 1.5 * labels.size and parts.nunique() < labels.size:
            joined = labels[labels.str.contains(mark, regex=False)].iloc[0]
            return f"{joined!r} is one value, though it looks like several"
    return ""


def _category(text: "pd.Series[Any]") -> Column:
    """A category, unless most of its values occur once."""
    present = text.dropna()
    if len(present) < FEW or present.nunique() <= len(present) / 2:
        return Column("category", text, odd_labels(text))
    is_prose = present.str.len().mean() > 30 or present.str.count(r"\s").mean() >= 2
    note = "left out: most values are different; data.types: category keeps it"
    return Column("text" if is_prose else "id", text, note)


def _lost(text: "pd.Series[Any]", converted: "pd.Series[Any]", kind: str) -> str:
    lost = text[text.notna() & converted.isna()]
    shown = ", ".join(repr(value) for value in lost.unique()[:3])
    return f"counted as missing, being no {kind}: {shown} ({len(lost)} rows)" if len(lost) else ""


def _refusal(text: "pd.Series[Any]", kind: str) -> LockstepError:
    shown = ", ".join(repr(value) for value in text.dropna().unique()[:5])
    return LockstepError(
        f"column {text.name!r} cannot be read as {kind}: it contains {shown}\n"
        "change data.types (or data.time, which needs numbers or dates) in conf/data/default.yaml"
    )
