"""A fast path around MLflow's client: it reads the private tables of an SQLite store.

`import mlflow` takes longer than everything else that a repeated `lockstep publish` does. Its only
question is answered here in milliseconds. MLflow may change these tables in any
release: `tests/test_publish.py` then fails, and `Store.finished` asks MLflow's client instead.
"""

import contextlib
import sqlite3
from pathlib import Path

from lockstep.mlflow import tag

SECONDS = 5.0  # to wait for another process that is writing


def finished_runs(database: Path, experiment: str, state: str | None = None) -> dict[str, str]:
    """The ids of an experiment's finished runs, or of those with one state, by state.

    Raises:
        sqlite3.Error: The tables are not as expected, or locked.
    """
    query = (
        "select tags.value, runs.run_uuid from tags"
        " join runs on runs.run_uuid = tags.run_uuid"
        " join experiments on experiments.experiment_id = runs.experiment_id"
        " where tags.key = ? and experiments.name = ?"
        " and runs.status = 'FINISHED' and runs.lifecycle_stage = 'active'"
    )
    values = [tag.STATE, experiment]
    if state is not None:
        query += " and tags.value = ?"
        values.append(state)
    return {str(value): str(run) for value, run in _rows(database, query, *values)}


def kept_at(database: Path, run_id: str) -> list[str]:
    """Where the artifacts of a run and of its logged models are, unless these were deleted."""
    query = (
        "select artifact_uri from runs where run_uuid = ? union all"
        " select artifact_location from logged_models"
        " where source_run_id = ? and lifecycle_stage = 'active'"
    )
    return [str(place) for (place,) in _rows(database, query, run_id, run_id)]


def registered(database: Path) -> set[tuple[str, str]]:
    """The states that have a version of a registered model, each as (model, state)."""
    query = (
        "select tags.name, tags.value from model_version_tags as tags"
        " join model_versions as versions"
        " on versions.name = tags.name and versions.version = tags.version"
        " where tags.key = ? and versions.current_stage <> 'Deleted_Internal'"
    )
    return {(str(name), str(state)) for name, state in _rows(database, query, tag.STATE)}


def aliases(database: Path, name: str) -> set[str]:
    """The aliases of a registered model."""
    query = "select alias from registered_model_aliases where name = ?"
    return {str(alias) for (alias,) in _rows(database, query, name)}


def _rows(database: Path, query: str, *values: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(database, timeout=SECONDS)) as connection:
        return connection.execute(query, values).fetchall()
