"""Show the state of the pipeline in MLflow: one run for each state, however often it is asked.

The run is a projection of what DVC holds: made late, again, or elsewhere, it is the same.
"""

import contextlib
import json
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep import LockstepError
from lockstep.dvc.environment import project_root, stage_name
from lockstep.dvc.pipeline import Pipeline
from lockstep.gate.card import CARD, model_card
from lockstep.history import live_record, read_history
from lockstep.mlflow import tag
from lockstep.mlflow.live import adoptable_run
from lockstep.mlflow.package import Package, Packager
from lockstep.mlflow.registry import log_model
from lockstep.mlflow.store import Store, tracking_of
from lockstep.publish.gate_step import Judgement, judging
from lockstep.publish.report import print_comparison
from lockstep.record.provenance import Origin
from lockstep.record.run_record import RunRecord
from lockstep.record.snapshot import BUNDLE, snapshot_of_workspace, write_bundle
from lockstep.workspace import lock_file

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# How long a second `publish` waits for the first.
LOCK_SECONDS = 600


def publish(workspace: Path) -> None:
    """Publish the state that dvc.lock records, unless its run is there already.

    Args:
        workspace: The folder that holds dvc.yaml, dvc.lock and params.yaml.

    Raises:
        LockstepError: The pipeline has not run, the workspace is no longer what it made, or the
            store cannot be reached.
    """
    pipeline = Pipeline(workspace)
    tracking = tracking_of(workspace)
    root = project_root(workspace)
    store = Store(root, tracking)
    if run_id := store.find_finished(pipeline.state):
        print(f"already published: run {run_id}")
        return
    # In the pipeline, DVC has just seen to it.
    if not stage_name() and (changed := pipeline.drift_from_lock()):
        raise LockstepError(
            f"the workspace is not what dvc.lock records ({', '.join(changed)}): run `dvc repro`"
        )
    store.require_reachable()
    origin = Origin.of_workspace(workspace, root, pipeline.written)
    limit = tracking.get("snapshot_limit", math.inf)
    snapshot, edited = snapshot_of_workspace(pipeline, root, origin, limit)
    if edited:
        print(
            f"note: {', '.join(edited)} changed after a stage had read it, and no commit has it as "
            "it was: the run cannot be rebuilt exactly. `dvc repro` runs what changed"
        )
    record = RunRecord(pipeline, origin, snapshot)
    # The model's process starts before MLflow is imported here: the two take their time together.
    with Packager() as packager:
        published = publish_record(store, record, packager.start(pipeline))
    if published:
        live_record(workspace).unlink(missing_ok=True)
        print_comparison(store, record, *published)


def publish_record(
    store: Store, record: RunRecord, package: Package, *, gate: bool = True
) -> "tuple[Run, Judgement] | None":
    """Make the run of a state, or complete what is left of one.

    Args:
        store: Where it is shown.
        record: What it says.
        package: Its model, on the way.
        gate: Whether its model is judged.

    Returns:
        The run, and what became of its model; None when the run is there already.

    Raises:
        LockstepError: It cannot be done now; nothing is shown as finished that is not.
    """
    from filelock import FileLock, Timeout

    state = record.pipeline.state
    try:
        lock = FileLock(lock_file(store.root, "publish"), timeout=LOCK_SECONDS).acquire()
    except Timeout as error:
        raise LockstepError(
            f"another `lockstep publish` has been at work for {LOCK_SECONDS} s: wait, or end it"
        ) from error
    with lock, store.errors_explained():
        client = store.client()
        experiment_id = store.experiment_id(client)
        if found := _find(client, experiment_id, state, finished=True):
            print(f"already published: run {found.info.run_id}")
            return None
        with judging(client, store, record, gate=gate) as judge:
            run_id = _run_to_fill(client, store, experiment_id, record)
            _fill(client, run_id, store, record)
            folder = package.wait()
            tags = {tag.STATE: state}
            model_id = log_model(client, run_id, experiment_id, folder, tags) if folder else None
            _log_metrics(client, run_id, record, model_id)
            judgement = judge(run_id, model_id)
        client.set_terminated(run_id, "FINISHED", end_time=record.origin.time)
        return client.get_run(run_id), judgement


