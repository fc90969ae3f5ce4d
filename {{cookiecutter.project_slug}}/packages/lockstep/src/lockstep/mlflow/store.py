"""Where runs are kept: the embedded store by default, a server by configuration.

Nothing here imports MLflow before it must: that takes longer than all the rest of publishing.
"""

import base64
import contextlib
import os
import socket
import sqlite3
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lockstep import LockstepError
from lockstep.dvc.environment import project_root
from lockstep.files import read_yaml
from lockstep.mlflow import fast_lookup, runs, tag
from lockstep.mlflow.uri import SQLITE, anchored, database_of, sqlite_uri
from lockstep.values import slug, without_secrets
from lockstep.workspace import PARAMS, lock_file

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATABASE = "mlflow.db"
# A server that is away answers within seconds (MLflow's own defaults: four minutes a call), and the
# command line stays free of MLflow's own notices and tracebacks. What the user sets wins.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_SKIP_PIP_REQUIREMENTS_CHECK": "true",
}
CONNECT_SECONDS = 3.0
AGAIN = (
    "nothing is lost: DVC keeps the results. Once that is mended, run `dvc repro` again for the "
    "run, or `lockstep publish --all` for all runs"
)


class StoreError(LockstepError):
    """The store as a whole is out of order: full, locked, read-only, or away."""


