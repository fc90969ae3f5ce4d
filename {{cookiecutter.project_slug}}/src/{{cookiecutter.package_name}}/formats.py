"""Tell from the first bytes of a raw file how it is written, whatever its name.

Only the standard library and charset-normalizer are used: the template loads this file, too, to
look at the columns before there is a project.
"""

import codecs
import csv
import gzip
import io
import itertools
import json
import re
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

from charset_normalizer import from_bytes

DELIMITERS = ",;\t|"
SPACES = " "  # one or more of them
ENCODINGS = ["cp1252", "cp932", "gb18030", "euc_jp", "big5", "cp949", "cp1251"]
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
LATIN = re.compile(rb"[\x80\x85\x99\xa0-\xff]")  # alone, in cp1252: € … ™, signs and letters
# Quotation marks and dashes in cp1252; half a character in other encodings.
QUOTES = (b"\x91", b"\x92", b"\x93", b"\x94", b"\x96", b"\x97")
GZIP = b"\x1f\x8b"
BINARY = {b"PAR1": "parquet", b"SQLite format 3\0": "sqlite"}
REFUSED = {
    b"BZh": "a bzip2 file: unpack it first",
    b"\xfd7zXZ": "an xz file: unpack it first",
    b"\xd0\xcf\x11\xe0": "an old Excel file: save it as .xlsx or CSV",
    b"ARROW1": "a Feather file: save it as Parquet",
    b"\x89HDF": "an HDF5 file: save its table as Parquet or CSV",
    b"%PDF": "a PDF file, not a table",
}
HTML = (b"<!doctype", b"<html", b"<head", b"<table", b"<?xml")


def unpacked(head: bytes, limit: int) -> tuple[bytes, bool]:
    """The first bytes of what a file compressed by gzip holds, and whether they are all of it.

    Raises:
        ValueError: The file is damaged.
    """
    inflated = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        return inflated.decompress(head, limit), inflated.eof
    except zlib.error as error:
        raise ValueError(f"it is a damaged gzip file: {error}") from error


def open_binary(path: Path) -> BinaryIO | gzip.GzipFile:
    """Open a file that may be compressed by gzip."""
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    return gzip.open(path) if packed else path.open("rb")


def format_of(head: bytes) -> str:
    """The format of a file with these first bytes: parquet, sqlite, xlsx, json, jsonl or csv.

    Raises:
        ValueError: It cannot be read: the reason, and what to do.
    """
    for magic, name in BINARY.items():
        if head.startswith(magic):
            return name
    for magic, text in REFUSED.items():
        if head.startswith(magic):
            raise ValueError(f"it is {text}")
    if head[8:12] == b"DUCK":
        raise ValueError("it is a DuckDB database: COPY its table TO 'table.parquet'")
    if head.startswith(b"PK\3\4"):
        if any(part in head[:4000] for part in (b"[Content_Types].xml", b"xl/")):
            return "xlsx"
        raise ValueError("it is a zip file, or a spreadsheet other than .xlsx: unpack or save it")
    if b"\0" in head[:4000] and not head.startswith(UTF_16):
        raise ValueError("it is not a text file, nor of a known format: save it as CSV or Parquet")
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start[:9].lower().startswith(HTML):
        raise ValueError("it is a web page (HTML), not a table: download the file itself")
    if start.startswith(b"["):
        return "json"
    first, _, rest = start.partition(b"\n")
    if first.startswith(b"{"):
        if _is_record(first, alone=not rest.strip()):
            return "jsonl"
        raise ValueError(
            "it is a JSON object, not a table: write one object per line, or a list of them"
        )
    return "csv"


def _is_record(line: bytes, *, alone: bool) -> bool:
    """Whether a line is an object that is a row; one alone may hold a table in its values."""
    try:
        values = json.loads(line).values()
    except ValueError:
        return False
    return not alone or any(not isinstance(value, dict | list) for value in values)


def encoding_of(chunks: Iterable[bytes], *, whole: bool = True) -> str:
    """The encoding of text; if it is not Unicode, the likeliest one.

    Args:
        chunks: The bytes, from the first one on.
        whole: Whether they are all of the text, so that the last character is not cut off.
    """
    decoder, chunk = codecs.getincrementaldecoder("utf-8")(), b""
    try:
        for number, chunk in enumerate(chunks):
            if number == 0 and chunk.startswith(UTF_16):
                return "utf-16"
            decoder.decode(chunk)
        decoder.decode(b"", final=whole)
    except UnicodeDecodeError:
        return _guess(b"\n".join(line for line in chunk.splitlines() if not line.isascii()))
    return "utf-8"


