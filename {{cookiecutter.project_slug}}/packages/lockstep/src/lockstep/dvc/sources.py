"""Where the text of a pipeline's files comes from: a workspace, or a commit."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from lockstep import git
from lockstep.workspace import DVC_YAML

# Every dvc.yaml, and the folders that are DVC projects themselves.
PATTERNS = (DVC_YAML, f"*/{DVC_YAML}", "*/.dvc/config")


class Source(Protocol):
    """The files of a pipeline; their names start at the project's folder."""

    def text(self, name: str) -> str | None:
        """The text of a file; None if there is no such file."""

    def pipelines(self) -> list[str]:
        """The names of all dvc.yaml of the project, that of its folder first."""


class Workspace:
    """The files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def text(self, name: str) -> str | None:
        """The text of a file; None if there is no such file."""
        try:
            return (self._folder / name).read_text(encoding="utf-8")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    def pipelines(self) -> list[str]:
        """Those that git does not ignore; without git, those in no hidden folder."""
        listing = ("ls-files", "--cached", "--others", "--exclude-standard", "-z", "--")
        listed = git.git(*listing, *PATTERNS, cwd=self._folder)
        names = self._found() if listed is None else listed.split("\0")
        return _own(name for name in names if name and (self._folder / name).is_file())

    def _found(self) -> Iterable[str]:
        for folder, inner, files in os.walk(self._folder):
            found = [DVC_YAML] * (DVC_YAML in files) + [".dvc/config"] * (".dvc" in inner)
            inner[:] = [name for name in inner if not name.startswith(".")]
            yield from (
                (Path(folder) / name).relative_to(self._folder).as_posix() for name in found
            )


class Commit:
    """The files of a commit."""

    def __init__(self, root: Path, revision: str) -> None:
        self._root = root
        self._revision = revision
        self._prefix = git.prefix(root)

    def text(self, name: str) -> str | None:
        """The text of a file; None if there is no such file."""
        return git.git("show", f"{self._revision}:{self._prefix}{name}", cwd=self._root)

    def pipelines(self) -> list[str]:
        """Those that the commit has."""
        listed = git.git("ls-tree", "-r", "-z", "--name-only", self._revision, cwd=self._root)
        names = (listed or "").split("\0")
        return _own(name for name in names if name.endswith((DVC_YAML, ".dvc/config")))


def _own(names: Iterable[str]) -> list[str]:
    """The dvc.yaml in the list that belong to no other DVC project in a subfolder."""
    found = {*names}
    others = tuple(name.removesuffix(".dvc/config") for name in found if name.endswith("/config"))
    others = tuple(name for name in others if name)
    own = [name for name in found if name.rpartition("/")[2] == DVC_YAML]
    return sorted((n for n in own if not n.startswith(others)), key=lambda n: (n.count("/"), n))
