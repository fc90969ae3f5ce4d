"""The pipeline of an earlier commit."""

from pathlib import Path
from typing import Any

from lockstep import git
from lockstep.dvc.pipeline import Pipeline
from lockstep.files import parse_yaml


def pipeline_at(root: Path, revision: str) -> Pipeline:
    """What dvc.yaml and dvc.lock of a commit say.

    Raises:
        LockstepError: It has no dvc.yaml with stages.
    """
    place = f"{revision}:{git.prefix(root)}"

    def read(name: str) -> Any:
        return parse_yaml(git.git("show", f"{place}{name}", cwd=root) or "", name)

    return Pipeline(root, read)
