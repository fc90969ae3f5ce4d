"""The runs that used one partition of the raw data: each has a list of its partitions."""

import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep.files import file_digest, read_yaml
from lockstep.lineage.trace import Node, models_of
from lockstep.mlflow import runs
from lockstep.mlflow.uri import CHECK_ADDRESS
from lockstep.partitions.manifest import is_partition
from lockstep.values import overlap

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from lockstep.project import Project

Row = dict[str, str]


def trace_partition(project: "Project", path: str) -> Node | None:
    """What a file in the folder of the raw data is, and the runs that used it, in any version.

    Returns:
        None if it is not in such a folder, or neither the folder nor a run has it.
    """
    pipeline = project.pipeline
    listed = pipeline.about_model().get("partitions")
    pointer = pipeline.pointer_of(path)
    name = pointer and Path(path).relative_to(pointer.removesuffix(".dvc")).as_posix()
    if not listed or not pointer or not name or name == "." or not is_partition(name):
        return None
    file = project.workspace / path
    md5 = file_digest(file) if file.is_file() else ""
    used_in = list(_used_in(project, listed, name, md5))
    if not md5 and not used_in:
        return None
    source = (read_yaml(project.workspace / pointer).get("deps") or [{}])[0]
    stages = pipeline.locked.values()
    return {
        "partition": path,
        "md5": md5 or "not in the folder any more",
        "came_from": {"url": source.get("path"), "tracked by": pointer},
        "used_in": {
            "read_by": [stage.name for stage in stages if overlap(path, stage.deps)],
            "runs": used_in,
        },
    }


def _used_in(project: "Project", listed: str, name: str, md5: str) -> Iterator[Node]:
    """The runs whose model was trained or tested on rows of the partition, newest first."""
    store = project.store
    if not store.exists():
        return
    with tempfile.TemporaryDirectory() as folder, store.errors_explained(CHECK_ADDRESS):
        client = store.client()
        experiment_id = store.find_experiment_id(client)
        if experiment_id is None:
            return
        known: dict[tuple[tuple[str, str], ...], Row | None] = {}
        for run in runs.finished(client, experiment_id):
            data = tuple(sorted(runs.input_digests(run).items()))
            if data not in known:  # runs on the same data have the same list
                known[data] = _row(client, run, listed, name, Path(folder))
            row = known[data]
            if row and (int(row["train"]) or int(row["test"])):
                yield {
                    "run": run.info.run_name,
                    "id": run.info.run_id,
                    "with another content": row["md5"] if row["md5"] != md5 else "",
                    "rows": f"{row['train']} to train, {row['test']} to test",
                    "models": models_of(client, run.info.run_id),
                }


def _row(client: "MlflowClient", run: "Run", listed: str, name: str, folder: Path) -> Row | None:
    """What the run's list of partitions says about one of them."""
    file = runs.download(client, run.info.run_id, listed, folder)
    if file is None:
        return None
    with file.open(encoding="utf-8", newline="") as stream:
        return next((row for row in csv.DictReader(stream) if row["partition"] == name), None)
