"""Whether MLflow still holds all that `publish` put there.

MLflow is a view of what DVC and git keep, in which anybody may delete runs, versions, files, ...
"""

import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from lockstep.mlflow import fast_lookup, registry, runs, tag
from lockstep.mlflow.store import Store
from lockstep.mlflow.uri import database_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Registered = set[tuple[str, str]]  # (model, state)


def whole_run(store: Store, state: str, model: str | None, alias: str | None) -> str | None:
    """The id of the finished run of a state; None if there is none, or something of it is missing.

    Args:
        model: The name of the registered model that has a version of the state, if any.
        alias: The alias that one of its versions has, if any.

    Raises:
        StoreError: The store cannot be reached.
    """
    run_id = store.find_finished(state)
    if run_id is None:
        return None
    if database := database_of(store.uri):
        with contextlib.suppress(sqlite3.Error):
            known = not model or (model, state) in fast_lookup.registered(database)
            named = not (model and alias) or alias in fast_lookup.aliases(database, model)
            files = _has_files(database, run_id, models=bool(model))
            return run_id if known and named and files else None
    with store.errors_explained():
        client = store.client()
        return run_id if is_whole(client, client.get_run(run_id), model, alias) else None


def is_whole(client: "MlflowClient", run: "Run", model: str | None, alias: str | None) -> bool:
    """Whether a run has its files and, where a model is registered, that with version and alias."""
    if not client.list_artifacts(run.info.run_id):
        return False
    return not model or _has_model(client, run, model, alias)


def registered_states(store: Store) -> Registered:
    """The states that have a version of a registered model.

    Raises:
        StoreError: The store cannot be reached.
    """
    if not store.exists():
        return set()
    if database := database_of(store.uri):
        with contextlib.suppress(sqlite3.Error):
            return fast_lookup.registered(database)
    with store.errors_explained():
        return _states(store.client(), tag.STATE)


def has_files(store: Store, run_id: str, *, models: bool, client: "MlflowClient | None") -> bool:
    """Whether the files of a run are there, and of its model if it must have one.

    Args:
        client: That of a server, which is asked several times for each run; without it, the files
            that a server keeps count as being there.

    Raises:
        StoreError: The server cannot be reached.
    """
    if database := database_of(store.uri):
        with contextlib.suppress(sqlite3.Error):
            return _has_files(database, run_id, models=models)
    if client is None:
        return True
    with store.errors_explained():
        run = client.get_run(run_id)
        return is_whole(client, run, None, None) and (
            not models or _has_model(client, run, None, None)
        )


def _has_files(database: Path, run_id: str, *, models: bool) -> bool:
    """Whether the folders of a run and its models exist, as far as they are the project's own."""
    places = [urlsplit(uri) for uri in fast_lookup.kept_at(database, run_id)]
    own = (unquote(place.path).lstrip("/") for place in places if place.scheme == "project")
    return len(places) > models and all((database.parent / path).is_dir() for path in own)


def one_of_state(client: "MlflowClient", experiment_id: str, state: str) -> "Run | None":
    """The run of a state, restored if it was deleted; other finished runs of it are deleted.

    Two clones that publish the same to a server at once make two, as MLflow has no lock for that.
    """
    from mlflow.entities import ViewType

    query = f"tags.`{tag.STATE}` = {runs.quoted(state)}"
    found = sorted(client.search_runs([experiment_id], query, ViewType.ALL), key=_rank)
    for other in found[1:]:
        if _rank(other)[:2] == (False, False):
            print(f"note: deleting run {other.info.run_id}, which shows the same state")
            client.delete_run(other.info.run_id)
    if not found:
        return None
    run_id = found[0].info.run_id
    if _rank(found[0])[0]:
        print(f"note: run {run_id} was deleted in MLflow; it is restored")
        client.restore_run(run_id)
    return client.get_run(run_id)


def _rank(run: "Run") -> tuple[bool, bool, int, str]:
    """The order of the runs of a state, the same in all clones: active, finished, oldest first."""
    info = run.info
    deleted, unfinished = info.lifecycle_stage != "active", info.status != "FINISHED"
    return deleted, unfinished, info.start_time, info.run_id


def _has_model(client: "MlflowClient", run: "Run", name: str | None, alias: str | None) -> bool:
    """Whether MLflow still has all that `publish` made of a model: its files, version and alias.

    Args:
        name: The registered model; None if the model is only logged.
        alias: The alias of the newest version; None without one.
    """
    model = registry.find_model(client, run.info.run_id, run.info.experiment_id)
    if model is None or not registry.has_files(client, model):
        return False
    if name is None:
        return True
    version = registry.version_of_state(client, name, run.data.tags[tag.STATE], model.model_id)
    return version is not None and (
        alias is None or registry.find_version(client, name, alias) is not None
    )


def _states(client: "MlflowClient", key: str) -> set[tuple[str, str]]:
    """The values that a tag has in the versions of all models, each as (model, value)."""
    found: set[tuple[str, str]] = set()
    token = None
    while True:
        page = client.search_model_versions(max_results=runs.PAGE, page_token=token)
        found |= {(item.name, item.tags[key]) for item in page if key in item.tags}
        token = page.token
        if not token:
            return found
