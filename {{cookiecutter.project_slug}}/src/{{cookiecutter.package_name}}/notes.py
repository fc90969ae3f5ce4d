"""What the report says about a column of text: what was decided, and what may be otherwise."""

from typing import Any

import pandas as pd

from .cells import Numbers, is_missing
from .formats import DELIMITERS
from .parsing import Dates, also_fitting, is_no_date
from .wording import plain

LONGEST = 60  # characters of a cell that a message shows


def on_numbers(text: "pd.Series[Any]", numbers: "pd.Series[Any]", found: Numbers) -> str:
    """What was decided about a column of numbers."""
    parts = [f"in {found.unit}"] if found.unit else []
    odd = [raw for raw, value in found.values.items() if not _is_plain(raw, value)]
    if odd or found.undecided:
        shown = found.example or min(odd, key=len)
        parts.append(f"{shown!r} is read as {found.values[shown]:.15g}")
    if found.undecided:
        parts[-1] += ", but nothing shows which mark is the decimal one: data.csv.decimal decides"
    if infinite := int((numbers.abs() == float("inf")).sum()):
        parts.append(f"infinite in {infinite} rows, counted as missing")
    return "; ".join([*parts, *filter(None, [lost(text, numbers, "number")])])


def on_dates(text: "pd.Series[Any]", dates: Dates, *, settled: bool) -> str:
    """What was decided about a column of dates.

    Args:
        text: The column.
        dates: Its dates.
        settled: Whether their formats were given, and not inferred.
    """
    first, last = dates.values.min(), dates.values.max()
    parts = [f"read as {' or '.join(dates.formats)}"] if dates.formats != ("ISO8601",) else []
    in_english = plain(text)
    for row in text.index[text.notna() & (in_english != text)][:1]:
        parts.append(f"{text[row]!r} is {str(dates.values[row]).removesuffix(' 00:00:00')}")
    if not settled and (others := also_fitting(text, dates.formats)):
        parts[-1] += f", but {' or '.join(others)} fits as well: data.types decides"
    if any("%y" in name for name in dates.formats):
        parts.append(f"from {first:%Y} to {last:%Y}")
    for day in (first, last):
        if not 1000 < day.year < 3000:
            parts.append(f"{day:%Y-%m-%d} is a date, too, unless data.missing lists it")
    return "; ".join([*parts, *filter(None, [dates.problem, lost(text, dates.values, "date")])])


def lost(text: "pd.Series[Any]", converted: "pd.Series[Any]", kind: str) -> str:
    """Which texts are counted as missing, because they are not of the kind."""
    rest = text[text.notna() & converted.isna()]
    if rest.empty:
        return ""
    if all(is_no_date(value) if kind == "date" else is_missing(value) for value in rest.unique()):
        share = 1 - len(rest) / text.count()
        share = min(share, 0.99) if share > 0.5 else share
        return f"{share:.0%} are {kind}s, the others are {shown(rest)}: read as missing"
    return f"counted as missing, being no {kind}: {shown(rest)} ({len(rest)} rows)"


def on_lines(text: "pd.Series[Any]") -> str:
    """What was found in cells with line breaks: rows of the file, after a stray quotation mark."""
    present = text.dropna()
    for row, cell in present[present.str.contains("\n", regex=False)].items():
        lines = cell.splitlines()[1:-1]
        for mark in DELIMITERS if lines else "":
            counts = {line.count(mark) for line in lines}
            if len(counts) == 1 and counts != {0}:
                return (
                    f"row {row}: a cell holds {len(lines)} whole lines with as many {mark!r} each: "
                    "if they are rows, a quotation mark is missing or too many in the file"
                )
    return ""


def shown(text: "pd.Series[Any]") -> str:
    """The first values, as a message shows them."""
    distinct = text.dropna().unique()
    cut = [value if len(value) <= LONGEST else f"{value[:LONGEST]}…" for value in distinct[:3]]
    return ", ".join(map(repr, cut)) + (", …" if len(distinct) > 3 else "")


def _is_plain(text: str, value: float) -> bool:
    try:
        return float(text) == value
    except ValueError:
        return False
