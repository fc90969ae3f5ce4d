"""Load the data of a run by DVC's md5: `mlflow.data.get_source(dataset).load()`."""

import tempfile
from pathlib import Path
from typing import Any

from mlflow.data.dataset_source import DatasetSource

from lockstep.dvc.cache import fetch


class DVCDatasetSource(DatasetSource):
    """A file or folder in DVC's cache or remote.

    It is found by its md5, whatever the workspace holds now; path, repository and commit record
    where it was.
    """

    def __init__(self, path: str, md5: str, repository: str = "", commit: str = "") -> None:
        self.path = path
        self.md5 = md5
        self.repository = repository
        self.commit = commit

    def load(self, dst_path: str | None = None) -> str:
        """Fetch the data; the current folder must be in the project.

        Args:
            dst_path: The folder to put the data in; a temporary one by default.

        Returns:
            The path of the file or folder.

        Raises:
            LockstepError: Neither DVC's cache nor its remote has the data.
        """
        target = Path(dst_path or tempfile.mkdtemp()) / Path(self.path).name
        fetch(Path(), self.md5, target)
        return str(target)

    def to_dict(self) -> dict[str, Any]:
        """The source as MLflow stores it."""
        return {
            "path": self.path,
            "md5": self.md5,
            "repository": self.repository,
            "commit": self.commit,
        }

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> "DVCDatasetSource":
        """The source that `to_dict` describes."""
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
