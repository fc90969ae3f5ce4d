"""Whether a store works: what `lockstep doctor` asks MLflow.

Each problem is a LockstepError; its first line says what is wrong, the others are commands.
"""

import contextlib
import tempfile
import uuid
from pathlib import Path
from typing import Any

from lockstep import LockstepError
from lockstep.mlflow.store import Store
from lockstep.values import first_line, without_secrets


def server_version(store: Store) -> str:
    """The version of an MLflow server.

    Raises:
        OSError: It does not answer, or refuses.
    """
    return store.ask("version").strip()


def require_working(store: Store) -> None:
    """Ask the store for an experiment.

    Raises:
        LockstepError: It does not answer, or its database is that of another version of MLflow.
    """
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
