"""Data in a folder: each of its CSV or Parquet files is a partition."""

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from lockstep_template import urls

TABLES = re.compile(r"\.(csv(\.gz)?|tsv|parquet|pq)$", re.IGNORECASE)
MAGIC = re.compile(r"[*?[]")


def is_folder(source: str) -> bool:
    """Whether a path is a folder or a pattern such as `data/*.csv`, or a URL is a prefix."""
    if urls.scheme(source):
        return urls.scheme(source) in urls.IMPORTABLE and source.endswith("/")
    with suppress(OSError, ValueError):  # where it is not a path
        path = Path(source)
        return path.is_dir() or bool(MAGIC.search(source) and not path.exists())
    return False


def files_of(source: str) -> dict[str, Path]:
    """The files of a local folder, or those that match a pattern, by their names in data/raw."""
    root = Path(source)
    if root.is_dir():
        found = [path for path in root.rglob("*") if TABLES.search(path.name)]
    else:
        while MAGIC.search(str(root)):
            root = root.parent
        found = list(root.glob(str(Path(source).relative_to(root))))
    named = {path.relative_to(root).as_posix(): path for path in found if path.is_file()}
    # As Spark and Arrow see it, names that start with . or _ are not data.
    return {name: named[name] for name in sorted(named) if not re.search(r"(^|/)[._]", name)}


def join(files: Iterable[Path], target: Path) -> None:
    """Write the rows of CSV files to one file, below the header that all of them have."""
    with target.open("wb") as joined:
        for number, path in enumerate(files):
            header, *rows = path.read_bytes().splitlines(keepends=True)
            joined.writelines(rows if number else [header, *rows])
