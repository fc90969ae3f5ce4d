"""A first look at the data: its columns, and what the target holds.

Only the beginning is read, by the generated project's own `formats.py` and `cells.py`. Parquet and
Excel files need packages that are not part of cookiecutter's environment: where neither these nor
uv are at hand, the columns stay unknown.
"""

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
from csv import Error as CsvError
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lockstep_template import folders, urls

TEMPLATE = Path(__file__).resolve().parent.parent
ROWS = 10_000
FILE_BYTES = 16 * 2**20
URL_BYTES = 64 * 2**10
URL_SECONDS = 10
PACKAGE_SECONDS = 120
SAMPLE = 200  # rows that show the decimal mark
SUFFIXES = r"\.(parquet|pq|csv\.gz|jsonl|ndjson|json|xlsx|sqlite3?|db)([?#].*)?$"
SAME = {"pq": "parquet", "ndjson": "jsonl", "sqlite3": "sqlite", "db": "sqlite"}


def _of_project(path: str) -> Path:
    """A file of the project, as it is in the template."""
    return TEMPLATE / "{{cookiecutter.project_slug}}" / path


def _missing() -> set[str]:
    """The words that the project's config takes for missing values."""
    config = _of_project("conf/data/default.yaml").read_text(encoding="utf-8")
    (line,) = re.findall(r"^missing: (\[.*?\])", config, re.MULTILINE)
    return set(json.loads(line))


MISSING = _missing()
# Run, not imported: Python would leave bytecode in the folder that is rendered.
_SOURCE = _of_project("src/{{cookiecutter.package_name}}")
cells, formats = (
    SimpleNamespace(**runpy.run_path(str(_SOURCE / name))) for name in ("cells.py", "formats.py")
)


class _UnreadableError(Exception):
    """Data cannot be used; the text is the reason and what to do."""


@dataclass(frozen=True)
class Table:
    """What is known about the data.

    Attributes:
        suffix: That of data/raw, such as `csv`, `csv.gz` or `parquet`; empty for a folder.
        columns: Their names; None where they cannot be read.
        values: Those of the target column in the first rows, without the missing ones.
        decimals: The decimal mark that the columns show, or both with the likely one first.
        whole: Whether the first rows are all of them.
        part: The table in a database, or the sheet of a workbook.
        problem: Why the data cannot be used; empty when they can.
    """

    suffix: str
    columns: tuple[str, ...] | None = None
    values: tuple[str, ...] = ()
    decimals: str = ".,"
    whole: bool = False
    part: str = ""
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
def look(source: str, target: str, part: str = "") -> Table:
    """Read the beginning of a file or URL.

    Args:
        source: An absolute path, or a URL.
        target: The column to predict.
        part: The table in a database, or the sheet of a workbook; empty for the one that fits.

    Returns:
        The table, or the problem with it.
    """
    named = re.search(SUFFIXES, source.lower())
    suffix = SAME.get(named[1], named[1]) if named else "csv"
    try:
        if urls.scheme(source) in ("http", "https"):
            return _look_at_url(source, target, suffix)
        if urls.scheme(source) in urls.IMPORTABLE:
            return _look_at_import(source, suffix)
        if urls.scheme(source):
            raise _UnreadableError(
                f"DVC cannot import {urls.scheme(source)}:// URLs; enter a path, an http(s):// URL "
                f"or one of {', '.join(f'{name}://' for name in urls.IMPORTABLE)}"
            )
        if folders.is_folder(source):
            return _look_at_folder(source, target)
        return _look_at_file(Path(source), target, part)
    except _UnreadableError as error:
        return Table(suffix, problem=str(error))
    except (ValueError, CsvError) as error:
        return Table(suffix, problem=f"{source!r} cannot be used: {error}")


def _look_at_import(url: str, suffix: str) -> Table:
    if folders.MAGIC.search(url):
        raise _UnreadableError(
            f"DVC cannot import a pattern; enter the folder, {url[: url.rfind('/') + 1]}"
        )
    return Table("" if folders.is_folder(url) else suffix)


def _look_at_folder(source: str, target: str) -> Table:
    """The first of the files; the others may have more values, and are read by the pipeline."""
    files = list(folders.files_of(source).values())
    if not files:
        raise _UnreadableError(f"{source!r} has no CSV or Parquet files")
    return replace(_look_at_file(files[0], target, ""), suffix="", whole=False)


