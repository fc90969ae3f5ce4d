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
    with contextlib.closing(sqlite3.connect(database, timeout=SECONDS)) as connection:
        return {str(value): str(run) for value, run in connection.execute(query, values)}
