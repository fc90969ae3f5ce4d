"""Runs in MLflow: write them from plain values, find them, read what they hold.

Together with `registry` this is where MLflow's entities are made; callers hand in names, numbers
and paths.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lockstep import LockstepError
from lockstep.mlflow import tag
from lockstep.mlflow.keys import key_of
from lockstep.values import first_line

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PAGE = 1000  # runs that one request asks for


class Point(NamedTuple):
    """One measured value of a metric.

    Attributes:
        time: In milliseconds since 1970.
        model_id: The logged model that was measured, if any.
    """

    name: str
    value: float
    time: int
    step: int = 0
    model_id: str | None = None


@dataclass(frozen=True)
class DataInput:
    """A file or folder of data that shaped a run.

    Attributes:
        md5: DVC's; MLflow shows it as the digest.
        read_by: The stages that read it.
        source: Where to find it again: path, md5, and the repository with its commit.
    """

    path: str
    md5: str
    read_by: Sequence[str]
    source: Mapping[str, str] = field(default_factory=dict)


def log(
    client: "MlflowClient",
    run_id: str,
    *,
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    metrics: Iterable[Point] = (),
) -> None:
    """Write params, tags and metrics to a run, however many there are.

    A param that the run has must keep its value: MLflow refuses another one.
    """
    from mlflow.entities import Metric, Param, RunTag

    points = [
        Metric(
            key_of(point.name),
            point.value,
            point.time,
            point.step,
            model_id=point.model_id,
            run_id=run_id if point.model_id else None,
        )
        for point in metrics
    ]
    client.log_batch(
        run_id,
        points,
        [Param(name, value) for name, value in (params or {}).items()],
        [RunTag(name, value) for name, value in (tags or {}).items()],
    )


def log_inputs(
    client: "MlflowClient", run_id: str, inputs: Iterable[DataInput], model_id: str | None = None
) -> None:
    """Record the data that shaped a run; `mlflow.data.get_source` finds them again.

    Args:
        model_id: The logged model that the run used, if any.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelInput

    datasets = [
        DatasetInput(
            Dataset(item.path, item.md5, "dvc", json.dumps(dict(item.source))),
            [InputTag("mlflow.data.context", ", ".join(item.read_by))],
        )
        for item in inputs
    ]
    client.log_inputs(run_id, datasets, [LoggedModelInput(model_id)] if model_id else None)


def log_files(
    client: "MlflowClient", run_id: str, files: Iterable[tuple[Path, str | None]]
) -> None:
    """Upload files and folders, each with its folder among the artifacts; None is the top."""
    for path, folder in files:
        upload = client.log_artifacts if path.is_dir() else client.log_artifact
        upload(run_id, str(path), folder)


def active_run(client: "MlflowClient", run_id: str | None) -> "Run | None":
    """A run; None where there is no such run, or it was deleted."""
    run = any_run(client, run_id)
    return run if run and run.info.lifecycle_stage == "active" else None


def any_run(client: "MlflowClient", run_id: str | None) -> "Run | None":
    """A run, even if it was deleted, as MLflow keeps it; None where there is no such run."""
    from mlflow.exceptions import MlflowException

    if not run_id:
        return None
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def search(
    client: "MlflowClient",
    experiment_id: str,
    query: str,
    order: Sequence[str] = (),
    limit: float = math.inf,
) -> "Iterator[Run]":
    """The first runs of an experiment that match a filter, by default the newest, page by page."""
    token = None
    while limit > 0:
        page = client.search_runs(
            [experiment_id],
            query,
            max_results=int(min(limit, PAGE)),
            order_by=list(order),
            page_token=token,
        )
        yield from page
        limit -= len(page)
        token = page.token
        if not token:
            return


def finished(
    client: "MlflowClient",
    experiment_id: str,
    state: str | None = None,
    *,
    condition: str | None = None,
    order: Sequence[str] = (),
    limit: float = math.inf,
) -> "Iterator[Run]":
    """The finished runs that show a state of the pipeline: one state, or any.

    Args:
        condition: A filter in MLflow's syntax that they also match.
    """
    value = f"= {quoted(state)}" if state else "LIKE '%'"
    query = f"tags.`{tag.STATE}` {value} and attributes.status = 'FINISHED'"
    if condition:
        query = f"{query} and {condition}"
    return search(client, experiment_id, query, order, limit)


def quoted(text: str) -> str:
    """A text as a filter of MLflow takes it."""
    escaped = text.replace("'", "\\'")
    return f"'{escaped}'"


def input_digests(run: "Run") -> dict[str, str]:
    """The md5 of each input of a run, by path."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return {item.dataset.name: item.dataset.digest for item in inputs}


def download(client: "MlflowClient", run_id: str, path: str, folder: Path) -> Path | None:
    """Download an artifact into a subfolder for its run; None if the run has none at this path.

    Raises:
        LockstepError: The run has it, but it cannot be downloaded.
    """
    from mlflow.exceptions import MlflowException

    target = folder / run_id
    target.mkdir(exist_ok=True)
    try:
        return Path(client.download_artifacts(run_id, path, str(target)))
    except (MlflowException, OSError) as error:
        # Each kind of store raises something else for a file that is not there.
        parent = path.rpartition("/")[0]
        if all(item.path != path for item in client.list_artifacts(run_id, parent or None)):
            return None
        raise LockstepError(
            f"{path} of the run {run_id} cannot be downloaded: {first_line(error)}"
        ) from error
