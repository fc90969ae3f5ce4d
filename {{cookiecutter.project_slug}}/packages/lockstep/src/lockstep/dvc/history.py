"""The pipeline of an earlier commit."""

from pathlib import Path

from lockstep.dvc.pipeline import Pipeline
from lockstep.dvc.sources import Commit


def pipeline_at(root: Path, revision: str) -> Pipeline:
    """What dvc.yaml and dvc.lock of a commit say.

    Raises:
        LockstepError: It has no dvc.yaml with stages.
    """
    return Pipeline(root, Commit(root, revision))
