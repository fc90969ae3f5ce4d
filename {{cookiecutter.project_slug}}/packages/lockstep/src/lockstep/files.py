"""The files that the glue shares with DVC: their names, their YAML, their digests."""

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from lockstep import LockstepError
from lockstep.workspace import COMPOSED


def read_yaml(path: Path) -> Any:
    """The content of a YAML file; None when there is no such file."""
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), path.name)
    except FileNotFoundError:
        return None


def parse_yaml(text: str, name: str) -> Any:
    """The content of YAML text; None when there is nothing in it.

    Args:
        text: The YAML.
        name: That of the file, for the error.
    """
    try:
        return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise LockstepError(f"{name} is not valid YAML: {error}") from error


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all; leave it alone when it holds the text already."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def packages_of(workspace: Path) -> dict[str, str]:
    """The versions of the packages that shape a result, as composed.yaml has them."""
    return dict((read_yaml(workspace / COMPOSED) or {}).get("packages", {}))


def file_digest(path: Path) -> str:
    """The MD5 of a file, as DVC has it."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def tree_digest(path: Path) -> str:
    """The MD5 of a file or folder, as DVC has it in dvc.lock; empty when there is none.

    A folder's is that of the list of its files, each with its own
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
