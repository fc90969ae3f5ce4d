"""Dates in the words of other languages, with a time zone's name, as half-years, quarters or weeks.

They are rewritten in the way that `strptime` reads; what it reads already stays as it is.
"""

import re
from datetime import date

import numpy as np
import pandas as pd

MONTHS = """
january february march april may june july august september october november december
januar februar märz april mai juni juli august september oktober november dezember
janvier février mars avril mai juin juillet août septembre octobre novembre décembre
enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre
januari februari maart april mei juni juli augustus september oktober november december
janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro
januari februari mars april maj juni juli augusti september oktober november december
januar februar marts april maj juni juli august september oktober november december
stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia
января февраля марта апреля мая июня июля августа сентября октября ноября декабря
ocak şubat mart nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık
jan feb mrz apr mai jun jul aug sep okt nov dez
jan feb mrt apr mei jun jul aug sep okt nov dec
"""  # noqa: RUF001
ZONES = {  # of e-mails (RFC 2822), and of Europe
    **{"UT": "+00:00", "EST": "-05:00", "EDT": "-04:00", "CST": "-06:00", "CDT": "-05:00"},
    **{"MST": "-07:00", "MDT": "-06:00", "PST": "-08:00", "PDT": "-07:00"},
    **{"WET": "+00:00", "WEST": "+01:00", "CET": "+01:00", "CEST": "+02:00"},
    **{"MEZ": "+01:00", "MESZ": "+02:00", "EET": "+02:00", "EEST": "+03:00"},
}
ZONE = re.compile(rf"(?<=[\dMm]) ?\b({'|'.join(ZONES)})$")
PART = re.compile(  # of a year: a half or a quarter
    r"(?P<y>\d{4})[ :/.-]?(?P<k>[QqHh])(?P<n>[1-4])"
    r"|(?P<k2>[QqHh])(?P<n2>[1-4])[ :/.-]?(?P<y2>\d{4})"
    r"|(?P<n3>[1-4])(?P<k3>[QH])[ '-]?(?P<y3>(20)?\d\d)"
)
PART_KEYS = [(key, f"{key}2", f"{key}3") for key in "ykn"]
WEEK = re.compile(r"(\d{4})-?W(\d\d)(?:-?([1-7]))?")
MONTH = re.compile(r"(\d{4})M(\d\d?)")  # of the World Bank
EAST = re.compile(r"(\d{4})年(\d\d?)月(?:(\d\d?)日)?")
WORD = re.compile(r"[^\W\d_]{3,}")
BETWEEN = re.compile(r"(?<=\d)(?:\.?º|er)(?= )|(?i: del?)(?= )")  # 1er mars, 3 de marzo de 2024
UNREAD = re.compile(
    r"\d{1,2}(\.|st|nd|rd|th)? (de )?[^\W\d_]{3,}\.?,? (de )?(19|20)\d\d( .*)?"
    r"|.*\d\d?:\d\d(:\d\d)?([.,]\d+)?( ?[AaPp]\.?[Mm]\.?)?( [A-Z]{2,5})?"
    r"|[Ww]\d\d?[ /-](19|20)\d\d|[HQST][1-4][ '/-]?(20)?\d\d|[1-4][HQST][ '/-]?(20)?\d\d"
    r"|(19|20)\d\d[ /-]?[HST][1-4]"
)
NUMBERS = re.compile(r"\d{4}|\d\D+\d")  # set-12 is no September
SAMPLE = 200


def _english() -> dict[str, str]:
    """The English name of each month, by names in any language and by their clear beginnings."""
    found: dict[str, set[int]] = {}
    names = [line.split() for line in MONTHS.strip().splitlines()]
    for line in names:
        for month, name in enumerate(line):
            for end in range(3, len(name) + 1):
                found.setdefault(name[:end], set()).add(month)
    full = {name for line in names[:-2] for name in line}
    return {
        word: names[0][months.copy().pop()].title()[: None if word in full else 3]
        for word, months in found.items()
        if len(months) == 1
    }


ENGLISH = _english()


def plain(text: pd.Series) -> pd.Series:
    """The column with dates as `strptime` reads them; it itself if there is nothing to rewrite."""
    if not any(_plain(value) != value for value in spread(text)):
        return text
    return text.map({value: _plain(value) for value in text.dropna().unique()}).astype("str")


def spread(values: pd.Series) -> pd.Series:
    """Some of the values that are not missing, evenly spread: they show how a column is written."""
    rows = range(len(values)) if values.notna().all() else np.flatnonzero(values.notna())
    some = list(rows[:: max(1, len(rows) // SAMPLE)])
    # One by one: pyarrow would copy the whole column to take several.
    return pd.Series([values.iloc[row] for row in some], values.index[some], dtype="str")


def looks_unread(text: str) -> bool:
    """Whether a text seems to be a date or a time in a way that is not read."""
    return UNREAD.fullmatch(text) is not None


def _plain(text: str) -> str:
    if match := PART.fullmatch(text):
        year, kind, number = (next(filter(None, map(match.group, keys))) for keys in PART_KEYS)
        month = 1 + (int(number) - 1) * (3 if kind in "Qq" else 6)
        return f"{year if len(year) == 4 else f'20{year}'}-{month:02}" if month < 13 else text
    if match := WEEK.fullmatch(text):
        year, week, day = (int(part or 1) for part in match.groups())
        try:
            return date.fromisocalendar(year, week, day).isoformat()
        except ValueError:
            return text
    if match := MONTH.fullmatch(text) or EAST.fullmatch(text):
        return "-".join(part.zfill(2) for part in match.groups() if part)
    if text.endswith(tuple(ZONES)):
        text = ZONE.sub(lambda match: ZONES[match[1]], text)
    return _in_english(text)


def _in_english(text: str) -> str:
    """The text with an English month; the same if it has none, or has one already."""
    for match in WORD.finditer(text):
        word = match[0].casefold()
        month = ENGLISH.get(word)
        if month and month.casefold() != word and NUMBERS.search(text):
            before = re.sub(r"^[^\W\d_]+\.?,? (?=\d)", "", text[: match.start()])  # the weekday
            return BETWEEN.sub("", before + month + text[match.end() :].removeprefix("."))
    return text
