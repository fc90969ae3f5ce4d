"""Artifacts of the embedded store, addressed from the project's root, so that the folder can move.

MLflow turns a local artifact path into an absolute one when an experiment is created and keeps it
for good; a folder that is renamed would lose its models. `project:/mlartifacts/…` names the same
files relative to the project, through MLflow's plugin point for artifact repositories.
"""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from lockstep.dvc.environment import project_root
from lockstep.mlflow.store import DATABASE
from lockstep.mlflow.uri import database_of


class ProjectArtifactRepository(LocalArtifactRepository):
    """The files below a project's root, for URIs with the scheme `project`."""

    def __init__(
        self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
    ) -> None:
        """Find the files.

        Args:
            artifact_uri: Such as `project:/mlartifacts/penguins`.
            tracking_uri: That of the embedded store, whose folder is the project's root.
            registry_uri: Handed on.
        """
        relative = unquote(urlsplit(artifact_uri).path).lstrip("/")
        path = _project_root(tracking_uri) / relative
        super().__init__(path.as_uri(), tracking_uri, registry_uri)


def _project_root(tracking_uri: str | None) -> Path:
    """The folder of the embedded store.

    That of the tracking URI when it names an SQLite file; else the nearest one around the current
    folder that holds `mlflow.db`, which is where `mlflow ui` runs.
    """
    database = database_of(tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", ""))
    if database and database.exists():
        return database.resolve().parent
    start = project_root(Path.cwd()).resolve()
    folders = [start, *start.parents]
    return next((folder for folder in folders if (folder / DATABASE).exists()), start)
