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

from .cells import Numbers
from .notes import on_dates, on_lines, on_numbers, shown
from .parsing import Dates, is_no_date, to_booleans, to_dates, to_numbers
from .schema import DTYPES, Rule
from .tables import count_distinct

KINDS = ("number", "category", "boolean", "date", "integer")
NAMES_ROWS = re.compile(r"(?i:(^|[\W_])(id|uuid|guid)$)|[a-z](Id|ID)$")
MAY_NAME_ROWS = re.compile(
    r"(?i:[\W_](no|nr|num|number)$|(^|[\W_])(account|acct|code|index|key|serial|ticket|invoice)$)"
    r"|[a-z](No|Nr)$"
)
NO_NAME = re.compile(r"column_1|Unnamed: 0|rownames")  # of row names, as pandas and R write them
KEEP = "data.types: {} keeps it"
NAMES_DATES = re.compile(
    r"(?i)dat[eu]|fecha|day|tag|time|zeit|month|period|birth|(^|[\W_])d(t|ob)($|[\W_])"
)
CALLED_DATE = re.compile(r"(?i:(^|[\W_])(date|datum|fecha)s?($|[\W_]))|[a-z]Date($|[^a-z])")
MONTH = r"(0?[1-9]|1[0-2])\.(19|20)\d\d"  # 01.2024 is no number
DIGITS = {"1": "true", "0": "false"}
FEW = 20  # with fewer values, an id or a text cannot be told from a category


class Column(NamedTuple):
    """The values of a column, with the type of its kind.

    Attributes:
        kind: One of `KINDS`, or why the column is left out.
        values: Its values.
        note: For the report.
        read: How text was read, for schema.yaml: `unit`, `decimal`, `formats`.
    """

    kind: str
    values: "pd.Series[Any]"
    note: str = ""
    read: dict[str, Any] = {}  # noqa: RUF012


def infer(values: "pd.Series[Any]", decimals: str = ".,", rule: Rule | None = None) -> Column:
    """Infer the kind of a column.

    Args:
        values: Text whose missing values are marked, or typed values from a Parquet file.
        decimals: The decimal mark of text, or both with the likely one first.
        rule: That of the column in schema.yaml, which tells how earlier data were read.

    Raises:
        LockstepError: The text contradicts the rule.
    """
    rows = values.count()
    if not rows:
        return Column("empty", values, "left out: every value is missing")
    first = values.iloc[int(values.notna().argmax())]
    if _is_huge(values):
        column = _category(as_text(values))
    elif isinstance(values.dtype, pd.StringDtype):
        column = _infer_text(values, decimals, rule)
    elif types.is_bool_dtype(values) or (
        values.dtype == "object" and types.is_bool_dtype(values.dropna().infer_objects())
    ):
        column = _boolean(as_text(values), values)
    elif types.is_datetime64_any_dtype(values):
        column = Column("date", to_dates(as_text(values)).values)
    elif types.is_timedelta64_dtype(values):
        column = Column("number", values.dt.total_seconds(), "in seconds")
    elif types.is_numeric_dtype(values):
        column = _maybe_date(values, _number(values.astype("float64")))
    else:
        return Column("nested", values, f"left out: {type(first).__name__} in its cells")
    if rows == len(values) and (values == first).all():
        return Column("constant", values, f"left out: always {first}")
    names_rows = NO_NAME.fullmatch(str(values.name)) and rows > 1 and count_distinct(values) == rows
    if names_rows and column.kind != "date" and _is_whole(column.values):
        kind = "number" if types.is_numeric_dtype(column.values) else "category"
        return Column("id", values, f"left out: names of the rows; {KEEP.format(kind)}")
    return column


def convert(
    values: "pd.Series[Any]", kind: str, decimals: str = ".,", rule: Rule | None = None
) -> Column:
    """Read a column as the given kind.

    Args:
        values: As for `infer`.
        kind: One of `KINDS`, or a date format.
        decimals: As for `infer`.
        rule: As for `infer`.

    Raises:
        LockstepError: None of the values can be read as that kind, or they contradict the rule.
    """
    text = as_text(values)
    if kind == "category":
        return Column("category", text)
    if kind == "boolean":
        booleans = to_booleans(text.replace(DIGITS))
        if booleans is None:
            raise _refusal(text, kind)
        return _boolean(text, booleans)
    if kind == "number":
        numbers, found = read_numbers(text, decimals, rule)
        if numbers.isna().all():
            raise _refusal(text, kind, found.problem)
        return Column(kind, finite(numbers), on_numbers(text, numbers, found), found.read)
    known = [kind] if "%" in kind else _known_formats(text, rule)
    dates = to_dates(text, known)
    if dates.values.isna().all() or dates.problem:
        raise _refusal(text, kind, dates.problem)
    return _date(text, dates, settled=bool(known))


