"""True values that came by `POST /feedback`, as raw data: a file for each past day of a log."""

import io
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep import LockstepError
from lockstep.champion.alias import CHAMPION, champion_of
from lockstep.config.group import settings_of_group
from lockstep.files import draft_of
from lockstep.inference.batch import METADATA
from lockstep.monitor.settings import Settings
from lockstep.serve.settings import ANSWERS

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

    from lockstep.project import Project

NAME = "feedback-{day}.parquet"


def bring_in_feedback(project: "Project", client: "MlflowClient", log: str) -> list[str]:
    """Write the rows of a log that have true values to the folder of raw files.

    A day with invalid data is left out, and said. Today is left to tomorrow.

    Returns:
        The days that are new, or have more true values than before.

    Raises:
        LockstepError: There is no such log, or the raw data are not a folder.
    """
    if not (project.workspace / log / ANSWERS).is_dir():
        raise LockstepError(
            f"conf/retrain: feedback: {log} is not a log: `lockstep serve --log` writes one"
        )
    folder = _raw_folder(project)
    new = {
        day: rows
        for day, rows in labelled_days(project.workspace / log, _target(project))
        if not _same(folder / NAME.format(day=day), rows)
    }
    if not new or champion_of(client, project.model_name) is None:
        return []
    invalid = _invalid_days(project, client, new)
    for day, why in invalid.items():
        print(f"left out: the true values of {day}: {why}", flush=True)
    taken = [day for day in new if day not in invalid]
    for day in taken:
        _write(folder / NAME.format(day=day), new[day], {"log": log, "day": day})
    return taken


def labelled_days(log: Path, target: str) -> "Iterator[tuple[str, pd.DataFrame]]":
    """Each day before today (in UTC), with the rows whose true values are known.

    The rows have the model's columns and the target, in the order in which they were asked for.
    """
    import pandas as pd

    from lockstep.monitor.answers import labelled, true_values
    from lockstep.serve.traffic import ROW

    truths = true_values(log, target)
    today = datetime.now(UTC).date().isoformat()
    for folder in sorted((log / ANSWERS).glob("date=*")):
        day = folder.name.removeprefix("date=")
        files = sorted(folder.glob("[!.]*.parquet"))
        if day >= today or not files:
            continue
        answers = pd.concat([pd.read_parquet(file) for file in files])
        # A version in the shadow predicts the same row again.
        answers = answers.sort_values(["_time", *ROW]).drop_duplicates(ROW)
        rows = labelled(answers, truths).dropna(subset=target)
        if len(rows):
            yield day, rows[[name for name in rows if not name.startswith("_")]]


def _raw_folder(project: "Project") -> Path:
    found = [path for path in project.pipeline.sources() if (project.workspace / path).is_dir()]
    if len(found) != 1:
        raise LockstepError(
            "conf/retrain: feedback: true values become files beside the raw ones, so the raw data "
            "must be one folder that DVC tracks"
        )
    return project.workspace / found[0]


def _target(project: "Project") -> str:
    target = (project.params.get("data") or {}).get("target")
    if not target:
        raise LockstepError("conf/retrain: feedback: there is no data.target in params.yaml")
    return str(target)


def _same(file: Path, rows: "pd.DataFrame") -> bool:
    import pandas as pd

    return file.exists() and pd.read_parquet(file).equals(pd.read_parquet(_as_file(rows, {})))


def _invalid_days(
    project: "Project", client: "MlflowClient", days: "dict[str, pd.DataFrame]"
) -> dict[str, str]:
    """What `lockstep monitor` finds invalid in a day, by day."""
    from lockstep.monitor.reference import reference_of
    from lockstep.monitor.result import Monitor

    settings = settings_of_group(project.workspace, "monitor", Settings)
    monitor = Monitor(reference_of(client, project, CHAMPION), settings)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for day, rows in days.items():
            file = Path(folder) / NAME.format(day=day)
            _write(file, rows, {})
            invalid = monitor.invalid(monitor.read(file))
            found[day] = "; ".join(f"{item.subject}: {item.text}" for item in invalid)
    return {day: why for day, why in found.items() if why}


def _write(file: Path, rows: "pd.DataFrame", about: dict[str, str]) -> None:
    with draft_of(file) as draft:
        draft.write_bytes(_as_file(rows, about).getvalue())


def _as_file(rows: "pd.DataFrame", about: dict[str, str]) -> io.BytesIO:
    """A Parquet file that names where its rows come from."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(rows, preserve_index=False)
    known = table.schema.metadata or {}
    named = {METADATA + key: value for key, value in about.items()}
    file = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({**known, **named}), file)
    file.seek(0)
    return file
