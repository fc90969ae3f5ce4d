"""Whether a store works: what `lockstep doctor` asks MLflow.

Each problem is a LockstepError; its first line says what is wrong, the others are commands.
"""

import contextlib
import importlib.metadata
import socket
import tempfile
import urllib.error
import uuid
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lockstep import LockstepError
from lockstep.mlflow.store import CONNECT_SECONDS, Store
from lockstep.values import first_line, without_secrets

PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
CREDENTIALS = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"


def server_version(store: Store) -> str:
    """The version of the MLflow server.

    Raises:
        LockstepError: It does not answer, refuses, or is not an MLflow server.
    """
    place = without_secrets(store.uri)
    try:
        version = store.ask("version").strip()
    except urllib.error.HTTPError as error:
        answer = f"{place} answers {error.code} {error.reason}"
        if error.code in (401, 403, 407):
            raise LockstepError(f"{answer}: set {CREDENTIALS}") from error
        raise LockstepError(f"{answer}; it may not be an MLflow server") from error
    except (OSError, HTTPException) as error:
        parts = urlsplit(store.uri)
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        start = f"\nuv run mlflow server --port {parts.port or 5000}" if local else ""
        reason = getattr(error, "reason", None) or first_line(error)
        raise LockstepError(f"{place} does not answer: {reason}{start}") from error
    if not version[:1].isdigit() or len(version) > 40:
        raise LockstepError(f"{place} is not an MLflow server: its /version is not a version")
    return version


def client_version() -> str:
    """The version of MLflow in this environment."""
    return importlib.metadata.version("mlflow")


def require_working(store: Store) -> None:
    """Ask the store for an experiment.

    Raises:
        LockstepError: It does not answer, or its database is that of another version of MLflow.
    """
    _require_database_server(store)
    from mlflow.exceptions import MlflowException

    place = without_secrets(store.uri)
    try:
        store.client().search_experiments(max_results=1)
    except MlflowException as error:
        if "mlflow db upgrade" in str(error):
            raise LockstepError(
                f"{place} was made by another version of MLflow\nuv run mlflow db upgrade {place}"
            ) from error
        raise LockstepError(f"{place}: {first_line(error)}") from error


def probe_artifacts(store: Store) -> str:
    """Write, read and delete a small artifact where those of the runs are; it belongs to no run.

    Returns:
        The place.

    Raises:
        LockstepError: What was read differs from what was written.
        Exception: Whatever the artifact store raises.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    client = store.client()
    experiment = client.get_experiment_by_name(store.experiment) or client.get_experiment("0")
    place = without_secrets(experiment.artifact_location)
    repository: Any = get_artifact_repository(
        f"{experiment.artifact_location}/lockstep-doctor-{uuid.uuid4().hex}", store.uri
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "probe.txt")
        file.write_text(uuid.uuid4().hex, encoding="utf-8")
        try:
            repository.log_artifact(str(file))
            back = Path(repository.download_artifacts(file.name, tempfile.mkdtemp(dir=folder)))
            same = back.read_bytes() == file.read_bytes()
        except Exception:
            with contextlib.suppress(Exception):
                repository.delete_artifacts()
            raise
    repository.delete_artifacts()
    if not same:
        raise LockstepError(f"{place} returned different data than was written")
    return place


def model_names(store: Store) -> list[str]:
    """The names of the registered models, up to 100."""
    return [model.name for model in store.client().search_registered_models(max_results=100)]


def _require_database_server(store: Store) -> None:
    """Fail within seconds if a database server is down: MLflow itself retries for minutes."""
    parts = urlsplit(store.uri)
    port = parts.port or PORTS.get(parts.scheme.partition("+")[0])
    if store.is_server or not parts.hostname or not port:
        return
    try:
        socket.create_connection((parts.hostname, port), CONNECT_SECONDS).close()
    except OSError as error:
        place = without_secrets(store.uri)
        raise LockstepError(f"{place} does not answer: {first_line(error)}") from error
