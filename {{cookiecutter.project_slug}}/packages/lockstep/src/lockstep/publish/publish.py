"""One run in MLflow for each state of the pipeline, however often it is published.

The run is a projection of what DVC stores: published late, again or elsewhere, it is the same.
"""

import json
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep import LockstepError
from lockstep.champion.front_page import update_front_page
from lockstep.dvc.environment import stage_name
from lockstep.dvc.pipeline import Pipeline
from lockstep.gate.candidate import candidate_of_workspace
from lockstep.gate.card import CARD, REPORT, model_card, report
from lockstep.gate.summary import description, headline
from lockstep.mlflow import runs, tag
from lockstep.mlflow.live import adoptable_run, close_killed
from lockstep.mlflow.package import Package
from lockstep.mlflow.registry import log_model
from lockstep.mlflow.whole import is_whole, one_of_state
from lockstep.project import Project
from lockstep.publish.gate_step import Judgement, judging
from lockstep.record.metrics import beside_baseline
from lockstep.record.provenance import Origin
from lockstep.record.published import ENVIRONMENT, STAGES, stages_text
from lockstep.record.run_record import RunRecord
from lockstep.record.snapshot import BUNDLE, snapshot_of_workspace, write_bundle
from lockstep.secrets import untracked_secrets
from lockstep.values import overlap
from lockstep.workspace import one_at_a_time

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

LOCK_SECONDS = 600  # to wait for another publish
BUSY = f"another `lockstep publish` has been running for {LOCK_SECONDS} s: wait for it, or stop it"


def record_of_workspace(project: Project) -> RunRecord:
    """The content of the workspace's run; takes the snapshot of the code.

    Raises:
        LockstepError: The workspace differs from what dvc.lock records, or the snapshot fails.
    """
    # Within the pipeline, DVC has just checked.
    if not stage_name() and (changed := project.pipeline.drift_from_lock()):
        raise LockstepError(
            f"the workspace differs from what dvc.lock records ({', '.join(changed)}): "
            "run `uv run dvc repro`"
        )
    project.store.require_reachable()
    _print_what_is_left_out(project.pipeline)
    pipeline = project.pipeline
    origin = Origin.of_workspace(project, [*pipeline.written, *pipeline.locks.values()])
    limit = project.tracking.get("snapshot_limit", math.inf)
    wanted = project.tracking.get("snapshot_include", [])
    secrets = untracked_secrets(project.workspace, wanted)
    snapshot, edited = snapshot_of_workspace(project, origin, limit, secrets)
    for name, reason in secrets.items() if snapshot else ():
        print(
            f"note: {name} looks like a secret ({reason}), so it is not in the run's snapshot\n"
            "      list it in .gitignore; or, to keep it, in tracking.snapshot_include in conf/"
        )
    if edited:
        print(
            f"note: {', '.join(edited)} changed after a stage had read it, and no commit has the "
            "version that was read: the run cannot be rebuilt exactly. `uv run dvc repro` runs "
            "what changed"
        )
    return RunRecord(project, origin, snapshot)


def _print_what_is_left_out(pipeline: Pipeline) -> None:
    """Name what dvc.yaml declares, and the run does not show as one might expect."""
    models = [model["name"] for model in pipeline.models()]
    if models[1:]:
        print(
            f"note: the model is {models[0]}, the first in dvc.yaml; of {', '.join(models[1:])} "
            "the run has the files, if they are among the deps of publish"
        )
    made = [path for path in pipeline.metrics if overlap(path, pipeline.written)]
    if hidden := [path for path in made if path not in pipeline.metric_files()]:
        print(
            f"note: the run does not show the metrics in {', '.join(hidden)}: add them to the deps "
            f"of {pipeline.publisher} in dvc.yaml"
        )


