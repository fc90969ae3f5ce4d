"""The store of a project's runs: an SQLite file by default, an MLflow server by configuration.

MLflow is imported as late as possible: that takes longer than the rest of publishing.
"""

import contextlib
import copy
import socket
import sqlite3
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lockstep import LockstepError
from lockstep.mlflow import fast_lookup, runs, tag
from lockstep.mlflow.environment import (
    authorization,
    configure_mlflow,
    tracking_uri,
    users_tracking_uri_kept,
)
from lockstep.mlflow.uri import SQLITE, anchored, database_of, sqlite_uri
from lockstep.values import slug, without_secrets
from lockstep.workspace import lock_file

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATABASE = "mlflow.db"
CONNECT_SECONDS = 3.0
RETRY_ADVICE = (
    "nothing is lost: DVC keeps the results. Fix this, then run `uv run dvc repro` again for this "
    "run, or `uv run lockstep publish --all` for all runs"
)


class StoreError(LockstepError):
    """The store as a whole does not work: full, locked, read-only, or unreachable."""


class Store:
    """The MLflow store of a project; nothing is opened before it is used.

    Attributes:
        experiment: The name of the project's experiment.
        embedded: Whether the store is the file `mlflow.db` in the project's root.
        uri: MLflow's tracking URI.
    """

    def __init__(self, root: Path, tracking: dict[str, Any]) -> None:
        """Read where the store is.

        Args:
            root: The project's own folder, even under `dvc exp run --temp`: a store in the
                temporary copy would be deleted with it.
            tracking: The config group `tracking`. The variable MLFLOW_TRACKING_URI wins over its
                `uri`; without either, the store is embedded.
        """
        self.root = root.resolve()
        self.experiment: str = tracking["experiment"]
        given = tracking_uri() or tracking.get("uri")
        self.embedded = not given
        self.uri = anchored(given or SQLITE + DATABASE, self.root)

    def beside(self, kind: str) -> "Store":
        """The same store as another experiment sees it, `<name>-<kind>`."""
        other = copy.copy(self)
        other.experiment = f"{self.experiment}-{kind}"
        return other

    @property
    def is_server(self) -> bool:
        """Whether an MLflow server keeps the runs."""
        return urlsplit(self.uri).scheme in ("http", "https")

    def page(self, path: str) -> str:
        """The link to a page such as `/#/experiments/1`, or the command that starts the UI."""
        if self.is_server:
            return f"{without_secrets(self.uri).rstrip('/')}{path}"
        uri = "" if self.embedded else f" --backend-store-uri {without_secrets(self.uri)}"
        return f"uv run mlflow ui{uri}, then http://127.0.0.1:5000{path}"

    def exists(self) -> bool:
        """Whether there is a store to look into: the first run creates a database file."""
        database = database_of(self.uri)
        return database is None or database.exists()

    def finished(self, state: str | None = None) -> dict[str, str]:
        """The ids of the finished runs, or of those with one state, by the state that they show.

        An SQLite store is asked without importing MLflow.

        Raises:
            StoreError: The store cannot be reached.
        """
        if not self.exists():
            return {}
        if database := database_of(self.uri):
            with contextlib.suppress(sqlite3.Error):
                return fast_lookup.finished_runs(database, self.experiment, state)
        with self.errors_explained():
            client = self.client()
            experiment_id = self.find_experiment_id(client)
            found = runs.finished(client, experiment_id, state) if experiment_id else []
            return {run.data.tags[tag.STATE]: run.info.run_id for run in found}

    def find_finished(self, state: str) -> str | None:
        """The id of the finished run that shows a state; None if there is none."""
        return self.finished(state).get(state)

    def ask(self, path: str) -> str:
        """What the server answers at a path for which MLflow's client has no call.

        Raises:
            OSError: It did not answer within seconds, or refused.
        """
        url = f"{self.uri.rstrip('/')}/{path}"
        request = urllib.request.Request(url, headers=authorization())
        with urllib.request.urlopen(request, timeout=CONNECT_SECONDS) as response:
            return str(response.read().decode())

    def require_reachable(self) -> None:
        """Fail within seconds if a server is down.

        Raises:
            StoreError: Nothing listens at its address.
        """
        if not self.is_server:
            return
        parts = urlsplit(self.uri)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            socket.create_connection((parts.hostname or "", port), CONNECT_SECONDS).close()
        except OSError as error:
            uri = without_secrets(self.uri)
            raise StoreError(
                f"the MLflow server {uri} cannot be reached ({error})\n{RETRY_ADVICE}"
            ) from error

    def client(self) -> "MlflowClient":
        """Open the store; the embedded one is created if need be.

        Raises:
            StoreError: The server cannot be reached.
        """
        self.require_reachable()
        configure_mlflow()
        if self.embedded:
            self._create_database()
        import mlflow

        with users_tracking_uri_kept():
            # The registry looks a logged model up at the global URI, not at the client's own.
            mlflow.set_tracking_uri(self.uri)
        return mlflow.MlflowClient(self.uri)

    @contextlib.contextmanager
    def errors_explained(self, advice: str = RETRY_ADVICE) -> Iterator[None]:
        """Replace what MLflow raises by an error whose message ends with advice.

        Raises:
            StoreError: The store as a whole does not work.
            LockstepError: MLflow refuses something.
        """
        configure_mlflow()
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import OperationalError, SQLAlchemyError

        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError) as error:
            causes = (error, error.__cause__ or error.__context__)
            broken = any(isinstance(cause, OperationalError | OSError) for cause in causes)
            # The database's own message, without the statement and its values.
            message = next(filter(None, (getattr(cause, "orig", None) for cause in causes)), error)
            raise (StoreError if broken else LockstepError)(
                f"MLflow at {without_secrets(self.uri)} reports: {message}\n{advice}"
            ) from error

    def find_experiment_id(self, client: "MlflowClient") -> str | None:
        """The id of the experiment; None while there is none."""
        experiment = client.get_experiment_by_name(self.experiment)
        return experiment.experiment_id if experiment else None

    def experiment_id(self, client: "MlflowClient") -> str:
        """The id of the experiment, which is created, or restored if it was deleted."""
        experiment = client.get_experiment_by_name(self.experiment)
        if experiment is None:
            location = f"project:/mlartifacts/{slug(self.experiment)}" if self.embedded else None
            return client.create_experiment(self.experiment, artifact_location=location)
        if experiment.lifecycle_stage == "deleted":
            client.restore_experiment(experiment.experiment_id)
            print(
                f"note: the experiment {self.experiment} was deleted in MLflow; it is restored, "
                "with all its runs. To start a new one, set tracking.experiment in conf/"
            )
        return experiment.experiment_id

    def _create_database(self) -> None:
        """Create `mlflow.db` in a temporary folder, and move it to its place when it is complete.

        Two processes that open a new store at once can make it unusable for good: MLflow's
        migrations take no lock (https://github.com/daizutabi/hydraflow/issues/245).
        """
        from filelock import FileLock

        database = self.root / DATABASE
        if database.exists():
            return
        from mlflow import MlflowClient

        lock = lock_file(self.root, "store")
        with (
            FileLock(lock),
            tempfile.TemporaryDirectory(dir=lock.parent, ignore_cleanup_errors=True) as folder,
        ):
            if not database.exists():
                draft = Path(folder) / DATABASE
                MlflowClient(sqlite_uri(draft)).search_experiments(max_results=1)
                draft.replace(database)
