"""What a cell of text says: a number as people write it, or that a value is missing.

Only the standard library is used: the template loads this file, too, to look at the target.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

MOST = 0.95  # if at least this share of the values agree, the others are errors

_WORDS = (
    "missing|unknown|unk|undefined|undef|none|null|nil|nan|nat|na|void|blank|empty|tbd|tba|"
    "(not )?(available|applicable|known|recorded|reported|specified)|no (data|value|answer)|"
    "keine angabe|inconnu|desconocido"
)
_MISSING = re.compile(
    rf"[-_.*?~/\u2013\u2014]+|[(<\[]?({_WORDS})[)>\]]?|n\.? ?[/.]? ?[ad]\.?|k\. ?a\.?|s/d|\\n|"
    r"#(div/0!|n/a|name\?|null!|num!|ref!|value!)",
    re.IGNORECASE,
)
_ALIKE = str.maketrans(
    dict.fromkeys("\u00a0\u2002\u2003\u2007\u2009\u200a\u202f\u3000", " ")
    | dict.fromkeys("\u2010\u2011\u2013\u2212\ufe63\uff0d", "-")
    | dict.fromkeys("\u2018\u2019\u02b9\u02bc\u2032", "'")
    | dict.fromkeys("\u200b\u2060\ufeff", "")
)
_CURRENCY = (
    r"(?:(?:US|CA|AU|NZ|HK|SG|[ACRS])?\$|[€£¥₹₩₽₺₴₪฿₫₱₦]|Rs\.?|kr\.?|zł|Kč|Ft|Fr\.|"
    r"AED|AUD|BRL|CAD|CHF|CLP|CNY|COP|CZK|DKK|EUR|GBP|HKD|HUF|IDR|ILS|INR|JPY|KRW|MXN|MYR|NOK|NZD|"
    r"PHP|PLN|RON|RUB|SAR|SEK|SGD|THB|TRY|TWD|UAH|USD|VND|ZAR)"
)
_NUMBER = re.compile(
    rf"(?P<paren>\()?\s*(?P<sign>[+-])?\s*(?P<before>{_CURRENCY}|%)?\s*(?P<inner>[+-])?\s*"
    r"(?P<digits>\d(?:[\d.,' ]*\d)?[.,]?|[.,]\d+)(?:[eE](?P<exponent>[+-]?\d+))?"
    r"(?P<trail>-(?=\s|$))?\s*"
    rf"(?P<after>(?:{_CURRENCY}|[^\W\d_]|[%‰°″\"])(?:[^\s\d()<>,;:]|(?<=[mtn])[23])*"
    rf"(?: (?:{_CURRENCY}|[^\W\d_]+\.?))?)?"
    r"\s*(?(paren)\))"
)
_INFINITE = re.compile("[+-]?inf(inity)?", re.IGNORECASE)
_GROUPS = (
    r"[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d{0,2}(?P<gap>[ '])\d{3}(?:(?P=gap)\d{3})*|"
    r"[1-9]\d?(?:,\d\d)+,\d{3}"
)
_POINT = re.compile(rf"(?P<whole>\d+|{_GROUPS})?(?:\.(?P<part>\d*))?")
_NO_UNIT = re.compile(
    r"(st|nd|rd|th)( .*)?|[ap]\.?m\.?|(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?",
    re.IGNORECASE,
)
_FACTORS = {
    **dict.fromkeys(("k", "K", "tsd", "thousand"), 3),
    **dict.fromkeys(("M", "mn", "mln", "mio", "Mio", "million", "Million"), 6),
    **dict.fromkeys(("B", "bn", "Bn", "mrd", "Mrd", "billion", "Billion"), 9),
}
_FACTOR = re.compile(rf"({'|'.join(_FACTORS)})\.?s?(?:\s*({_CURRENCY}))?")


def is_missing(text: str) -> bool:
    """Whether a text among numbers or dates says that there is no value: `-`, `unknown`, `#N/A`."""
    return _MISSING.fullmatch(text) is not None


class Cell(NamedTuple):
    """A number in a text, by either decimal mark; None where the text does not allow it."""

    point: float | None
    comma: float | None
    unit: str


def parse(text: str) -> Cell | None:
    """Read a text as a number with its unit: `-$1,234`, `(1 234,5)`, `10k`, `5 kg`, `12 %`."""
    if not text.isascii():
        text = text.translate(_ALIKE)
        text = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)
    if _INFINITE.fullmatch(text.strip()):
        return Cell(float(text), float(text), "")
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        return None
    paren, sign, before, inner, digits, exponent, trail, after = match.groups()
    signs = (paren or "") + (sign or "") + (inner or "") + (trail or "")
    power = int(exponent or 0)
    if after:
        if _NO_UNIT.fullmatch(after):
            return None
        if factor := _FACTOR.fullmatch(after):
            after, power = factor[2], power + _FACTORS[factor[1]]
    if len(signs) > 1:
        return None
    point, comma = _plain(digits), _plain(_swapped(digits))
    if exponent and point is not None and "." in digits:
        comma = None  # a thousands separator is never followed by an exponent
    if point is None and comma is None:
        return None
    head = "" if signs in ("", "+") else "-"
    first, second = (part and float(f"{head}{part}e{power}") for part in (point, comma))
    return Cell(first, second, _unit(before, after))  # type: ignore[arg-type] # never an empty text


def _plain(digits: str) -> str | None:
    """Digits with a decimal point, without separators; None if that is not how they are written."""
    match = _POINT.fullmatch(digits)
    if match is None:
        return None
    whole = (match["whole"] or "0").replace(",", "").replace("'", "").replace(" ", "")
    return f"{whole}.{match['part'] or 0}"


def _swapped(digits: str) -> str:
    return digits.replace(",", "\0").replace(".", ",").replace("\0", ".")


def _unit(before: str | None, after: str | None) -> str:
    if after and len(after) > 2 and after.isalpha():
        after = after.removesuffix("s")  # 1 day, 2 days
    return "/".join(part for part in (before, after) if part)


@dataclass(frozen=True)
class Numbers:
    """The numbers in the texts of a column.

    Attributes:
        values: The number of each text that is one.
        mark: The decimal mark by which they are read; empty where it makes no difference.
        unit: Their unit.
        example: A text that the other mark would turn into another number, if no text in the
            column shows the mark.
        undecided: Whether nothing else shows it, either.
        problem: Why texts that look like numbers are not read, such as different units.
        share: The part of the rows that are numbers.
        others: The texts that are neither numbers nor mark missing values.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    mark: str = ""
    unit: str = ""
    example: str = ""
    undecided: bool = False
    problem: str = ""
    share: float = 0.0
    others: tuple[str, ...] = ()

    @property
    def fit(self) -> bool:
        """Whether the column is one of numbers: all texts are, apart from marks and few errors."""
        many = self.share >= 0.5 or len(set(self.values.values())) > 2
        return self.share >= MOST or (many and not self.others)

    @property
    def read(self) -> dict[str, str]:
        """The unit and the decimal mark, as schema.yaml has them."""
        read = {"unit": self.unit, "decimal": self.mark if self.mark == "," else ""}
        return {key: value for key, value in read.items() if value}


