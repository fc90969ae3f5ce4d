"""The data of a run, found again by DVC's md5: `mlflow.data.get_source(dataset).load()`."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from mlflow.data.dataset_source import DatasetSource

from lockstep import LockstepError


class DVCDatasetSource(DatasetSource):
    """A file or folder that DVC keeps, in its cache or its remote.

    The md5 finds it whatever the workspace holds by now; path, repository and commit say where it
    was.
    """

    def __init__(self, path: str, md5: str, repository: str = "", commit: str = "") -> None:
        """Name the data; nothing is fetched yet."""
        self.path = path
        self.md5 = md5
        self.repository = repository
        self.commit = commit

    def load(self, dst_path: str | None = None) -> str:
        """Fetch the data; call it within the project.

        Args:
            dst_path: The folder to put them in; a temporary one by default.

        Returns:
            The path of the file or folder.

        Raises:
            LockstepError: Neither DVC's cache nor its remote has them.
        """
        target = Path(dst_path or tempfile.mkdtemp()) / Path(self.path).name
        if not self.md5.endswith(".dir"):
            shutil.copyfile(_fetched(self.md5), target)
            return str(target)
        for entry in json.loads(_fetched(self.md5).read_text(encoding="utf-8")):
            file = target / entry["relpath"]
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_fetched(entry["md5"]), file)
        return str(target)

    def to_dict(self) -> dict[str, Any]:
        """What MLflow keeps of the source."""
        return {
            "path": self.path,
            "md5": self.md5,
            "repository": self.repository,
            "commit": self.commit,
        }

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> "DVCDatasetSource":
        """The source that `to_dict` described."""
        return cls(**source_dict)

    @staticmethod
    def _get_source_type() -> str:
        return "dvc"

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return False

    @classmethod
    def _resolve(cls, raw_source: Any) -> "DVCDatasetSource":
        raise NotImplementedError("a run's inputs come from dvc.lock")


def _fetched(md5: str) -> Path:
    """The path of an object in DVC's cache, after fetching it from the remote if need be.

    DVC's API finds data by path and revision alone; by md5, also of what was never committed, only
    its internals do.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc_data.hashfile.hash_info import HashInfo

    with Repo() as repo:
        cache = repo.cache.local
        if not cache.exists(md5):
            try:
                repo.cloud.pull([HashInfo("md5", md5)])
            except DvcException as error:
                raise LockstepError(f"data with md5 {md5} cannot be fetched: {error}") from error
        if not cache.exists(md5):
            raise LockstepError(
                f"the data with md5 {md5} are neither in DVC's cache nor in its remote: "
                "whoever has them can run `dvc push`"
            )
        return Path(cache.oid_to_path(md5))
