"""The config group `monitor`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from lockstep import LockstepError


@dataclass(frozen=True)
class Settings:
    """When a window counts as unusual, and when that is an alarm.

    Attributes:
        least_rows: A window with fewer rows is not judged.
        ignore: Columns whose distribution may move.
        false_alarms: The share of windows without any drift in which a column may exceed its limit.
        floors: The smallest drift that matters, by measure.
        columns: The same for single columns: column -> measure -> value.
        classifier: By how much the area under the curve of the domain classifier may exceed 0.5.
        missing: The share of values that may be missing in addition to the reference's.
        unseen: The same for categories that the reference does not have.
        invalid: The share of values that may be of another kind, or far out of range.
        worse: By how much a metric may be worse, as a share of its value on the test rows.
        confidence: The level of the intervals.
        windows: Drift and performance are an alarm in this many of the newest `of` windows.
        of: See `windows`.
    """

    least_rows: int = 200
    ignore: list[str] = field(default_factory=list)
    false_alarms: float = 0.01
    floors: Mapping[str, float] = field(
        default_factory=lambda: {"psi": 0.1, "wasserstein": 0.1, "jensen_shannon": 0.1}
    )
    columns: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    classifier: float = 0.05
    missing: float = 0.05
    unseen: float = 0.01
    invalid: float = 0.001
    worse: float = 0.1
    confidence: float = 0.95
    windows: int = 2
    of: int = 3

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> "Settings":
        """The settings in the config; what it leaves out has its default.

        Raises:
            LockstepError: A key is unknown.
        """
        known = {item.name for item in fields(cls)}
        if unknown := sorted(set(config) - known):
            raise LockstepError(
                f"conf/monitor sets {', '.join(unknown)}, which is not a setting\n"
                f"there are {', '.join(sorted(known))}"
            )
        return cls(**config)

    def floor(self, column: str, measure: str) -> float:
        """The smallest drift of a column that matters."""
        return self.columns.get(column, {}).get(measure, self.floors.get(measure, 0.0))