def _look_at_file(path: Path, target: str, part: str) -> Table:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe would wait for ever
            raise _UnreadableError(f"{str(path)!r} is not a file; enter one file with a table")
        with path.open("rb") as file:
            head = file.read(FILE_BYTES + 1)
    except FileNotFoundError:
        raise _UnreadableError(
            f"there is no file {str(path)!r}; relative paths start in the current folder"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise _UnreadableError(f"{str(path)!r} cannot be read: {reason}") from None
    form = _format_of(head)
    if form == "sqlite":
        name = formats.chosen(path, formats.tables_in(path), part, target)
        columns, rows = formats.rows_in(path, name, ROWS)
        return _table(form, columns, rows, target, whole=len(rows) < ROWS, part=name)
    if form in _READERS:
        return _look_with_package(path, form, target, part)
    return _look_at_text(head[:FILE_BYTES], target, whole=len(head) <= FILE_BYTES)


def _format_of(head: bytes) -> str:
    is_text = not head or head.startswith(formats.GZIP)  # or so it seems
    return "csv" if is_text else str(formats.format_of(head))


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
    form = _format_of(head)
    if suffix == "parquet" and form != "parquet":
        raise _UnreadableError(f"{url} is not a Parquet file, despite its name")
    if form in ("sqlite", *_READERS):
        return Table(form)
    return _look_at_text(head, target, whole=whole)


def _look_at_text(head: bytes, target: str, *, whole: bool) -> Table:
    """The table in CSV or JSON, which may be compressed."""
    packed = ""
    if head.startswith(formats.GZIP):
        (head, whole), packed = formats.unpacked(head, FILE_BYTES), ".gz"
    if not head.strip():
        raise _UnreadableError("the file is empty; enter one with a header and rows")
    form = formats.format_of(head)
    if not whole and form == "json":
        return Table(form + packed)
    if not whole:
        head = head[: head.rfind(b"\n") + 1]  # the last character may be cut off
    text = head.decode(formats.encoding_of([head]), "replace").removeprefix("\ufeff")
    if form in ("json", "jsonl"):
        columns, rows = formats.records_of(text, form)
        return _table(form + packed, columns, rows, target, whole=whole)
    if form != "csv":
        raise _UnreadableError(f"it is a {form} file, compressed by gzip; unpack it first")
    delimiter = formats.delimiter_of(text)
    rows = list(itertools.islice(formats.rows_of(text, delimiter), ROWS + 1))
    if not whole and len(rows) <= ROWS:
        rows.pop()  # a quoted cell of the last row may be incomplete
    if len(rows) < 2:
        raise _UnreadableError("there are no rows below the header")
    columns, body = formats.names_of(rows[0], rows[1:]), rows[1:]
    for line, row in enumerate(body, start=2):
        if len(row) != len(columns):
            raise _UnreadableError(
                f"row {line} has {len(row)} fields where the header has {len(columns)}; fix "
                "the file, or quote the cells that contain the delimiter"
            )
    whole = whole and len(body) < ROWS
    likely = "," if delimiter == ";" else "."
    return _table(form + packed, columns, body, target, whole=whole, likely=likely)


def _table(
    suffix: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    target: str,
    *,
    whole: bool,
    part: str = "",
    likely: str = ".",
) -> Table:
    values: list[str] = []
    if target in columns:
        at = list(columns).index(target)
        texts = (str(row[at]) for row in rows if row[at] is not None)
        values = [cell for cell in texts if cell.strip().lower() not in MISSING]
    spread = rows[:: max(1, len(rows) // SAMPLE)]
    shown = [
        Counter(cell.strip() for cell in column if isinstance(cell, str) and cell.strip())
        for column in zip(*spread, strict=True)
    ]
    decimals = cells.decimal_marks(shown, likely)
    return Table(suffix, tuple(columns), tuple(values), decimals, whole, part)


_READERS = {
    # What prints, for each table in a file: its columns, the values of the target, the rows.
    "parquet": f"""
import json, sys
import pyarrow.parquet as parquet
path, target = sys.argv[1:]
file = parquet.ParquetFile(path)
columns, values = file.schema_arrow.names, []
if target in columns and file.metadata.num_rows:
    values = next(file.iter_batches({ROWS}, columns=[target]))[target].to_pylist()
print(json.dumps({{"": [columns, values, file.metadata.num_rows]}}, default=str))
""",
    "xlsx": f"""
import itertools, json, sys
from openpyxl import load_workbook
path, target = sys.argv[1:]
found = {{}}
for sheet in load_workbook(open(path, 'rb'), read_only=True, data_only=True).worksheets:
    rows = itertools.islice(sheet.iter_rows(values_only=True), {ROWS} + 1)
    header, *rows = [row for row in rows if any(cell is not None for cell in row)] or [()]
    columns = ["" if cell is None else str(cell).strip() for cell in header]
    values = [row[columns.index(target)] for row in rows] if target in columns else []
    found[sheet.title] = [columns, values, len(rows)]
print(json.dumps(found, default=str))
""",
}
_PACKAGES = {"parquet": "pyarrow", "xlsx": "openpyxl"}


def _look_with_package(path: Path, form: str, target: str, part: str) -> Table:
    """The table in a file for which a package is needed."""
    package = _PACKAGES[form]
    if find_spec(package):
        python = [sys.executable]
    elif uv := shutil.which("uv"):
        python = [uv, "run", "--quiet", "--no-project", "--with", package, "python"]
    else:
        return Table(form)
    try:
        output = subprocess.run(
            [*python, "-c", _READERS[form], str(path), target],
            capture_output=True,
            timeout=PACKAGE_SECONDS,
            check=True,
        ).stdout
        found = json.loads(output)
    except subprocess.CalledProcessError as error:
        if b"Traceback" not in error.stderr or b"ModuleNotFoundError" in error.stderr:
            return Table(form)  # the package is not available
        reason = error.stderr.decode("utf-8", "replace").strip().splitlines()[-1]
        raise _UnreadableError(f"{str(path)!r} is not a readable {form} file: {reason}") from None
    except (OSError, ValueError, subprocess.SubprocessError):
        return Table(form)
    columns_of = {name: columns for name, (columns, *_) in found.items()}
    name = formats.chosen(path, columns_of, part, target)
    columns, values, count = found[name]
    if not count:
        raise _UnreadableError("the file has columns and no rows")
    rows = [(value,) for value in values]
    shown = _table(form, [target], rows, target, whole=count <= ROWS, part=name)
    return replace(shown, columns=tuple(formats.names_of(columns)))
