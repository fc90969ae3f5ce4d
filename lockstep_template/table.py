"""A first look at the data: its columns, and what the target holds.

Only the beginning is read, with the standard library: the file by the rules of the generated
project's `reading.py`, its cells by the project's `cells.py` itself. A Parquet file needs PyArrow,
which is not part of cookiecutter's environment: where neither it nor uv is at hand, the columns
stay unknown.
"""

import codecs
import csv
import io
import itertools
import json
import re
import runpy
import shutil
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lockstep_template import urls

ROWS = 10_000
FILE_BYTES = 16 * 2**20
URL_BYTES = 64 * 2**10
URL_SECONDS = 10
PYARROW_SECONDS = 120
DELIMITERS = ",;\t|"
SAMPLE = 200  # rows that show the decimal mark
_PARQUET = b"PAR1"
_PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip or Excel", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}


def _of_project(path: str) -> Path:
    """A file of the project, as it is in the template."""
    return TEMPLATE / "{{cookiecutter.project_slug}}" / path


def _missing() -> set[str]:
    """The words that the project's config takes for missing values."""
    config = _of_project("conf/data/default.yaml").read_text(encoding="utf-8")
    (line,) = re.findall(r"^missing: (\[.*?\])", config, re.MULTILINE)
    return set(json.loads(line))


TEMPLATE = Path(__file__).parent.parent
MISSING = _missing()
# Run, not imported: Python would leave bytecode in the folder that is rendered.
_CELLS = _of_project("src/{{cookiecutter.package_name}}/cells.py")
cells = SimpleNamespace(**runpy.run_path(str(_CELLS)))


class _UnreadableError(Exception):
    """Data cannot be used; the text is the reason and what to do."""


@dataclass(frozen=True)
class Table:
    """What is known about the data.

    Attributes:
        suffix: `csv` or `parquet`.
        columns: Their names; None where they cannot be read.
        values: Those of the target column in the first rows, without the missing ones.
        decimals: The decimal mark that the columns show, or both with the likely one first.
        whole: Whether the first rows are all of them.
        problem: Why the data cannot be used; empty when they can.
    """

    suffix: str
    columns: tuple[str, ...] | None = None
    values: tuple[str, ...] = ()
    decimals: str = ".,"
    whole: bool = False
    problem: str = ""

    @cached_property
    def numbers(self) -> Any:
        """The numbers among the values, as ingest reads them: `Numbers` in `cells.py`."""
        return cells.read_numbers(Counter(map(str.strip, self.values)), self.decimals)

    @property
    def are_numbers(self) -> bool:
        """Whether all values are numbers, apart from those that mark a missing value."""
        return self.numbers.share > 0 and not self.numbers.others


@lru_cache(maxsize=16)
def look(source: str, target: str) -> Table:
    """Read the beginning of a file or URL.

    Args:
        source: An absolute path, or a URL.
        target: The column to predict.

    Returns:
        The table, or the problem with it.
    """
    suffix = "parquet" if re.search(r"\.(parquet|pq)([?#].*)?$", source.lower()) else "csv"
    try:
        if urls.scheme(source) in ("http", "https"):
            return _look_at_url(source, target, suffix)
        if urls.scheme(source) in urls.IMPORTABLE:
            return Table(suffix)
        if urls.scheme(source):
            raise _UnreadableError(
                f"DVC cannot import {urls.scheme(source)}:// URLs; enter a path, an http(s):// URL "
                f"or one of {', '.join(f'{name}://' for name in urls.IMPORTABLE)}"
            )
        return _look_at_file(Path(source), target)
    except _UnreadableError as error:
        return Table(suffix, problem=str(error))


