"""What a published run recorded, read back from its artifacts; from its tags if it is older."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep.dvc.pipeline import Pipeline
from lockstep.mlflow import runs, tag
from lockstep.record.metrics import metrics_in
from lockstep.values import under

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ENVIRONMENT = "environment.json"
STAGES = "stages.json"


def environment_of(client: "MlflowClient", run: "Run") -> dict[str, str]:
    """The platform and the versions of the packages behind a run; empty if they are unknown."""
    recorded = dict(run.data.tags)
    with tempfile.TemporaryDirectory() as folder:
        if file := runs.download(client, run.info.run_id, ENVIRONMENT, Path(folder)):
            recorded |= json.loads(file.read_text(encoding="utf-8"))
    platform = {"platform": recorded[tag.PLATFORM]} if tag.PLATFORM in recorded else {}
    return platform | under(tag.PACKAGE_PREFIX, recorded)


def stages_text(pipeline: Pipeline) -> str:
    """What `stages_of` reads back."""
    stages = pipeline.upstream.values()
    found = {stage.name: {"deps": stage.deps, "outs": stage.outs} for stage in stages}
    return json.dumps(found, indent=2)


def stages_of(client: "MlflowClient", run: "Run") -> dict[str, Any]:
    """What each stage behind a run read and wrote: `deps` and `outs`, md5s by path."""
    if old := under(tag.STAGE_PREFIX, run.data.tags):
        return {name: json.loads(text) for name, text in old.items()}
    with tempfile.TemporaryDirectory() as folder:
        file = runs.download(client, run.info.run_id, STAGES, Path(folder))
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file else {}
    return found


def metrics_with_baseline(
    client: "MlflowClient", run: "Run", pipeline: Pipeline, folder: Path
) -> dict[str, float]:
    """The metrics of a run and of the baseline, as its metric files hold them.

    What MLflow has besides them was logged during training: no predictions have such a metric. A
    run without these files has only MLflow's.

    Args:
        pipeline: Knows where the metric files are.
        folder: To download them to.
    """
    files = [
        file
        for path in pipeline.metric_files()
        if (file := runs.download(client, run.info.run_id, path, folder))
    ]
    return metrics_in(files) or dict(run.data.metrics)