def publish_record(
    project: Project, record: RunRecord, package: Package, *, gate: bool = True
) -> "tuple[Run, Judgement] | None":
    """Create the run of a state, or complete an interrupted one.

    Args:
        project: The project to whose store it is published; the record may be of a copy.
        package: Waits for the packaged model.

    Returns:
        The run and the judgement of its model; None if the run exists.

    Raises:
        LockstepError: It cannot be published now; no incomplete run is shown as finished.
    """
    _ = record.params, record.metrics, record.steps  # their names are checked before a run exists
    store = project.store
    lock = one_at_a_time(project.root, "publish", BUSY, LOCK_SECONDS)
    with lock, store.errors_explained():
        client = store.client()
        experiment_id = store.experiment_id(client)
        close_killed(client, experiment_id)
        state = record.pipeline.state
        run = one_of_state(client, experiment_id, state)
        if run and run.info.status == "FINISHED":
            if is_whole(client, run, record.registered_model, record.registry.get("alias")):
                print(f"already published: run {run.info.run_id}")
                return None
            print(f"note: what was deleted of run {run.info.run_id} in MLflow is restored")
        with judging(client, project, record, gate=gate) as judge:
            run_id = _run_to_fill(client, project, experiment_id, record, run)
            _fill(client, run_id, project.root, record)
            folder, tags = _packaged(client, run_id, record, package), {tag.STATE: state}
            model_id = log_model(client, run_id, experiment_id, folder, tags) if folder else None
            _log_metrics(client, run_id, record, model_id)
            judgement = judge(run_id, model_id)
        if record.pipeline.models():
            _log_card(client, run_id, record)
        client.set_terminated(run_id, "FINISHED", end_time=record.origin.time)
        update_front_page(client, project, record.metrics)
        finished = one_of_state(client, experiment_id, state)
        return (finished, judgement) if finished else None


def _packaged(
    client: "MlflowClient", run_id: str, record: RunRecord, package: Package
) -> Path | None:
    """The packaged model; without one, the run fails with all that is known of it."""
    try:
        return package()
    except LockstepError:
        _log_metrics(client, run_id, record, None)
        client.set_terminated(run_id, "FAILED", end_time=record.origin.time)
        raise


def _run_to_fill(
    client: "MlflowClient",
    project: Project,
    experiment_id: str,
    record: RunRecord,
    found: "Run | None",
) -> str:
    """A new run, or the one that was found, or that a live training left."""
    state = record.pipeline.state
    if found:
        client.update_run(found.info.run_id, status="RUNNING", name=record.name)
        return str(found.info.run_id)
    histories = [record.workspace / path for path in record.histories]
    live = runs.active_run(client, adoptable_run(project.store, record.workspace, histories))
    if live and tag.STATE not in live.data.tags:
        client.update_run(live.info.run_id, name=record.name)
        client.set_tag(live.info.run_id, tag.STATE, state)
        return str(live.info.run_id)
    run = client.create_run(
        experiment_id, record.started, tags={tag.STATE: state}, run_name=record.name
    )
    return str(run.info.run_id)


def _fill(client: "MlflowClient", run_id: str, root: Path, record: RunRecord) -> None:
    """Log params, tags, inputs and artifacts; repeating it changes nothing."""
    run = client.get_run(run_id)
    params = {key: value for key, value in record.params.items() if key not in run.data.params}
    evaluation = candidate_of_workspace(record).evaluation
    note = run.data.tags.get(tag.NOTE) or description(record, evaluation)
    tags = {tag.RESULT: headline(record, evaluation), **record.tags, tag.NOTE: note}
    runs.log(client, run_id, params=params, tags=tags)
    if not runs.input_digests(run):
        runs.log_inputs(client, run_id, record.datasets)
    runs.log_files(client, run_id, record.artifacts)
    if record.snapshot:
        with tempfile.TemporaryDirectory() as folder:
            bundle = Path(folder) / BUNDLE
            write_bundle(root, record.pipeline.state, bundle)
            client.log_artifact(run_id, str(bundle))
    client.log_text(run_id, json.dumps(record.environment, indent=2), ENVIRONMENT)
    client.log_text(run_id, stages_text(record.pipeline), STAGES)


def _log_card(client: "MlflowClient", run_id: str, record: RunRecord) -> None:
    """Log what people read: the model card, and the same as one HTML file."""
    card = model_card(record, client.get_run(run_id).data.tags[tag.NOTE])
    client.log_text(run_id, card, CARD)
    client.log_text(run_id, report(card, record.workspace), REPORT)


def _log_metrics(
    client: "MlflowClient", run_id: str, record: RunRecord, model_id: str | None
) -> None:
    """Log the metrics that the run lacks; the final ones belong to the model, too."""
    run, time = client.get_run(run_id), record.origin.time
    final = [
        runs.Point(name, value, time, model_id=model_id)
        for name, value, _ in beside_baseline(record.metrics)
        if name not in run.data.metrics
    ]
    streamed = {
        (name, metric.step)
        for name in run.data.metrics
        for metric in client.get_metric_history(run_id, name)
    }
    steps = [
        runs.Point(name, value, time, step)
        for name, value, step in record.steps
        if (name, step) not in streamed
    ]
    runs.log(client, run_id, metrics=[*final, *steps])
