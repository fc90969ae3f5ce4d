"""What a published run recorded, read back from its artifacts; from its tags if it is older."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep import LockstepError
from lockstep.dvc.pipeline import Pipeline
from lockstep.files import read_yaml
from lockstep.mlflow import runs, tag
from lockstep.record.metrics import metrics_in
from lockstep.values import under
from lockstep.workspace import DVC_LOCK, DVC_YAML

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ENVIRONMENT = "environment.json"


def environment_of(client: "MlflowClient", run: "Run") -> dict[str, str]:
    """The platform and the versions of the packages behind a run; empty if they are unknown."""
    recorded = dict(run.data.tags)
    with tempfile.TemporaryDirectory() as folder:
        if file := runs.download(client, run.info.run_id, ENVIRONMENT, Path(folder)):
            recorded |= json.loads(file.read_text(encoding="utf-8"))
    platform = {"platform": recorded[tag.PLATFORM]} if tag.PLATFORM in recorded else {}
    return platform | under(tag.PACKAGE_PREFIX, recorded)


def stages_of(client: "MlflowClient", run: "Run") -> dict[str, Any]:
    """What each stage behind a run read and wrote: `deps` and `outs`, md5s by path."""
    if old := under(tag.STAGE_PREFIX, run.data.tags):
        return {name: json.loads(text) for name, text in old.items()}
    with tempfile.TemporaryDirectory() as folder:
        files = {
            name: runs.download(client, run.info.run_id, name, Path(folder))
            for name in (DVC_YAML, DVC_LOCK)
        }
        content = {name: read_yaml(file) for name, file in files.items() if file}
    try:
        pipeline = Pipeline(Path(folder), content.get)
        return {
            stage.name: {"deps": stage.deps, "outs": stage.outs}
            for stage in pipeline.upstream.values()
        }
    except LockstepError:  # it was not made by a pipeline
        return {}


def metrics_with_baseline(
    client: "MlflowClient", run: "Run", pipeline: Pipeline, folder: Path
) -> dict[str, float]:
    """The metrics of a run, with those of the baseline, which only its metric files hold.

    Args:
        pipeline: Knows where the metric files are.
        folder: To download them to.
    """
    files = [
        file
        for path in pipeline.metric_files()
        if (file := runs.download(client, run.info.run_id, path, folder))
    ]
    return {**metrics_in(files), **run.data.metrics}