def _find(
    client: "MlflowClient", experiment_id: str, state: str, *, finished: bool
) -> "Run | None":
    query = f"tags.`{tag.STATE}` = '{state}'"
    if finished:
        query += " and attributes.status = 'FINISHED'"
    return next(iter(client.search_runs([experiment_id], query, max_results=1)), None)


def _run_to_fill(
    client: "MlflowClient", store: Store, experiment_id: str, record: "RunRecord"
) -> str:
    """A new run, or the one that a live training or an interrupted `publish` left."""
    state = record.pipeline.state
    if unfinished := _find(client, experiment_id, state, finished=False):
        client.update_run(unfinished.info.run_id, status="RUNNING", name=record.name)
        return str(unfinished.info.run_id)
    histories = [record.workspace / path for path in record.histories]
    if adopted := adoptable_run(store, record.workspace, histories):
        with contextlib.suppress(Exception):
            if tag.STATE not in client.get_run(adopted).data.tags:
                client.update_run(adopted, name=record.name)
                client.set_tag(adopted, tag.STATE, state)
                return adopted
    run = client.create_run(
        experiment_id, record.origin.time, tags={tag.STATE: state}, run_name=record.name
    )
    return str(run.info.run_id)


def _fill(client: "MlflowClient", run_id: str, store: Store, record: "RunRecord") -> None:
    """Log params, tags, inputs and artifacts; the same again changes nothing."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Param, RunTag

    run = client.get_run(run_id)
    known = run.data.params
    params = [Param(key, value) for key, value in record.params.items() if key not in known]
    tags = [RunTag(key, value) for key, value in record.tags.items()]
    client.log_batch(run_id, params=params, tags=tags)
    if not (run.inputs and run.inputs.dataset_inputs):
        inputs = [
            DatasetInput(
                Dataset(item.path, item.md5, "dvc", json.dumps(item.source)),
                [InputTag("mlflow.data.context", ", ".join(item.read_by))],
            )
            for item in record.datasets
        ]
        client.log_inputs(run_id, inputs)
    for path, folder in record.artifacts:
        if path.is_dir():
            client.log_artifacts(run_id, str(path), folder)
        else:
            client.log_artifact(run_id, str(path), folder)
    if record.snapshot:
        with tempfile.TemporaryDirectory() as temporary:
            bundle = Path(temporary) / BUNDLE
            write_bundle(store.root, record.pipeline.state, bundle)
            client.log_artifact(run_id, str(bundle))
    if record.pipeline.models():
        client.log_text(run_id, model_card(record), CARD)


def _log_metrics(
    client: "MlflowClient", run_id: str, record: "RunRecord", model_id: str | None
) -> None:
    """Log the metrics that the run lacks; those of the finished model belong to it, too."""
    from mlflow.entities import Metric

    run = client.get_run(run_id)
    now = record.origin.time
    final = [
        Metric(key, value, now, 0, model_id=model_id, run_id=run_id)
        for key, value in record.metrics.items()
        if key not in run.data.metrics
    ]
    steps = [
        Metric(key, value, now, step) for key, value, step in _missing_steps(client, run, record)
    ]
    client.log_batch(run_id, metrics=[*final, *steps])


def _missing_steps(
    client: "MlflowClient", run: "Run", record: "RunRecord"
) -> Iterator[tuple[str, float, int]]:
    """The metrics with steps that a live training has not brought to the run."""
    streamed = {
        (name, metric.step)
        for name in run.data.metrics
        for metric in client.get_metric_history(run.info.run_id, name)
    }
    for path in record.histories:
        for name, value, step in read_history(record.workspace / path):
            if (name, step) not in streamed:
                yield name, value, step
