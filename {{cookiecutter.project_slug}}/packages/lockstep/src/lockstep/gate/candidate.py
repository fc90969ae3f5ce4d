"""A model to be judged, from the workspace or from its run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep.dvc.pipeline import Pipeline
from lockstep.files import file_digest
from lockstep.record.run_record import RunRecord, digests_of
from lockstep.workspace import PARAMS

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Candidate:
    """A model to judge.

    Attributes:
        metrics: Of its run.
        evaluation: The pipeline's file of intervals and slices; empty where it writes none.
        predictions: The file of what the model says of the test rows, or None.
        params: The params.yaml that it was made with.
        test: The path and md5 of the test rows, or None where the pipeline names none.
        workspace: Where the pipeline is.
    """

    metrics: dict[str, float]
    evaluation: dict[str, Any]
    predictions: Path | None
    params: Path
    test: tuple[str, str] | None
    workspace: Path

    def test_rows(self) -> Path:
        """The file of test rows: that of the workspace if it is the same, else from DVC."""
        assert self.test is not None
        path, md5 = self.test
        local = self.workspace / path
        if local.is_file() and file_digest(local) == md5:
            return local
        from lockstep.mlflow.data_source import DVCDatasetSource

        return Path(DVCDatasetSource(path, md5).load())


def candidate_of_workspace(record: RunRecord) -> Candidate:
    """The model that the workspace holds."""
    about = record.pipeline.about_model()
    files = {role: record.workspace / path for role, path in about.items()}
    data = record.pipeline.data()
    test = about.get("test")
    return Candidate(
        metrics=record.metrics,
        evaluation=_read(files.get("evaluation")),
        predictions=_existing(files.get("predictions")),
        params=record.workspace / PARAMS,
        test=(test, data[test][0]) if test in data else None,
        workspace=record.workspace,
    )


def candidate_of_run(
    client: "MlflowClient", run_id: str, pipeline: Pipeline, folder: Path
) -> Candidate:
    """The model of a run, at the paths that the pipeline now has.

    Args:
        client: Of the store.
        run_id: The run's id.
        pipeline: Of the workspace.
        folder: Where to put the run's files.
    """
    about = pipeline.about_model()
    run = client.get_run(run_id)
    test = about.get("test")
    digests = digests_of(run)
    return Candidate(
        metrics=run.data.metrics,
        evaluation=_read(fetched(client, run_id, about.get("evaluation"), folder)),
        predictions=fetched(client, run_id, about.get("predictions"), folder),
        params=fetched(client, run_id, PARAMS, folder) or pipeline.workspace / PARAMS,
        test=(test, digests[test]) if test in digests else None,
        workspace=pipeline.workspace,
    )


def fetched(client: "MlflowClient", run_id: str, path: str | None, folder: Path) -> Path | None:
    """A file of a run; None if it has none."""
    from mlflow.exceptions import MlflowException

    if path is None:
        return None
    target = folder / run_id
    target.mkdir(exist_ok=True)
    try:
        return Path(client.download_artifacts(run_id, path, str(target)))
    except (MlflowException, OSError):
        return None


def _read(path: Path | None) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if path and path.exists():
        content = json.loads(path.read_text(encoding="utf-8"))
    return content


def _existing(path: Path | None) -> Path | None:
    return path if path and path.exists() else None
