"""The versions of a registered model, and the runs behind them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep import LockstepError
from lockstep.mlflow.registry import ABSENT, version_with_alias
from lockstep.values import first_line

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion


def version_called(client: "MlflowClient", name: str, version: str) -> "ModelVersion":
    """A version of a model.

    Args:
        client: Of the store.
        name: That of the model.
        version: The version's number or alias.

    Raises:
        LockstepError: The model has no such version.
    """
    from mlflow.exceptions import MlflowException

    found = None
    try:
        found = (
            client.get_model_version(name, version)
            if version.isdecimal()
            else version_with_alias(client, name, version)
        )
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise
    if found is None:
        raise LockstepError(f"{name} has no version {version}\n`uv run lockstep models` lists them")
    return found


def aliases_of(client: "MlflowClient", name: str) -> dict[str, list[str]]:
    """The aliases of each version of a model, by the version's number."""
    aliases: dict[str, list[str]] = {}
    for alias, version in sorted(client.get_registered_model(name).aliases.items()):
        # A version is a number in the embedded store, and text from a server.
        aliases.setdefault(str(version), []).append(alias)
    return aliases


def run_of_version(client: "MlflowClient", version: "ModelVersion") -> "Run | None":
    """The run that a version was registered from; None where it had none, or it was deleted."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_run(version.run_id) if version.run_id else None
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        raise


def download_version(version: "ModelVersion", folder: Path) -> Path:
    """Download the MLflow model of a version.

    Returns:
        Its folder.

    Raises:
        LockstepError: It could not be loaded.
    """
    import mlflow

    uri = f"models:/{version.name}/{version.version}"
    try:
        return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))
    except (mlflow.MlflowException, OSError) as error:
        raise LockstepError(f"{uri} could not be loaded: {first_line(error)}") from error


def download_artifact(
    client: "MlflowClient", run_id: str, path: str | None, folder: Path
) -> Path | None:
    """Download a file of a run; None if the run has no such file."""
    from mlflow.exceptions import MlflowException

    if path is None:
        return None
    target = folder / run_id
    target.mkdir(exist_ok=True)
    try:
        return Path(client.download_artifacts(run_id, path, str(target)))
    except (MlflowException, OSError):
        return None


def set_run_tags(client: "MlflowClient", run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags of a run, all in one request."""
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
