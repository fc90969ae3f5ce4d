"""What was recorded about a state, compared with the results of running it again."""

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lockstep.dvc.lock import LockedStage
from lockstep.dvc.pipeline import Pipeline
from lockstep.files import packages_of
from lockstep.record.metrics import metrics_of

if TYPE_CHECKING:
    from mlflow.entities import Run

IDENTICAL, SAME_METRICS, DIFFERENT = "identical", "same metrics", "different"


@dataclass(frozen=True)
class Evidence:
    """What is known about a state.

    Attributes:
        stages: The stages upstream of the publishing one, in order, as dvc.lock records them.
        environment: Versions of packages and of Python, and the platform.
    """

    stages: Mapping[str, LockedStage]
    metrics: Mapping[str, float]
    environment: Mapping[str, str]


def evidence_of(pipeline: Pipeline) -> Evidence:
    """What a workspace holds now."""
    environment = {"platform": platform.platform(), **packages_of(pipeline.workspace)}
    return Evidence(pipeline.upstream, metrics_of(pipeline), environment)


def recorded_evidence(
    pipeline: Pipeline, run: "Run | None", environment: Mapping[str, str]
) -> Evidence:
    """What was recorded about a state.

    Args:
        pipeline: Of a workspace with the state's own dvc.lock.
        run: The state's run, whose metrics take precedence; None without one.
        environment: Its platform and the versions of its packages, as far as they are known.
    """
    shown = run.data.metrics if run else {}
    metrics = {name: shown.get(name, value) for name, value in metrics_of(pipeline).items()}
    metrics = metrics or dict(shown)  # without the metric files
    return Evidence(pipeline.upstream, metrics, {**packages_of(pipeline.workspace), **environment})


@dataclass(frozen=True)
class Row:
    """One item, as it was recorded and as it was reproduced; None if it is missing."""

    name: str
    recorded: str | float | None
    reproduced: str | float | None

    @property
    def same(self) -> bool:
        """Whether the two are the same; not-a-number is the same as itself."""
        one, other = self.recorded, self.reproduced
        if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
            return math.isnan(other)
        return one == other


class Reproduction:
    """A state as it was recorded, compared with the results of running it again.

    Attributes:
        outputs: The md5 of each output of the stages that ran again.
        environment: What differs in the environment.
    """

    def __init__(self, recorded: Evidence, reproduced: Evidence, stages: Sequence[str]) -> None:
        self._stages = [(name, _stage(recorded, name), _stage(reproduced, name)) for name in stages]
        self.outputs = [
            row for _, one, other in self._stages for row in _rows(one.outs, other.outs)
        ]
        self.metrics = _rows(recorded.metrics, reproduced.metrics)
        then, now = recorded.environment, reproduced.environment
        self.environment = [
            Row(key, then[key], now[key]) for key in then if key in now and then[key] != now[key]
        ]

    @property
    def verdict(self) -> str:
        """`identical` bit by bit, `same metrics`, or `different`."""
        if not all(row.same for row in self.metrics):
            return DIFFERENT
        if all(row.same for row in self.outputs):
            return IDENTICAL
        return SAME_METRICS if self.metrics else DIFFERENT

    def first_difference(self) -> str:
        """The first stage whose outputs differ, and which of its inputs do; empty if none does."""
        for name, recorded, reproduced in self._stages:
            if outputs := _different(recorded.outs, reproduced.outs):
                params = _different(_leaves(recorded.params), _leaves(reproduced.params))
                inputs = [*_different(recorded.deps, reproduced.deps), *params]
                why = f"it read a different {', '.join(inputs)}" if inputs else "it read the same"
                return f"the stage {name} made a different {', '.join(outputs)}; {why}"
        return ""


def _stage(evidence: Evidence, name: str) -> LockedStage:
    return evidence.stages.get(name, LockedStage(name, {}, {}, {}))


def _leaves(params: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    return {f"{file}: {key}": value for file, keys in params.items() for key, value in keys.items()}


def _different(one: Mapping[str, object], other: Mapping[str, object]) -> Sequence[str]:
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]


def _rows(one: Mapping[str, str | float], other: Mapping[str, str | float]) -> list[Row]:
    return [Row(name, one.get(name), other.get(name)) for name in {**one, **other}]
