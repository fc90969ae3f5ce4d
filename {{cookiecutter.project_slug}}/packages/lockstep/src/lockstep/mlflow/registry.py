"""The model of a run: logged, and registered as a version."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep.mlflow import tag
from lockstep.record.run_record import RunRecord

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

# What MLflow answers where there is no such model, version or alias.
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


def version_with_alias(client: "MlflowClient", name: str, alias: str) -> "ModelVersion | None":
    """The version of a model that has an alias; None where there is none."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        raise


def named(name: str) -> str:
    """The filter that finds the versions of a model."""
    quoted = name.replace("'", "\\'")
    return f"name = '{quoted}'"


def log_model(
    client: "MlflowClient",
    run_id: str,
    experiment_id: str,
    record: RunRecord,
    folder: Path | None,
) -> str | None:
    """Log the packaged model, once, and link it with the run."""
    if folder is None:
        return None
    from mlflow.entities import LoggedModelOutput
    from mlflow.entities.logged_model_status import LoggedModelStatus
    from mlflow.models import Model

    run = client.get_run(run_id)
    if run.outputs and run.outputs.model_outputs:
        return run.outputs.model_outputs[0].model_id
    # What an interrupted `publish` left is completed, not made a second time.
    query = f"source_run_id = '{run_id}'"
    left = client.search_logged_models([experiment_id], query, max_results=1)
    model = (
        left[0]
        if left
        else client.create_logged_model(
            experiment_id,
            name="model",
            source_run_id=run_id,
            tags={tag.STATE: record.pipeline.state},
        )
    )
    metadata = Model.load(str(folder))
    metadata.run_id, metadata.model_id = run_id, model.model_id
    metadata.save(str(folder / "MLmodel"))
    client.log_model_artifacts(model.model_id, str(folder))
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
    return model.model_id


def find_version(client: "MlflowClient", record: RunRecord) -> "ModelVersion | None":
    """The version that shows the record's state already; that of a deleted run leads nowhere."""
    query = f"{named(record.registry['name'])} and tags.`{tag.STATE}` = '{record.pipeline.state}'"
    found = client.search_model_versions(query)
    return next((version for version in found if _is_active(client, version.run_id)), None)


def register(
    client: "MlflowClient",
    run_id: str,
    model_id: str,
    record: RunRecord,
    version: "ModelVersion | None",
    tags: dict[str, str],
    description: str | None,
) -> "ModelVersion":
    """Register the model as a new version, once, with the alias of a challenger.

    Args:
        client: Of the store.
        run_id: The run that the model is of.
        model_id: The logged model.
        record: What the run shows.
        version: The one that shows it already, if any.
        tags: Those of the gate; a new version comes with them, so that it is never half judged.
        description: Of the version; None leaves an existing one as it is.
    """
    from mlflow.exceptions import MlflowException

    name = record.registry["name"]
    if version is None:
        # MLflow reads all versions of a model only to say that there is one of that name.
        if not client.search_model_versions(named(name), max_results=1):
            with contextlib.suppress(MlflowException):
                client.create_registered_model(name)
        version = client.create_model_version(
            name,
            source=f"models:/{model_id}",
            run_id=run_id,
            tags={**record.version_tags, **tags},
            model_id=model_id,
            description=description,
        )
    elif description:
        describe_version(client, version, tags, description)
    alias = record.registry.get("alias")
    if alias and not _is_newer(client, name, alias, record.origin.time):
        set_alias(client, name, alias, str(version.version))
    return version


def set_alias(client: "MlflowClient", name: str, alias: str, version: str) -> None:
    """Give an alias to a version.

    The client's own `set_registered_model_alias` reads all versions first, only to see that the
    model is no prompt: 0.6 s with 10,000 of them. What it calls then is called here at once.
    """
    registry = client._get_registry_client()  # type: ignore[no-untyped-call]
    registry.set_registered_model_alias(name, alias, version)


def describe_version(
    client: "MlflowClient",
    version: "ModelVersion",
    tags: dict[str, str],
    description: str,
) -> None:
    """Give a version that is there already its tags and its description."""
    client.update_model_version(version.name, str(version.version), description)
    for key, value in tags.items():
        client.set_model_version_tag(version.name, str(version.version), key, value)


def _is_active(client: "MlflowClient", run_id: str | None) -> bool:
    """Whether there is such a run, and nobody deleted it."""
    from mlflow.exceptions import MlflowException

    try:
        return run_id is not None and client.get_run(run_id).info.lifecycle_stage == "active"
    except MlflowException:
        return False


def _is_newer(client: "MlflowClient", name: str, alias: str, time: int) -> bool:
    """Whether the version with an alias is newer than a moment; `publish --all` shows old ones."""
    from mlflow.exceptions import MlflowException

    try:
        run_id = client.get_model_version_by_alias(name, alias).run_id
        return run_id is not None and client.get_run(run_id).info.start_time > time
    except MlflowException:
        return False
