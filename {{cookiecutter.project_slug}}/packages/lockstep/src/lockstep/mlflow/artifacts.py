"""Artifacts of the embedded store, addressed from the project's root, so that the folder can move.

MLflow makes a local artifact path absolute when it creates an experiment, and never changes it:
a project that is moved would lose its models. `project:/mlartifacts/…` is relative to the project,
through MLflow's plugin point for artifact repositories.
"""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from lockstep.dvc.environment import project_root
from lockstep.mlflow.environment import tracking_uri
from lockstep.mlflow.store import DATABASE
from lockstep.mlflow.uri import database_of


class ProjectArtifactRepository(LocalArtifactRepository):
    """The files below a project's root, for URIs with the scheme `project`."""

    def __init__(
        self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
    ) -> None:
        """Find the folder.

        Args:
            artifact_uri: Such as `project:/mlartifacts/bike-hire`.
            tracking_uri: That of the embedded store, whose folder is the project's root.
        """
        relative = unquote(urlsplit(artifact_uri).path).lstrip("/")
        path = _project_root(tracking_uri) / relative
        super().__init__(path.as_uri(), tracking_uri, registry_uri)


def _project_root(given: str | None) -> Path:
    """The folder of the embedded store.

    It is that of the SQLite file in the tracking URI. Without one, it is the nearest folder around
    the current one with an `mlflow.db`: `mlflow ui` runs there.
    """
    database = database_of(given or tracking_uri())
    if database and database.exists():
        return database.resolve().parent
    start = project_root(Path.cwd()).resolve()
    folders = [start, *start.parents]
    return next((folder for folder in folders if (folder / DATABASE).exists()), start)
