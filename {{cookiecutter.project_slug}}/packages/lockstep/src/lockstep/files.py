"""The files that the glue shares with DVC: their YAML and their digests."""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lockstep import LockstepError
from lockstep.workspace import COMPOSED

TABLES = (".csv", ".parquet")  # the files that `monitor`, `watch` and `predict` read
CONFLICT = """\
{name} has a merge conflict: it holds the lines of both branches
git checkout --ours {name}
uv run dvc repro
git add {name}"""


class NotYamlError(LockstepError):
    """A text that is not YAML, and has no merge conflict."""


def read_yaml(path: Path) -> Any:
    """The content of a YAML file; None if there is no such file."""
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), path.name)
    except FileNotFoundError:
        return None


def parse_yaml(text: str, name: str) -> Any:
    """The content of YAML text, None if it is empty; an error names the file `name`."""
    try:
        return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        if re.search("^(<<<<<<<|>>>>>>>) ", text, re.MULTILINE):
            raise LockstepError(CONFLICT.format(name=name)) from error
        raise NotYamlError(f"{name} is not valid YAML: {error}") from error


def write_whole(path: Path, text: str) -> None:
    """Write a file completely or not at all; a file that already holds the text is not touched."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    with draft_of(path) as draft:
        draft.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """A file beside another one, which it replaces when it is written."""
    draft = path.with_name(f".{path.name}.draft")
    yield draft
    draft.replace(path)


def tables_in(place: Path) -> list[Path]:
    """The CSV and Parquet files in a folder and below, sorted, except hidden ones; or a file."""
    found = [place] if place.is_file() else place.rglob("*")
    return sorted(p for p in found if p.suffix in TABLES and not p.name.startswith("."))


def packages_of(workspace: Path) -> dict[str, str]:
    """The versions of the packages that shape a result, as composed.yaml records them."""
    return dict((read_yaml(workspace / COMPOSED) or {}).get("packages", {}))


def file_digest(path: Path) -> str:
    """The MD5 of a file, as DVC computes it."""
    with path.open("rb") as stream:  # data may be larger than memory
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def tree_digest(path: Path) -> str:
    """The MD5 of a file or folder, as in dvc.lock; empty if the path does not exist.

    A folder's is that of the list of its files, each with its own MD5
    (https://dvc.org/doc/user-guide/project-structure/internal-files).
    """
    if not path.is_dir():
        return file_digest(path) if path.exists() else ""
    files = sorted(
        (file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file()
    )
    listed = [{"md5": file_digest(file), "relpath": name} for name, file in files]
    text = json.dumps(listed, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"