def _guess(text: bytes) -> str:
    """The likeliest encoding of text that is not Unicode.

    In Western European languages most accented letters stand alone: that tells more about a few
    words than the detector, which is made for longer texts.
    """
    runs = [run for run in re.findall(rb"[\x80-\xff]+", text[: 2**16]) if run not in QUOTES]
    if runs and 2 * sum(LATIN.fullmatch(run) is not None for run in runs) >= len(runs):
        return "cp1252" if _decodes(text, "cp1252") else "latin-1"
    best = from_bytes(text[: 2**16], cp_isolation=ENCODINGS).best()
    return best.encoding if best else "latin-1"


def _decodes(text: bytes, encoding: str) -> bool:
    try:
        return bool(text.decode(encoding))
    except UnicodeDecodeError:
        return False


def delimiter_of(text: str) -> str:
    """The delimiter with which the most of the first lines have as many fields as the header."""

    def agreement(delimiter: str) -> tuple[float, int]:
        widths = [len(row) for row in itertools.islice(rows_of(text, delimiter), 100)]
        width = widths[0] if widths else 0
        if set(widths[1:]) == {width + 1}:
            return 1.0, width  # as R writes row names
        return (widths.count(width) / len(widths) if width > 1 else 0.0), width

    best = max(DELIMITERS, key=agreement)
    spaced, _ = agreement(SPACES)
    return SPACES if agreement(best)[0] == 0 and spaced > 0.5 else best


def rows_of(text: str, delimiter: str) -> Iterator[list[str]]:
    """The rows of a table, the header first; empty lines are skipped."""
    lines = io.StringIO(text, newline="")
    if delimiter == SPACES:
        stripped = (line.strip() for line in lines)
        yield from filter(None, csv.reader(stripped, delimiter=" ", skipinitialspace=True))
    else:
        yield from filter(None, csv.reader(lines, delimiter=delimiter))


def names_of(header: Sequence[str], rows: Sequence[Sequence[str]] = ()) -> list[str]:
    """The names of the columns.

    Args:
        header: The cells of the header; pandas and R write an index without a name.
        rows: Some rows. If each has one cell more than the header, R wrote their names in front,
            or a delimiter ends them.

    Raises:
        ValueError: Two columns have the same name.
    """
    cells = list(header)
    if rows and all(len(row) == len(cells) + 1 for row in rows):
        cells = [*cells, ""] if not any(row[-1] for row in rows) else ["", *cells]
    names = [cell.strip() or f"column_{number}" for number, cell in enumerate(cells, start=1)]
    for name, count in Counter(names).items():
        if count > 1:
            raise ValueError(f"it has more than one column named {name!r}: rename all but one")
    return names


def records_of(text: str, form: str) -> tuple[list[str], list[list[Any]]]:
    """The names of the columns and the rows of JSON.

    Raises:
        ValueError: It is not a list of objects, or not one object per line.
    """
    if form == "json":
        records = json.loads(text)
    else:
        records = [json.loads(line) for line in text.splitlines() if line.strip()]
    if not all(isinstance(record, dict) for record in records):
        raise ValueError("its JSON is not a list of objects: write one object for each row")
    keys = dict.fromkeys(key for record in records for key in record)
    return names_of(list(keys)), [[record.get(key) for key in keys] for record in records]


def tables_in(database: Path) -> dict[str, list[str]]:
    """The columns of each table and view in a SQLite database.

    Raises:
        ValueError: It cannot be read.
    """
    try:
        with closing(_connect(database)) as connection:
            found = connection.execute(
                "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') "
                "AND name NOT LIKE 'sqlite_%' ORDER BY name"
            ).fetchall()
            return {name: rows_in(database, name, 0)[0] for (name,) in found}
    except sqlite3.Error as error:
        raise ValueError(f"SQLite cannot read it: {error}") from error


def rows_in(database: Path, table: str, limit: int = -1) -> tuple[list[str], list[Any]]:
    """The names of the columns and the rows of a table in a SQLite database."""
    name = table.replace('"', '""')
    with closing(_connect(database)) as connection:
        cursor = connection.execute(f'SELECT * FROM "{name}" LIMIT {limit}')
        return names_of([column for column, *_ in cursor.description]), cursor.fetchall()


def chosen(path: Path, tables: Mapping[str, Sequence[str]], wanted: str | None, target: str) -> str:
    """The table to read: the one that is wanted, else the only one with the target.

    Raises:
        ValueError: None, or several, can be meant.
    """
    if not tables:
        raise ValueError("it has no tables")
    listed = ", ".join(tables)
    if wanted:
        if wanted not in tables:
            raise ValueError(f"it has no table {wanted!r}, but {listed}")
        return wanted
    fitting = [name for name, columns in tables.items() if target in columns]
    if len(tables) == 1 or len(fitting) == 1:
        return next(iter(fitting or tables))
    about = f"the column {target!r} in several" if fitting else f"in none a column {target!r}"
    raise ValueError(
        f"it has the tables {listed}, and {about}: name one in data.table (or, for a new "
        f"project, in data_source, such as {path.name}/{(fitting or list(tables))[0]})"
    )


def _connect(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)