def read_numbers(counts: Mapping[str, int], decimals: str = ".,") -> Numbers:
    """Read the texts of a column as numbers.

    Args:
        counts: The rows of each text.
        decimals: The decimal mark, or both with the likely one first, for texts such as `1.234`
            in a column that does not show it.

    Returns:
        The numbers, in the unit of most rows; where the rows differ much in unit, none.
    """
    cells = {text: cell for text in counts if (cell := parse(text))}
    unit, problem = _common_unit(cells, counts)
    if not problem:
        bare = "" if unit != "%" else unit
        cells = {text: cell for text, cell in cells.items() if cell.unit in (unit, bare)}
    votes = _votes(cells, counts)
    if len(decimals) == 1 and votes and sum(counts[text] for text in cells) > 2 * votes.total():
        # `4,6` among whole numbers, in a table with decimal points: two values rather than one
        cells = {text: cell for text, cell in cells.items() if _by(cell, decimals) is not None}
        votes = _votes(cells, counts)
    unclear = [text for text, cell in cells.items() if None not in cell[:2] and cell[0] != cell[1]]
    mark = max(votes, key=votes.__getitem__) if votes else decimals[0]
    if unclear and votes and votes[mark] < MOST * votes.total():
        problem = problem or "some have a decimal comma and some a decimal point"
    if problem:
        is_common = sum(counts[text] for text in cells) >= sum(counts.values()) / 2
        return Numbers(problem=problem if is_common else "", others=tuple(counts))
    values = {}
    for text, cell in cells.items():
        first = _by(cell, mark)
        values[text] = first if first is not None else _by(cell, "," if mark == "." else ".")
    rest = counts.keys() - values.keys()
    return Numbers(
        {text: value for text, value in values.items() if value is not None},
        mark if votes or unclear else "",
        unit,
        "" if votes else min(unclear, key=len, default=""),
        bool(unclear) and not votes and len(decimals) > 1,
        "",
        sum(counts[text] for text in values) / max(sum(counts.values()), 1),
        tuple(text for text in counts if text in rest and not is_missing(text)),
    )


def decimal_marks(columns: Iterable[Mapping[str, int]], likely: str) -> str:
    """The decimal mark of a table, or both with the likely one first if its columns do not show it.

    Args:
        columns: The rows of each text in a part of each column.
        likely: The mark to prefer.
    """
    marks: set[str] = set()
    clear: set[str] = set()  # those in most cells of a column
    for counts in columns:
        cells = {text: cell for text in counts if (cell := parse(text))}
        rows = sum(counts[text] for text in cells)
        if rows >= MOST * sum(counts.values()):
            votes = _votes(cells, counts)
            found = {mark for mark in votes if votes[mark] >= MOST * votes.total()}
            marks |= found
            clear |= {mark for mark in found if 2 * votes[mark] >= rows}
    marks = marks if len(marks) == 1 else clear
    return marks.pop() if len(marks) == 1 else likely + ".,".replace(likely, "")


def _by(cell: Cell, mark: str) -> float | None:
    return cell.comma if mark == "," else cell.point


def _votes(cells: Mapping[str, Cell], counts: Mapping[str, int]) -> "Counter[str]":
    """The rows that show their decimal mark, by mark."""
    votes: Counter[str] = Counter()
    for text, cell in cells.items():
        if cell.comma is None or cell.point is None:
            votes["." if cell.comma is None else ","] += counts[text]
    return votes


def _common_unit(cells: Mapping[str, Cell], counts: Mapping[str, int]) -> tuple[str, str]:
    """The unit of most rows, and what is wrong if others have another one."""
    units: Counter[str] = Counter()
    for text, cell in cells.items():
        units[cell.unit] += counts[text]
    named = [unit for unit, _ in units.most_common() if unit]
    if not named:
        return "", ""
    if len(named) > 1 and max(map(len, named)) == 1 and "".join(named).isalpha():
        return "", ""  # 12a and 12b are codes
    unit = named[0]
    agree = units[unit] + (units[""] if unit != "%" else 0)
    if agree >= MOST * units.total():
        return unit, ""
    if units[""] >= MOST * units.total():
        return "", ""
    shown = [*(["none"] if units[""] else []), *map(repr, named[:4]), *(["…"] if named[4:] else [])]
    return unit, f"their units differ: {', '.join(shown)}"
