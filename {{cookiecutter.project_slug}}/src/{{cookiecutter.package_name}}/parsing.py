"""Convert a column of text to booleans, numbers or dates."""

from itertools import product

import pandas as pd

BOOLEANS = [("true", "false"), ("yes", "no"), ("y", "n"), ("t", "f"), ("on", "off")]
DAYS = [
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d.%m.%y",
    "%d-%b-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
]
TIMES = ["", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p"]
FORMATS = ["ISO8601", *(day + time for time, day in product(TIMES, DAYS))]


def to_booleans(text: pd.Series) -> pd.Series | None:
    """Read `yes`, `no`, `true`, `false` and similar words, in upper or lower case.

    Returns:
        True and False; None if the text contains other words, or only one of the two.
    """
    first = text.dropna().iloc[0].lower()
    for true, false in BOOLEANS:
        if first in (true, false):
            lower = text.str.lower()
            if set(lower.dropna().unique()) == {true, false}:
                return lower == true
    return None


def to_numbers(text: pd.Series, decimals: str = ".,") -> pd.Series:
    """Read numbers, including those with thousands separators, a currency or a percent sign.

    Args:
        text: The column.
        decimals: The decimal marks to try, `.` or `,` or both; in a tie, the first one is used.

    Returns:
        float64; NaN where the text is missing or not a number.
    """
    best = _plain_numbers(text) if "." in decimals else pd.Series(float("nan"), text.index)
    if best.count() == text.count():
        return best
    plain = text.str.replace(r"^[$€£]\s*|\s*[$€£%]$", "", regex=True)
    for mark in decimals:
        thousands = "," if mark == "." else "."
        pattern = rf"[+-]?(\d+|[1-9]\d{{0,2}}(\{thousands}\d{{3}})+)?(\{mark}\d*)?([eE][+-]?\d+)?"
        fits = plain.where(plain.str.fullmatch(pattern).fillna(False).astype(bool))
        fits = fits.str.replace(thousands, "", regex=False).str.replace(mark, ".", regex=False)
        numbers = _plain_numbers(fits)
        if numbers.count() > best.count():
            best = numbers
    return best


def to_dates(text: pd.Series, pattern: str | None = None) -> tuple[pd.Series, str]:
    """Read dates in ISO format or in another common one.

    Args:
        text: The column.
        pattern: The format for `strptime`; None searches for one that fits the whole column.

    Returns:
        The dates without a time zone (those that have one in UTC), missing where the text is not a
        date; and the format that fits, or an empty string if none does.
    """
    if pattern:
        return _dates(text, pattern), pattern
    present = pd.Series(text.dropna().unique())
    sample = present.iloc[:100]
    for candidate in FORMATS:
        if _dates(sample, candidate).notna().all() and _dates(present, candidate).notna().all():
            return _dates(text, candidate), candidate
    return _dates(text, "ISO8601"), ""


def day_or_month(text: pd.Series, pattern: str) -> str:
    """The format with day and month swapped if it fits as well, or an empty string."""
    other = pattern.translate(str.maketrans("dm", "md"))
    is_other = other != pattern and other in FORMATS
    return other if is_other and _dates(text.dropna(), other).notna().all() else ""


def _plain_numbers(text: pd.Series) -> pd.Series:
    return pd.to_numeric(text, errors="coerce").astype("float64")


def _dates(text: pd.Series, pattern: str) -> pd.Series:
    dates = pd.to_datetime(text, format=pattern, errors="coerce", utc=True)
    return dates.dt.tz_localize(None).astype("datetime64[us]")