class Store:
    """The MLflow store of a project."""

    def __init__(self, root: Path, tracking: dict[str, Any]) -> None:
        """Find the store; nothing is opened yet.

        Args:
            root: The project's own folder, also under `dvc exp run --temp`: a store in the
                temporary copy would be deleted with it.
            tracking: The config group `tracking`. The variable MLFLOW_TRACKING_URI wins over its
                `uri`; without either, the store is the file `mlflow.db` in the project's root.
        """
        self.root = root.resolve()
        self.experiment: str = tracking["experiment"]
        given = os.environ.get("MLFLOW_TRACKING_URI") or tracking.get("uri")
        self.embedded = not given
        self.uri = anchored(given or SQLITE + DATABASE, self.root)

    @property
    def is_server(self) -> bool:
        """Whether runs are kept by an MLflow server."""
        return urlsplit(self.uri).scheme in ("http", "https")

    def page(self, path: str) -> str:
        """The link to a page of the MLflow UI, or the command that starts the UI for it.

        Args:
            path: The page's, such as `/#/experiments/1`.
        """
        if self.is_server:
            return f"{without_secrets(self.uri).rstrip('/')}{path}"
        uri = "" if self.embedded else f" --backend-store-uri {without_secrets(self.uri)}"
        return f"uv run mlflow ui{uri}, then http://127.0.0.1:5000{path}"

    def exists(self) -> bool:
        """Whether there is anything to look into: a database file is made by the first run."""
        database = database_of(self.uri)
        return database is None or database.exists()

    def finished(self, state: str | None = None) -> dict[str, str]:
        """The ids of the finished runs, by the state that they show.

        An SQLite store is asked without importing MLflow.

        Args:
            state: Look for this one only.

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
            if experiment_id is None:
                return {}
            query = f"tags.`{tag.STATE}` " + (f"= {runs.quoted(state)}" if state else "LIKE '%'")
            query += " and attributes.status = 'FINISHED'"
            found = runs.search(client, experiment_id, query)
            return {run.data.tags[tag.STATE]: run.info.run_id for run in found}

    def find_finished(self, state: str) -> str | None:
        """The id of the finished run that shows a state; None if there is none."""
        return self.finished(state).get(state)

    def ask(self, path: str) -> str:
        """What the server answers at an address that MLflow's client has no call for.

        Args:
            path: Below the server's own address.

        Raises:
            OSError: It did not answer within seconds, or refused.
        """
        url = f"{self.uri.rstrip('/')}/{path}"
        request = urllib.request.Request(url, headers=_authorization())
        with urllib.request.urlopen(request, timeout=CONNECT_SECONDS) as response:
            return str(response.read().decode())

    def require_reachable(self) -> None:
        """Say within seconds that a server is away.

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
                f"the MLflow server {uri} cannot be reached ({error})\n{AGAIN}"
            ) from error

    def client(self) -> "MlflowClient":
        """Open the store; the embedded one is made if need be.

        Raises:
            StoreError: The server cannot be reached.
        """
        self.require_reachable()
        configure_mlflow()
        if self.embedded:
            self._create_database()
        import mlflow

        # The registry looks a logged model up at the global URI, whatever the client's own is.
        mlflow.set_tracking_uri(self.uri)
        return mlflow.MlflowClient(self.uri)

    @contextlib.contextmanager
    def errors_explained(self, cure: str = AGAIN) -> Iterator[None]:
        """Turn what MLflow raises into a message that says what to do.

        Args:
            cure: What to do.

        Raises:
            StoreError: The store as a whole does not work.
            LockstepError: MLflow refuses something, in place of its own exception.
        """
        configure_mlflow()
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import OperationalError, SQLAlchemyError

        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError) as error:
            causes = (error, error.__cause__ or error.__context__)
            broken = any(isinstance(cause, OperationalError | OSError) for cause in causes)
            # The database's own words, without the statement and its values.
            said = next(filter(None, (getattr(cause, "orig", None) for cause in causes)), error)
            raise (StoreError if broken else LockstepError)(
                f"MLflow at {without_secrets(self.uri)} says: {said}\n{cure}"
            ) from error

    def find_experiment_id(self, client: "MlflowClient") -> str | None:
        """The id of the experiment; None as long as there is none."""
        experiment = client.get_experiment_by_name(self.experiment)
        return experiment.experiment_id if experiment else None

    def experiment_id(self, client: "MlflowClient") -> str:
        """The id of the experiment, which is created if need be, or taken out of MLflow's bin."""
        experiment = client.get_experiment_by_name(self.experiment)
        if experiment is None:
            location = f"project:/mlartifacts/{slug(self.experiment)}" if self.embedded else None
            return client.create_experiment(self.experiment, artifact_location=location)
        if experiment.lifecycle_stage == "deleted":
            client.restore_experiment(experiment.experiment_id)
            print(
                f"note: the experiment {self.experiment} was deleted in MLflow; it is back, with "
                "all its runs. For a new one, set tracking.experiment in conf/"
            )
        return experiment.experiment_id

    def _create_database(self) -> None:
        """Make `mlflow.db` aside and put it in place whole.

        Two processes that open a new store at once can leave it unusable for good: MLflow's
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
            tempfile.TemporaryDirectory(dir=lock.parent, ignore_cleanup_errors=True) as aside,
        ):
            if not database.exists():
                draft = Path(aside) / DATABASE
                MlflowClient(sqlite_uri(draft)).search_experiments(max_results=1)
                draft.replace(database)


def tracking_of(workspace: Path) -> dict[str, Any]:
    """The config group `tracking`, also of a project whose pipeline has not run yet.

    Args:
        workspace: The folder that holds params.yaml, or at least conf/.

    Raises:
        LockstepError: There is neither.
    """
    params = read_yaml(workspace / PARAMS)
    if not params:
        from lockstep.config.compose import composer  # imports Hydra

        with composer(workspace) as compose:
            params = compose([])
    if "tracking" not in params:
        raise LockstepError(f"{PARAMS} holds no `tracking`: conf/ has to set it")
    tracking: dict[str, Any] = params["tracking"]
    return tracking


def store_of(workspace: Path) -> Store:
    """The store of the project that a workspace belongs to."""
    return Store(project_root(workspace), tracking_of(workspace))


def configure_mlflow() -> None:
    """Set MLflow's environment; call it before MLflow is imported."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def _authorization() -> dict[str, str]:
    """The header that MLflow's client would send, from the same variables."""
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    password = os.environ.get("MLFLOW_TRACKING_PASSWORD")
    if user and password:
        encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
        return {"Authorization": f"Basic {encoded}"}
    return {}
