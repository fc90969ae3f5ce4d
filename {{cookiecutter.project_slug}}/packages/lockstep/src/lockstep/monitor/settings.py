"""The config group `monitor`."""

from collections.abc import Mapping
from dataclasses import dataclass


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

    least_rows: int
    ignore: list[str]
    false_alarms: float
    floors: Mapping[str, float]
    columns: Mapping[str, Mapping[str, float]]
    classifier: float
    missing: float
    unseen: float
    invalid: float
    worse: float
    confidence: float
    windows: int
    of: int

    def floor(self, column: str, measure: str) -> float:
        """The smallest drift of a column that matters."""
        return self.columns.get(column, {}).get(measure, self.floors.get(measure, 0.0))
