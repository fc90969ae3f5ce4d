"""Convert a column of text to booleans, numbers or dates."""

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import chain, product
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.tseries.api import guess_datetime_format

from .cells import MOST, Numbers, decimal_marks, is_missing, read_numbers
from .wording import looks_unread, plain, spread

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
    "%d-%m-%y",
    "%y/%m/%d",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%d %b %Y",
    "%d %B %Y",
    "%d. %b %Y",
    "%d. %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
]
TIMES = ["", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p"]
MONTHS = ["%B %Y", "%b %Y", "%b-%y", "%b-%Y", "%B-%Y", "%m/%Y", "%m-%Y", "%Y/%m", "%b %y"]
LOGGED = "%d/%b/%Y:%H:%M:%S %z"  # by web servers
FORMATS = ["ISO8601", *(day + time for time, day in product(TIMES, DAYS)), *MONTHS, LOGGED]
ORDERS = ["mdY", "dmY", "mdy", "dmy", "ymd"]  # which numbers like 01/02/03 may have
CENTURY = 2050  # years of two digits come before, as in Excel
NO_DATE = re.compile(r"0{1,4}([-/.])0{1,2}\1?0{0,4}([ T][0:.]+)?Z?")  # MySQL writes 0000-00-00
MANY = 5  # a column has no more formats than these
BULK = 5_000  # rows from which on a quicker way pays
PIECE = 2**20  # values that are converted at once
FLOAT = r"(?i)[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf(inity)?)"  # what pandas.to_numeric reads
WHOLE, DECIMAL = r"[+-]?\d+", r"[+-]?\d*\.\d+"
MAYBE_WHOLE = r"[+-]?[1-9]\d{0,2}\.\d{3}"  # if the point separates thousands
ISO_LENGTHS = (10, 16, 19)  # of 2024-01-31 12:30:00
COLUMNS = 50  # columns that show the decimal mark of the others


def to_booleans(text: pd.Series, *, part: bool = False) -> pd.Series | None:
    """Read `yes`, `no`, `true`, `false` and similar words, in upper or lower case.

    Args:
        text: The column.
        part: Whether it is a part of a column, which may have only one of the two.

    Returns:
        True and False; None if the text contains other words, or only one of the two.
    """
    first = text.iloc[int(text.notna().argmax())].lower()
    for pair in BOOLEANS:
        if first in pair:
            lower = text.str.lower()
            rows = [int((lower == word).sum()) for word in pair]
            if sum(rows) == text.count() and (all(rows) or part):
                return lower == pair[0]
    return None


def to_numbers(text: pd.Series, decimals: str = ".,") -> tuple[pd.Series, Numbers]:
    """Read numbers, as `cells` does.

    Args:
        text: The column.
        decimals: The decimal mark, or both with the likely one first.

    Returns:
        float64, NaN where the text is missing or not a number; and how the text was read.
    """
    plain = _floats(text)
    if plain.count() == text.count() and not _may_group(text, decimals):
        return plain, Numbers(share=1.0)
    head = _counts(spread(text))
    found = read_numbers(head, decimals)
    if len(text) > BULK:
        if sum(head[other] for other in found.others) > 0.8 * sum(head.values()):
            return plain, replace(found, share=0.0)
        if (numbers := _in_bulk(text, found)) is not None:
            return numbers, replace(found, share=1.0)
    simple: dict[str, int] = {}
    is_simple = pd.Series(False, text.index)
    if len(text) > BULK:  # there may be millions of them, which are read as floats are
        for form in (WHOLE, DECIMAL):
            fits = text.str.fullmatch(form) & ~text.str.fullmatch(MAYBE_WHOLE)
            simple |= _few(text[fits])
            is_simple |= fits
    found = read_numbers(simple | _counts(text[~is_simple]), decimals)
    if not simple.keys() <= found.values.keys():  # they lack a unit
        found = read_numbers(_counts(text), decimals)
        is_simple[:] = False
    others = _by_value(text[~is_simple], lambda values: values.map(found.values).astype("float64"))
    plain[~is_simple] = others.to_numpy()
    return plain, found


def _floats(text: pd.Series) -> pd.Series:
    """The same as pandas.to_numeric gives, missing where that fails, without a list of objects."""
    column = pa.chunked_array(pa.array(text))
    try:
        values = pc.cast(column, pa.float64())
    except pa.ArrowInvalid:
        is_float = pc.match_substring_regex(column, f"^({FLOAT})$")
        values = pc.cast(pc.if_else(is_float, column, None), pa.float64())
    return pd.Series(values.to_numpy(), text.index, name=text.name)


def _few(texts: pd.Series) -> dict[str, int]:
    """The counts of a few texts, as if there were no others."""
    counts = dict.fromkeys(spread(texts).unique()[:3], 1)
    for text in list(counts)[:1]:
        counts[text] += len(texts) - len(counts)
    return counts


def _in_bulk(text: pd.Series, head: Numbers) -> pd.Series | None:
    """The numbers of a long column, if all are written in the usual way; None if not.

    A text that would change how the column is read, such as one with the other decimal mark, is not
    written in this way.
    """
    if head.mark == "" or head.undecided or head.problem or head.others:
        return None
    group = "," if head.mark == "." else "."
    usual = rf"-?(\d+|[1-9]\d{{0,2}}(\{group}\d{{3}})+)(\{head.mark}\d+)?"
    numbers = []
    for piece in _pieces(text):
        bare = piece.str.removeprefix(head.unit).str.removesuffix(head.unit).str.strip()
        if head.unit == "%" and (bare == piece).any():
            return None
        if bare.str.fullmatch(usual).sum() < bare.count():
            return None
        digits = bare.str.replace(group, "", regex=False).str.replace(head.mark, ".", regex=False)
        numbers.append(_floats(digits))
    joined: pd.Series = pd.concat(numbers)
    return joined


def table_decimals(columns: Mapping[str, pd.Series], likely: str) -> str:
    """The decimal mark that the columns of text show, or both with the likely one first."""
    names = [name for name in columns if isinstance(columns[name].dtype, pd.StringDtype)]
    heads = (spread(columns[name]) for name in names[:: max(1, len(names) // COLUMNS)])
    return decimal_marks((_counts(head.str.strip()) for head in heads), likely)


def is_no_date(text: str) -> bool:
    """Whether a text among dates says that there is none."""
    return is_missing(text) or NO_DATE.fullmatch(text) is not None


class Dates(NamedTuple):
    """The dates in a column of text.

    Attributes:
        values: Without a time zone (those that have one in UTC), missing where there is no date.
        formats: Those for `strptime`, or ISO8601, that were needed.
        problem: Why texts that look like dates are not read.
    """

    values: pd.Series
    formats: tuple[str, ...]
    problem: str = ""

    def fit(self, text: pd.Series) -> bool:
        """Whether the column is one of dates: all texts are, apart from marks and few errors."""
        share = self.values.count() / max(text.count(), 1)
        rest = text[text.notna() & self.values.isna()].unique()
        return share >= MOST or (share > 0 and all(map(is_no_date, rest)))


def to_dates(text: pd.Series, formats: Sequence[str] = ()) -> Dates:
    """Read dates in ISO format or in other common ones.

    Args:
        text: The column.
        formats: Those for `strptime`; none searches for those that fit the column.
    """
    if formats:
        return Dates(_dates(text, formats).fillna(_dates(plain(text), formats)), tuple(formats))
    if (values := _all_iso(text)) is not None:
        return Dates(values, ("ISO8601",))
    head = spread(text).iloc[:3]
    text = plain(text)
    chosen: list[str] = []
    values = pd.Series(pd.NaT, text.index, dtype="datetime64[us]")
    rest = text
    while len(chosen) < MANY and (best := _best_format(rest)):
        if contrary := next((name for name in chosen if name in _others(best)), ""):
            if best not in also_fitting(text, [contrary]):
                pair = _example(text, contrary), _example(rest, best)
                return Dates(values, tuple(chosen), f"{' and '.join(pair)} contradict each other")
            chosen.remove(contrary)  # only the sample left both open
        chosen.append(best)
        values = _dates(text, chosen)
        rest = text[values.isna()].dropna()
    odd = (value for value in head if looks_unread(value) or _guesses([value]))
    strange = "" if chosen else next(odd, "")
    problem = f"{strange!r} looks like a date or a time, but is not read as one" if strange else ""
    return Dates(values, tuple(chosen), problem)


def also_fitting(text: pd.Series, formats: Sequence[str]) -> list[str]:
    """The formats with day, month and year in another order by which the same texts are dates."""
    found, text = [], plain(text)
    for name in filter(_others, formats):
        fits = text[_dates(text, [name]).notna()]
        found += [other for other in _others(name) if _dates(fits, [other]).notna().all()]
    return found


def _best_format(text: pd.Series) -> str:
    """The format that fits the most of a sample, or an empty string if none does."""
    sample = spread(pd.Series(text.unique(), dtype="str"))
    sample = sample[[not is_no_date(value) for value in sample]]
    if sample.empty or sample.str.contains(r"\d").mean() < 0.5:
        return ""
    head = sample.iloc[:10].tolist()
    candidates = [name for name in FORMATS if any(_is_date(value, name) for value in head)]
    best, most = "", 0
    for candidate in [*candidates, *_guesses(head[:3])]:
        count = _dates(sample, [candidate]).count()
        if count > most:
            best, most = candidate, count
        if most == len(sample):
            break
    return best


def _is_date(text: str, name: str) -> bool:
    """The same as `_dates` finds, quicker for one text."""
    if name == "ISO8601":
        return True
    try:
        datetime.strptime(text, name)
    except ValueError:
        return False
    return True


def _guesses(texts: Iterable[str]) -> list[str]:
    """The formats in which pandas takes texts for days, month first before day first."""
    found = {}
    with warnings.catch_warnings(action="ignore"):  # of a day that is not the month
        for day_first, text in product((False, True), texts):
            guess = guess_datetime_format(text, dayfirst=day_first) or ""
            if all(re.search(part, guess) for part in ("%d", "%[mbB]", "%[Yy]")):
                name = re.sub(r"(Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day", "%A", guess)
                if not (day_first and name.startswith("%Y")):
                    found[name] = True
    return list(found)


def _others(name: str) -> list[str]:
    """The formats that differ from one in the order of day, month and year only."""
    order = "" if "%d.%m" in name else "".join(re.findall("%([dmyY])", name))
    if order not in ORDERS:
        return []
    between = re.split("%[dmyY]", name)
    return [
        "".join(
            chain(*zip(between, (f"%{letter}" for letter in other), strict=False), between[-1:])
        )
        for other in ORDERS
        if other != order and sorted(other) == sorted(order)
    ]


def _example(text: pd.Series, name: str) -> str:
    return f"{text[_dates(text, [name]).notna()].iloc[0]!r} ({name})"


def _dates(text: pd.Series, formats: Sequence[str]) -> pd.Series:
    dates = pd.Series(pd.NaT, text.index, dtype="datetime64[us]")
    for name in formats:
        read = _all_iso(text) if name == "ISO8601" else None
        dates = dates.fillna(
            _by_value(text, partial(_in_format, name=name)) if read is None else read
        )
    return dates


def _in_format(text: pd.Series, name: str) -> pd.Series:
    read = pd.to_datetime(text, format=name, errors="coerce", utc=True)
    if "%y" in name:  # in Python, 68 is 2068
        read = read.where(read.dt.year < CENTURY, read - pd.DateOffset(years=100))
    return read.dt.tz_localize(None).astype("datetime64[us]")


def _all_iso(text: pd.Series) -> pd.Series | None:
    """The dates of a column that are all in the plainest ISO format, quicker; None if not."""
    column = pa.chunked_array(pa.array(text))
    lengths = pc.unique(pc.binary_length(column)).to_pylist()
    if not {*lengths, None} <= {*ISO_LENGTHS, None} or not text.count():
        return None
    try:
        values = pc.cast(column, pa.timestamp("us"))
    except pa.ArrowInvalid:
        return None
    dates = pd.Series(values.to_numpy(), text.index, dtype="datetime64[us]", name=text.name)
    return dates if dates.dt.year.min() > 0 else None


def _may_group(text: pd.Series, decimals: str) -> bool:
    """Whether the points in a column of plain numbers may be separators of thousands."""
    if decimals == "." or not text.str.contains(".", regex=False).any():
        return False
    found = read_numbers(_counts(spread(text)))
    return found.mark != "." or found.undecided


def _counts(text: pd.Series) -> dict[str, int]:
    return dict(text.value_counts())


def _pieces(text: pd.Series) -> Iterator[pd.Series]:
    for start in range(0, max(len(text), 1), PIECE):
        yield text.iloc[start : start + PIECE]


def _by_value(text: pd.Series, convert: Callable[[pd.Series], pd.Series]) -> pd.Series:
    """What `convert` makes of each value: once for those that repeat, and a piece at a time."""
    parts = []
    for piece in _pieces(text):
        codes, distinct = pd.factorize(piece)
        values = convert(pd.Series(distinct, dtype="str")).array.take(codes, allow_fill=True)
        parts.append(pd.Series(values, piece.index, name=text.name))
    return pd.concat(parts)
