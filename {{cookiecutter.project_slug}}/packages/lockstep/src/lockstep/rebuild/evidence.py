"""What was recorded of a state beside what came out when it ran again."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lockstep.dvc.lock import LockedStage

IDENTICAL, SAME_METRICS, DIFFERENT = "identical", "same metrics", "different"


@dataclass(frozen=True)
class Evidence:
    """What is known of a state.

    Attributes:
        stages: Those upstream of the publishing one, in order, as dvc.lock has them.
        metrics: By name.
        environment: Versions of packages and of Python, and the platform.
    """

    stages: Mapping[str, LockedStage]
    metrics: Mapping[str, float]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Row:
    """One thing, as it was recorded and as it came out; None where there is none."""

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


class Comparison:
    """Two pieces of evidence of the same state."""

    def __init__(self, recorded: Evidence, reproduced: Evidence, stages: Sequence[str]) -> None:
        """Compare them.

        Args:
            recorded: What is to come out.
            reproduced: What came out.
            stages: The names of those that ran again, in order; only their outputs count.
        """
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

    def beginning(self) -> str:
        """Where the difference begins, and what the stage read otherwise; empty if nowhere."""
        for name, recorded, reproduced in self._stages:
            if changed := _different(recorded.outs, reproduced.outs):
                params = _different(_leaves(recorded.params), _leaves(reproduced.params))
                read = [*_different(recorded.deps, reproduced.deps), *params]
                why = f"it read otherwise: {', '.join(read)}" if read else "it read the same"
                return f"the stage {name} made {', '.join(changed)} otherwise; {why}"
        return ""


def _stage(evidence: Evidence, name: str) -> LockedStage:
    return evidence.stages.get(name, LockedStage(name, {}, {}, {}))


def _leaves(params: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    return {f"{file}: {key}": value for file, keys in params.items() for key, value in keys.items()}


def _different(one: Mapping[str, object], other: Mapping[str, object]) -> Sequence[str]:
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]


def _rows(one: Mapping[str, str | float], other: Mapping[str, str | float]) -> list[Row]:
    return [Row(name, one.get(name), other.get(name)) for name in {**one, **other}]
