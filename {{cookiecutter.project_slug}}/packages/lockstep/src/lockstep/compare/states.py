"""A state of the pipeline with its files, wherever they are kept."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep import LockstepError, git
from lockstep.dvc.cache import fetch_missing
from lockstep.gate.candidate import read_evaluation
from lockstep.lineage.target import Target
from lockstep.mlflow import runs
from lockstep.mlflow.uri import CHECK_ADDRESS
from lockstep.project import Project
from lockstep.record.metrics import metrics_in

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True)
class State:
    """A state of the pipeline, restored without running anything.

    Attributes:
        name: How it is called on the page.
        revision: The commit of its code.
        project: A project whose workspace is a copy of that commit.
        evaluation: Intervals and slices; empty if the state has none.
        predictions: The predictions of its test rows; None if they are not available.
        test: The md5 of the test rows, if the pipeline names them.
    """

    name: str
    revision: str
    project: Project
    metrics: dict[str, float]
    evaluation: dict[str, Any]
    predictions: Path | None
    test: str | None


@contextlib.contextmanager
def restored(target: Target, project: Project) -> Iterator[State]:
    """A state in a temporary folder.

    Raises:
        LockstepError: Its pipeline has not run.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        copy = Project(git.extract(project.root, target.revision, folder))
        pipeline = copy.pipeline
        if not pipeline.locked:
            raise LockstepError(f"{target.name} has no results: its commit has no dvc.lock")
        about = pipeline.about_model()
        found = {
            path: _file(path, copy, project, target.run, folder)
            for path in (
                *pipeline.metric_files(),
                about.get("evaluation"),
                about.get("predictions"),
            )
            if path
        }
        data = pipeline.data()
        # MLflow also has what was logged during training, which no predictions have.
        measured = metrics_in(file for path in pipeline.metric_files() if (file := found[path]))
        yield State(
            target.name,
            target.revision,
            copy,
            metrics=measured or (dict(target.run.data.metrics) if target.run else {}),
            evaluation=read_evaluation(found.get(about.get("evaluation", ""))),
            predictions=found.get(about.get("predictions", "")),
            test=data.get(about.get("test", ""), (None,))[0],
        )


def _file(
    path: str, copy: Project, project: Project, run: "Run | None", folder: Path
) -> Path | None:
    """A file of a state: from git, else among the artifacts of its run, else from DVC."""
    place = copy.workspace / path
    if place.exists():
        return place
    if run:
        with project.store.errors_explained(CHECK_ADDRESS):
            if artifact := runs.download(project.store.client(), run.info.run_id, path, folder):
                return artifact
    with contextlib.suppress(LockstepError):
        fetch_missing(project.root, copy.pipeline.outs_at(path), copy.workspace)
    return place if place.exists() else None