def _look_at_file(path: Path, target: str) -> Table:
    try:
        if not stat.S_ISREG(mode := path.stat().st_mode):  # reading a pipe would wait for ever
            kind = "a folder" if stat.S_ISDIR(mode) else "not a file"
            raise _UnreadableError(f"{str(path)!r} is {kind}; enter one CSV or Parquet file")
        with path.open("rb") as file:
            head = file.read(FILE_BYTES + 1)
    except FileNotFoundError:
        raise _UnreadableError(
            f"there is no file {str(path)!r}; relative paths start in the current folder"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise _UnreadableError(f"{str(path)!r} cannot be read: {reason}") from None
    if head.startswith(_PARQUET):
        return _look_at_parquet(path, target)
    return _look_at_csv(head[:FILE_BYTES], target, whole=len(head) <= FILE_BYTES)


def _look_at_url(url: str, target: str, suffix: str) -> Table:
    # `look` passes only http and https.
    request = urllib.request.Request(url, headers={"Range": f"bytes=0-{URL_BYTES - 1}"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=URL_SECONDS) as response:  # noqa: S310
            head = response.read(URL_BYTES)
            whole = response.status == 200 and len(head) < URL_BYTES
    except (OSError, ValueError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", None) or error
        raise _UnreadableError(
            f"{url} cannot be fetched ({reason}); check the URL, or download the file and "
            "enter its path"
        ) from None
    if head.startswith(_PARQUET):
        return Table("parquet")
    if suffix == "parquet":
        raise _UnreadableError(f"{url} is not a Parquet file, despite its name")
    return _look_at_csv(head, target, whole=whole)


def _look_at_csv(head: bytes, target: str, *, whole: bool) -> Table:
    if not head.strip():
        raise _UnreadableError("the file is empty; enter a CSV or Parquet file with a header")
    for magic, kind in _PACKED.items():
        if head.startswith(magic):
            raise _UnreadableError(f"this is a {kind} file; unpack it, or save it as CSV first")
    if not whole:
        head = head[: head.rfind(b"\n") + 1]  # the last character may be cut off
    text = _decoded(head)
    if "\0" in text or not text:
        raise _UnreadableError("this is not a text file; enter a CSV or Parquet file")
    rows, delimiter = _rows(text, whole=whole)
    if len(rows) < 2:
        raise _UnreadableError("there are no rows below the header")
    columns, body = _named(rows[0]), rows[1:]
    for line, row in enumerate(body, start=2):
        if len(row) != len(columns):
            raise _UnreadableError(
                f"row {line} has {len(row)} fields where the header has {len(columns)}; fix "
                "the file, or quote the cells that contain the delimiter"
            )
    values: list[str] = []
    if target in columns:
        at = columns.index(target)
        values = [row[at] for row in body if row[at].strip().lower() not in MISSING]
    spread = body[:: max(1, len(body) // SAMPLE)]
    shown = [
        Counter(cell for cell in map(str.strip, column) if cell)
        for column in zip(*spread, strict=True)
    ]
    likely = "," if delimiter == ";" else "."
    decimals = cells.decimal_marks(shown, likely)
    return Table("csv", columns, tuple(values), decimals, whole and len(body) < ROWS)


def _rows(text: str, *, whole: bool) -> tuple[list[list[str]], str]:
    """The header and the first rows, and the delimiter that the first lines agree on."""

    def split(delimiter: str, count: int) -> list[list[str]]:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        return list(itertools.islice(filter(None, reader), count))

    def agreement(delimiter: str) -> tuple[float, int]:
        widths = [len(row) for row in split(delimiter, 100)]
        width = widths[0] if widths else 0
        return (widths.count(width) / len(widths) if width > 1 else 0.0), width

    try:
        delimiter = max(DELIMITERS, key=agreement)
        rows = split(delimiter, ROWS + 1)
    except csv.Error as error:
        raise _UnreadableError(f"this is not a CSV file: {error}") from None
    cut = not whole and len(rows) <= ROWS  # then a quoted cell of the last row may be incomplete
    return rows[:-1] if cut else rows, delimiter


def _decoded(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return head.decode("utf-16", "replace")
    try:
        return head.decode("utf-8-sig")
    except UnicodeDecodeError:
        return head.decode("latin-1")


def _named(header: Sequence[str]) -> tuple[str, ...]:
    """The names of the columns; pandas writes an index without a name."""
    names = tuple(name if name.strip() else f"column_{n}" for n, name in enumerate(header, start=1))
    for name in names:
        if names.count(name) > 1:
            raise _UnreadableError(
                f"two columns are called {name!r}; give each column its own name"
            )
    return names


_READ_PARQUET = f"""
import json, sys
import pyarrow.parquet as parquet
path, target = sys.argv[1:]
file = parquet.ParquetFile(path)
columns = file.schema_arrow.names
rows = []
if target in columns:
    rows = next(file.iter_batches({ROWS}, columns=[target]))[target].to_pylist()
print(json.dumps([columns, [str(cell) for cell in rows if cell is not None], \
file.metadata.num_rows]))
"""


def _look_at_parquet(path: Path, target: str) -> Table:
    if find_spec("pyarrow"):
        python = [sys.executable]
    elif uv := shutil.which("uv"):
        python = [uv, "run", "--quiet", "--no-project", "--with", "pyarrow", "python"]
    else:
        return Table("parquet")
    try:
        output = subprocess.run(
            [*python, "-c", _READ_PARQUET, str(path), target],
            capture_output=True,
            timeout=PYARROW_SECONDS,
            check=True,
        ).stdout
        columns, values, count = json.loads(output)
    except subprocess.CalledProcessError as error:
        if b"pyarrow.lib." not in error.stderr:  # PyArrow is not available
            return Table("parquet")
        reason = error.stderr.decode("utf-8", "replace").strip().splitlines()[-1]
        raise _UnreadableError(f"{str(path)!r} is not a readable Parquet file: {reason}") from None
    except (OSError, ValueError, subprocess.SubprocessError):
        return Table("parquet")
    names = _named(columns)
    if not count:
        raise _UnreadableError("the file has columns and no rows")
    kept = (value for value in values if value.strip().lower() not in MISSING)
    return Table("parquet", names, tuple(kept), whole=count <= ROWS)