def settled(values: "pd.Series[Any]", rule: Rule, decimals: str) -> Column:
    """Read a part of a column as the kind of the whole, which the part alone may not show.

    Args:
        values: As for `infer`.
        rule: The rule for the column.
        decimals: As for `infer`.

    Raises:
        LockstepError: The values cannot be read as that kind, or they contradict the rule.
    """
    if rule.kind == "boolean" and values.notna().any():
        text = as_text(values)
        booleans = to_booleans(text.replace(DIGITS), part=True)
        if booleans is not None:
            return _boolean(text, booleans)
    column = infer(values, decimals, rule)
    if column.kind in (rule.kind, "category"):  # text among numbers: not the kind of the rule
        return column
    if column.kind == "empty":
        kind = "category" if rule.kind == "boolean" else rule.kind
        return Column(kind, pd.Series(None, values.index, DTYPES[kind], name=values.name))
    return convert(values, rule.kind, decimals, rule)


def read_numbers(
    text: "pd.Series[Any]", decimals: str, rule: Rule | None
) -> "tuple[pd.Series[Any], Numbers]":
    """Read text as numbers in the same way as earlier data.

    Args:
        text: The column.
        decimals: As for `infer`.
        rule: As for `infer`.

    Returns:
        float64, NaN where the text is missing or not a number; and how the text was read.

    Raises:
        LockstepError: The unit is another one than in the rule.
    """
    numbers, found = to_numbers(text, (rule and rule.decimal) or decimals)
    if rule and rule.unit and found.fit and rule.unit != found.unit:
        row: Any = numbers.first_valid_index()
        unit = f"in {found.unit}" if found.unit else "without a unit"
        raise LockstepError(
            f"column {text.name!r}, row {row}: {text[row]!r} is {unit}, but {rule.unit!r} is the "
            "unit in schema.yaml: convert the file or, if that is wrong, change the unit there"
        )
    return numbers, found


