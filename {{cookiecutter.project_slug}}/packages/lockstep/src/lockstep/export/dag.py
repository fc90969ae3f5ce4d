"""The tasks of a DAG: one cycle of monitoring and retraining, or the stages of the pipeline."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from lockstep import LockstepError
from lockstep.dvc.command import dvc_beside


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        after: The names of the tasks that come before it.
    """

    name: str
    command: str
    after: list[str] = field(default_factory=list)


def cycle(windows: str | None) -> list[Task]:
    """Judge new data, then train again if there is a reason.

    Args:
        windows: The folder of windows that `lockstep monitor` judges; None for none.
    """
    retrain = "uv run lockstep retrain --push"
    if windows is None:
        return [Task("retrain", retrain)]
    judge = f"uv run lockstep monitor {windows} --each --exit-zero"
    return [Task("monitor", judge), Task("retrain", retrain, ["monitor"])]


def stages(root: Path) -> list[Task]:
    """A task for each stage of dvc.yaml, after those that it depends on.

    Raises:
        LockstepError: DVC cannot read the pipeline.
    """
    with dvc_beside("dag", "--dot", cwd=root) as printed:
        graph = printed()
    names = re.findall(r'^\s*"([^"]+)";', graph, re.MULTILINE)
    edges = re.findall(r'"([^"]+)"\s*->\s*"([^"]+)"', graph)
    names = sorted({*names, *(name for edge in edges for name in edge)})
    made = [name for name in names if not name.endswith(".dvc")]
    if not made:
        raise LockstepError("`uv run dvc dag` shows no stages: fix dvc.yaml")
    return [
        Task(
            _plain(name),
            f"uv run dvc repro --single-item {name}",
            [_plain(before) for before, after in edges if after == name and before in made],
        )
        for name in made
    ]


def _plain(name: str) -> str:
    """A name without what orchestrators refuse in those of tasks."""
    return re.sub(r"[^\w-]", "_", name)
