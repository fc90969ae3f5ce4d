"""A model to be judged, from the workspace or from its run."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep.dvc.cache import fetch
from lockstep.dvc.pipeline import Pipeline
from lockstep.files import file_digest
from lockstep.gate.rules import Comparison, Rules, Verdict, judge
from lockstep.mlflow import runs, tag
from lockstep.record.published import metrics_with_baseline
from lockstep.record.run_record import RunRecord
from lockstep.workspace import PARAMS

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


@dataclass(frozen=True)
class Candidate:
    """A model to judge.

    Attributes:
        evaluation: The content of the file of intervals and slices; empty if there is none.
        predictions: The file of the model's predictions for the test rows, or None.
        params: The params.yaml that it was made with.
        test: The path and md5 of the test rows, or None if the pipeline names none.
        warnings: Those of the pipeline's stages.
    """

    metrics: dict[str, float]
    evaluation: dict[str, Any]
    predictions: Path | None
    params: Path
    test: tuple[str, str] | None
    workspace: Path
    warnings: Sequence[str] = ()

    def judged(self, comparison: Comparison | None, rules: Rules) -> Verdict:
        """What the gate says, after a comparison with the champion if there is one."""
        return judge(self.metrics, self.evaluation, comparison, rules, self.warnings)

    def test_rows(self, folder: Path) -> Path:
        """The file of test rows: the workspace's own if unchanged, else a copy from DVC."""
        assert self.test is not None
        path, md5 = self.test
        local = self.workspace / path
        if local.is_file() and file_digest(local) == md5:
            return local
        target = folder / local.name
        fetch(self.workspace, md5, target)
        return target


def candidate_of_workspace(record: RunRecord) -> Candidate:
    """The model that a workspace holds."""
    about = record.pipeline.about_model()
    evaluation, predictions = (
        record.workspace / about[role] if role in about else None
        for role in ("evaluation", "predictions")
    )
    data = record.pipeline.data()
    test = about.get("test")
    return Candidate(
        metrics=record.metrics,
        evaluation=read_evaluation(evaluation),
        predictions=predictions if predictions and predictions.exists() else None,
        params=record.workspace / PARAMS,
        test=(test, data[test][0]) if test in data else None,
        workspace=record.workspace,
        warnings=record.warnings,
    )


def candidate_of_run(
    client: "MlflowClient", run: "Run", pipeline: Pipeline, folder: Path
) -> Candidate:
    """The model of a run, whose files are at the paths that the pipeline has now."""
    about = pipeline.about_model()
    evaluation, predictions, params = (
        runs.download(client, run.info.run_id, path, folder) if path else None
        for path in (about.get("evaluation"), about.get("predictions"), PARAMS)
    )
    test = about.get("test")
    digests = runs.input_digests(run)
    return Candidate(
        metrics=metrics_with_baseline(client, run, pipeline, folder),
        evaluation=read_evaluation(evaluation),
        predictions=predictions,
        params=params or pipeline.workspace / PARAMS,
        test=(test, digests[test]) if test in digests else None,
        workspace=pipeline.workspace,
        warnings=run.data.tags.get(tag.WARNINGS, "").splitlines(),
    )


def read_evaluation(path: Path | None) -> dict[str, Any]:
    """The content of the file of intervals and slices; empty if there is none."""
    content: dict[str, Any] = {}
    if path and path.exists():
        content = json.loads(path.read_text(encoding="utf-8"))
    return content