def as_text(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """The values as in a CSV file; missing ones stay missing."""
    if values.dtype == "str":
        return values
    if types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    return values.astype("str") if values.notna().all() else values.astype("string").astype("str")


def finite(numbers: "pd.Series[Any]") -> "pd.Series[Any]":
    """The numbers, with infinite ones as missing."""
    return numbers.mask(numbers.abs() == float("inf"))


def _infer_text(text: "pd.Series[Any]", decimals: str, rule: Rule | None) -> Column:
    booleans = to_booleans(text)
    if booleans is not None:
        return _boolean(text, booleans)
    if text.str.match(r"0\d").any():
        if text.str.fullmatch(r"0\d+").any():
            column = _category(text)
            return column._replace(note=column.note or "codes, by their leading zeros")
        if text.dropna().str.fullmatch(MONTH).all():
            return _date(text, to_dates(text, ["%m.%Y"]))
    numbers, found = read_numbers(text, decimals, rule)
    if found.fit:
        column = _number(numbers)
        note = "; ".join(filter(None, (column.note, on_numbers(text, numbers, found))))
        return _maybe_date(text, column._replace(note=note, read=found.read))
    known = _known_formats(text, rule)
    dates = to_dates(text, known)
    if dates.fit(text):
        return _date(text, dates, settled=bool(known))
    column = _category(text)
    problem = found.problem or dates.problem
    for kind, share in (("number", found.share), ("date", dates.values.count() / text.count())):
        if share >= 0.5 and not problem:
            rest = text[(numbers if kind == "number" else dates.values).isna()]
            problem = f"{share:.0%} are {kind}s, but not {shown(rest)}"
    if not problem and CALLED_DATE.search(str(text.name)) and text.str.contains(r"\d").any():
        problem = f"{shown(text)} are not read as dates"
    if problem:
        problem += "; data.missing, data.types or the raw file can change that"
    return column._replace(note="; ".join(filter(None, (column.note, problem, on_lines(text)))))


def _known_formats(text: "pd.Series[Any]", rule: Rule | None) -> list[str]:
    """The formats in schema.yaml, if they fit any text.

    Raises:
        LockstepError: There are dates in other formats, too.
    """
    if not (rule and rule.formats):
        return []
    dates = to_dates(text, rule.formats).values
    rest = text[dates.isna()].dropna()
    rest = rest[[not is_no_date(value) for value in rest]]
    strange = to_dates(rest).values if len(rest) else rest
    if strange.notna().any():
        row: Any = strange.first_valid_index()
        raise LockstepError(
            f"column {text.name!r}, row {row}: {text[row]!r} is a date, but not in the format "
            f"{' or '.join(rule.formats)} of schema.yaml (rows like this: {strange.count()}): fix "
            "the file or, if earlier data were misread, change or remove `formats` there"
        )
    return rule.formats if dates.notna().any() else []


def _date(text: "pd.Series[Any]", dates: Dates, *, settled: bool = False) -> Column:
    note = on_dates(text, dates, settled=settled)
    return Column("date", dates.values, note, {"formats": list(dates.formats)})


def _maybe_date(values: "pd.Series[Any]", column: Column) -> Column:
    """A number like 20240131, or 202401, as a date if all are, and the column's name says so."""
    present = column.values.dropna()
    if present.empty or not types.is_numeric_dtype(present):  # codes are text
        return column
    low, high = present.min(), present.max()
    if low >= 18000101 and high <= 21991231:
        form = "%Y%m%d"
    elif low >= 180001 and high <= 219912:
        form = "%Y%m"
    else:
        return column
    text = as_text(column.values)
    dates = to_dates(text, [form])
    if dates.values.count() < text.count() or count_distinct(present) < 3:
        return column
    if NAMES_DATES.search(str(values.name)):
        return _date(text, dates)
    note = f"{text.dropna().iloc[0]} may be a date: data.types: {form!r} reads it as one"
    is_likely = form == "%Y%m%d" and column.kind == "number"
    return (
        column._replace(note="; ".join(filter(None, (column.note, note)))) if is_likely else column
    )


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
    if (named or MAY_NAME_ROWS.search(name)) and count_distinct(present) == len(present):
        return Column("id", values, f"left out: it tells the rows apart; {KEEP.format('number')}")
    if named:
        return Column("category", as_text(values), "codes, by its name")
    if len(values) < FEW or not (values.diff().iloc[1:] > 0).all():
        return Column("number", finite(values))
    if present.iloc[0] in (0, 1) and present.iloc[-1] - present.iloc[0] == len(values) - 1:
        return Column("id", values, f"left out: it counts the rows; {KEEP.format('number')}")
    note = "it rises from row to row: if it only tells the rows apart, add it to data.drop"
    return Column("number", finite(values), note)


def _is_huge(values: "pd.Series[Any]") -> bool:
    """Whether there are integers of more digits than a float has: they identify something."""
    if types.is_integer_dtype(values):
        return bool((values.abs() > 2**53).any())
    if not isinstance(values.dtype, pd.StringDtype) or values.str.len().max() < 16:
        return False
    return bool(values.str.fullmatch(r"[+-]?\d+").sum() == values.count())


def _is_whole(values: "pd.Series[Any]") -> bool:
    """Whether there are no fractions; text has none."""
    return not types.is_numeric_dtype(values) or bool((values.dropna() % 1 == 0).all())


def odd_labels(text: "pd.Series[Any]") -> str:
    """A note on labels that differ in upper and lower case only, or that seem to be several."""
    labels = pd.Series(text.unique(), dtype="str").dropna()
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
    rows = text.count()
    if rows < FEW or text.nunique() <= rows / 2:
        return Column("category", text, odd_labels(text))
    is_prose = text.str.len().mean() > 30 or text.str.count(r"\s").mean() >= 2
    note = "left out: most values are different; data.types: category keeps it"
    return Column("text" if is_prose else "id", text, note)


def _refusal(text: "pd.Series[Any]", kind: str, problem: str = "") -> LockstepError:
    return LockstepError(
        f"column {text.name!r} cannot be read as {kind}: "
        f"{problem or f'it contains {shown(text)}'}\n"
        "fix the file, or change data.types (or data.time, which needs numbers or dates) in "
        "conf/data/default.yaml"
    )
