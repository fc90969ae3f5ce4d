"""Logged models, registered versions and their aliases, from plain values."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep import LockstepError
from lockstep.mlflow import runs, tag

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion

MODEL = "model"  # the name of the logged model
# MLflow's codes where there is no such model, version or alias.
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


def find_version(client: "MlflowClient", name: str, word: str) -> "ModelVersion | None":
    """A version of a model, by its number or an alias; None if there is none."""
    from mlflow.exceptions import MlflowException

    find = client.get_model_version if word.isdecimal() else client.get_model_version_by_alias
    try:
        return find(name, word)
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        raise


def version_called(client: "MlflowClient", name: str, word: str) -> "ModelVersion":
    """A version of a model, by its number or an alias.

    Raises:
        LockstepError: There is no such version.
    """
    version = find_version(client, name, word)
    if version is None:
        missing = word if word.isdecimal() else f"with the alias {word}"
        raise LockstepError(
            f"the model {name} has no version {missing}\n`uv run lockstep models` lists them"
        )
    return version


def version_of_state(
    client: "MlflowClient", name: str, state: str, model_id: str | None = None
) -> "ModelVersion | None":
    """The version that shows a state, unless its run was deleted, or has not this logged model."""
    query = f"{named(name)} and tags.`{tag.STATE}` = {runs.quoted(state)}"
    versions = client.search_model_versions(query)
    whole = (item for item in versions if model_id in (None, logged_model_of(item)))
    return next((version for version in whole if runs.active_run(client, version.run_id)), None)


def aliases_of(client: "MlflowClient", name: str) -> dict[str, list[str]]:
    """The aliases of a model's versions, sorted, by the version's number."""
    aliases: dict[str, list[str]] = {}
    for alias, number in sorted(client.get_registered_model(name).aliases.items()):
        # A number in the embedded store, text from a server.
        aliases.setdefault(str(number), []).append(alias)
    return aliases


def versions_by_run(
    client: "MlflowClient", name: str, limit: int = 1000
) -> dict[str, tuple[str, list[str]]]:
    """The number and the aliases of the newest versions of a model, by the id of their run."""
    order = ["version_number DESC"]
    versions = client.search_model_versions(named(name), limit, order)
    aliases = aliases_of(client, name) if versions else {}
    return {
        str(version.run_id): (str(version.version), aliases.get(str(version.version), []))
        for version in versions
    }


def named(name: str) -> str:
    """The filter that finds the versions of a model."""
    return f"name = {runs.quoted(name)}"


def log_model(
    client: "MlflowClient",
    run_id: str,
    experiment_id: str,
    folder: Path,
    tags: Mapping[str, str],
) -> str:
    """Log a packaged model, once, and link it to its run.

    Args:
        folder: An MLflow model; the ids of run and model are written into its MLmodel.

    Returns:
        The id of the logged model.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.entities.logged_model_status import LoggedModelStatus
    from mlflow.models import Model

    model = find_model(client, run_id, experiment_id) or client.create_logged_model(
        experiment_id, name=MODEL, source_run_id=run_id, tags=dict(tags)
    )
    if model.status != LoggedModelStatus.READY or not has_files(client, model):
        metadata = Model.load(str(folder))
        metadata.run_id, metadata.model_id = run_id, model.model_id
        metadata.save(str(folder / "MLmodel"))
        client.log_model_artifacts(model.model_id, str(folder))
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    outputs = client.get_run(run_id).outputs
    if model.model_id not in {item.model_id for item in (outputs.model_outputs if outputs else [])}:
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
    return str(model.model_id)


def find_model(client: "MlflowClient", run_id: str, experiment_id: str) -> "LoggedModel | None":
    """The logged model of a run, complete or not; None if there is none, or it was deleted."""
    query = f"source_run_id = '{run_id}' and name = '{MODEL}'"
    found = client.search_logged_models([experiment_id], query, max_results=1)
    return found[0] if found else None


def has_files(client: "MlflowClient", model: "LoggedModel") -> bool:
    """Whether the files of a logged model are there."""
    from mlflow.exceptions import MlflowException

    try:
        return bool(client.list_logged_model_artifacts(model.model_id))
    except (MlflowException, OSError):
        return False


def create_version(
    client: "MlflowClient",
    name: str,
    run_id: str,
    model_id: str,
    tags: Mapping[str, str],
    description: str | None,
    about: str,
) -> "ModelVersion":
    """Register a logged model as a new version; the registered model is created if need be.

    Args:
        about: The description of the registered model.
    """
    from mlflow.exceptions import MlflowException

    # MLflow reads all versions of a model only to report that one of that name exists.
    if not client.search_model_versions(named(name), max_results=1):
        with contextlib.suppress(MlflowException):
            client.create_registered_model(name, description=about)
    return client.create_model_version(
        name,
        source=f"models:/{model_id}",
        run_id=run_id,
        tags=dict(tags),
        model_id=model_id,
        description=description,
    )


def describe_version(
    client: "MlflowClient", version: "ModelVersion", verdict: str, description: str
) -> None:
    """Set the verdict and the description of an existing version."""
    name, number = version.name, str(version.version)
    client.update_model_version(name, number, description)
    client.set_model_version_tag(name, number, tag.VERDICT, verdict)
    for key in {*version.tags}.intersection(tag.JUDGEMENT) - {tag.VERDICT}:
        client.delete_model_version_tag(name, number, key)


def judgement_of(version: "ModelVersion", run: "Run | None") -> dict[str, str]:
    """What the gate decided about a version: the tags of its run.

    A version that was published before 0.5 has them itself.
    """
    tags = {**version.tags, **(run.data.tags if run else {})}
    return {key: tags[key] for key in tag.JUDGEMENT if key in tags}


def set_alias(client: "MlflowClient", name: str, alias: str, version: str) -> None:
    """Give an alias to a version.

    The client's own `set_registered_model_alias` reads all versions first, only to see that the
    model is not a prompt: 0.6 s with 10,000 of them. This is what it calls then.
    """
    registry = client._get_registry_client()  # type: ignore[no-untyped-call]
    registry.set_registered_model_alias(name, alias, version)


def set_alias_unless_newer(
    client: "MlflowClient", version: "ModelVersion", alias: str, time: int
) -> None:
    """Give an alias to a version, unless the one that has it is newer.

    Args:
        time: When the run of the version ended, in milliseconds since 1970.
    """
    holder = find_version(client, version.name, alias)
    run = runs.active_run(client, holder.run_id) if holder else None
    if run is None or (run.info.end_time or run.info.start_time) <= time:
        set_alias(client, version.name, alias, str(version.version))


def download_model(client: "MlflowClient", version: "ModelVersion", folder: Path) -> Path:
    """Download the MLflow model of a version; the result is its folder.

    Raises:
        OSError: It could not be downloaded.
    """
    return _download(f"models:/{version.name}/{version.version}", folder)


def download_model_of(run: "Run", folder: Path) -> Path:
    """Download the MLflow model that a run logged; the result is its folder.

    Raises:
        LockstepError: It logged none.
        OSError: It could not be downloaded.
    """
    outputs = run.outputs.model_outputs if run.outputs else []
    if not outputs:
        raise LockstepError(f"the run {run.info.run_name} has no model")
    return _download(f"models:/{outputs[0].model_id}", folder)


def _download(uri: str, folder: Path) -> Path:
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))
    except MlflowException as error:
        raise OSError(str(error)) from error


def logged_model_of(version: "ModelVersion") -> str:
    """The id of the logged model behind a version."""
    return str(version.source).removeprefix("models:/")
