"""Where the version to serve comes from: an alias in the registry, or a folder.

What was served from the registry is kept as a copy, to start from while the registry is away.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep import LockstepError
from lockstep.adapters.trusted_model import flavors_of, needs_pickle
from lockstep.files import write_whole
from lockstep.inference.version import About, Version, load
from lockstep.values import slug

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from lockstep.mlflow.store import Store

KEPT = 3  # copies of versions


class RegistryAwayError(LockstepError):
    """The registry did not answer."""


@dataclass(frozen=True)
class Trust:
    """What a model may contain; see `lockstep.inference.version.load`."""

    estimators: Collection[str] = ()
    code: bool = False
    pickle: bool = False

    def load(self, folder: Path) -> Version:
        """Load a version that is trusted.

        Raises:
            LockstepError: It is not trusted, or not a model that can be served.
        """
        return load(folder, self.estimators, allow_code=self.code, allow_pickle=self.pickle)

    def options(self, folder: Path) -> list[str]:
        """Those of the command line that a model needs, of what is granted here."""
        flavor = flavors_of(folder).get("sklearn", {})
        named = sorted({*(flavor.get("skops_trusted_types") or ())} & {*self.estimators})
        return [
            *(["--allow-code"] if self.code and (folder / "code").is_dir() else []),
            *(["--allow-pickle"] if self.pickle and needs_pickle(folder) else []),
            *(["--trust", ",".join(named)] if named else []),
        ]


@dataclass
class Folder:
    """A model in a folder, which does not change."""

    path: Path
    trust: Trust

    def __str__(self) -> str:
        """As it is named on the command line."""
        return str(self.path)

    def wanted(self) -> About:
        """The version in the folder."""
        if not (self.path / "MLmodel").is_file():
            raise LockstepError(f"{self.path} has no file MLmodel: name the folder of a model")
        return About.read(self.path)

    def folder(self, about: About) -> Path:
        """Where it is."""
        return self.path

    def load(self, about: About) -> Version:
        """Load it."""
        return self.trust.load(self.path)


@dataclass
class Registry:
    """A version of a registered model, by its number or an alias, which may move.

    Attributes:
        copies: The folder for copies of what was served.
    """

    store: "Store"
    name: str
    word: str
    copies: Path
    trust: Trust
    _client: "MlflowClient | None" = field(default=None, init=False)

    def __str__(self) -> str:
        """As it is named on the command line."""
        return f"models:/{self.name}{'/' if self.word.isdecimal() else '@'}{self.word}"

    def wanted(self) -> About:
        """The version that the registry names now.

        Raises:
            RegistryAwayError: The registry does not answer.
            LockstepError: It names none.
        """
        from lockstep.champion.alias import CHAMPION
        from lockstep.mlflow import tag
        from lockstep.mlflow.registry import find_version

        try:
            with self.store.errors_explained("the server goes on with what it has"):
                if self._client is None:
                    self._client = self.store.client()
                version = find_version(self._client, self.name, self.word)
        except LockstepError as error:
            raise RegistryAwayError(str(error)) from error
        if version is None:
            verb = "promote` makes one" if self.word == CHAMPION else "models` lists the versions"
            raise LockstepError(f"{self} does not exist: `uv run lockstep {verb}")
        tags = version.tags
        return About(
            model=self.name,
            version=str(version.version),
            run=version.run_id,
            commit=tags.get(tag.COMMIT),
            data=tuple(tags.get(tag.DATA, "").split()),
        )

    def folder(self, about: About) -> Path:
        """The copy of a version, downloaded if there is none.

        Raises:
            LockstepError: It cannot be downloaded.
        """
        from filelock import FileLock

        folder = self._place(about)
        self._home.mkdir(parents=True, exist_ok=True)
        with FileLock(self._home / ".lock"):  # another worker of the same server
            if not folder.is_dir() or About.read(folder) != about:
                self._download(about, folder)
        return folder

    def load(self, about: About) -> Version:
        """Load a version, from its copy if there is one.

        Raises:
            LockstepError: It cannot be downloaded, or it is not trusted.
        """
        return self.trust.load(self.folder(about))

    def remember(self, about: About) -> None:
        """Note the version as the last one that was served; remove older copies."""
        write_whole(self._last, json.dumps({"version": about.version}))
        os.utime(self._place(about))
        copies = [path for path in self._home.iterdir() if path.is_dir()]
        copies.sort(key=lambda path: path.stat().st_mtime)
        for old in copies[:-KEPT]:
            if old != self._place(about):
                shutil.rmtree(old, ignore_errors=True)

    def last(self) -> About | None:
        """The last version that was served by this name; None without a copy of it."""
        try:
            last = json.loads(self._last.read_text(encoding="utf-8"))
            folder = self._home / str(last["version"])
            return About.read(folder) if folder.is_dir() else None
        except (FileNotFoundError, ValueError, KeyError):
            return None

    @property
    def _home(self) -> Path:
        return self.copies / slug(self.name)

    @property
    def _last(self) -> Path:
        return self._home / f"{slug(self.word)}.json"

    def _place(self, about: About) -> Path:
        return self._home / about.version

    def _download(self, about: About, folder: Path) -> None:
        from lockstep.mlflow.registry import download_model, version_called

        assert self._client
        try:
            with (
                self.store.errors_explained("it is tried again"),
                tempfile.TemporaryDirectory(dir=self._home, prefix=".") as temporary,
            ):
                version = version_called(self._client, self.name, about.version)
                draft = download_model(self._client, version, Path(temporary))
                about.write(draft)
                shutil.rmtree(folder, ignore_errors=True)
                draft.rename(folder)
        except OSError as error:
            raise LockstepError(f"{about} cannot be downloaded: {error}") from error
