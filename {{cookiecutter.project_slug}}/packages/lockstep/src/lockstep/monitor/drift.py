"""Which columns have moved further than chance and a practical limit allow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from lockstep.monitor.distribution import Array, Bins, Counts

DRAWS = 500  # windows that are drawn from the reference to see what chance does
USUAL = 0.95  # the quantile of chance that makes columns and measures comparable


@dataclass(frozen=True)
class Drift:
    """How far one column moved, by one measure.

    Attributes:
        limit: What neither chance nor the practical limit explains lies above it.
    """

    column: str
    measure: str
    value: float
    limit: float

    @property
    def exceeds(self) -> bool:
        """Whether the column moved further than its limit."""
        return self.value > self.limit


def drifts(
    bins: Mapping[str, Bins],
    reference: Mapping[str, Counts],
    current: Mapping[str, Counts],
    floor: Callable[[str, str], float],
    false_alarms: float,
    seed: int = 0,
) -> list[Drift]:
    """Compare the columns of a window with those of the reference.

    Fixed limits fail on small windows: without any drift, PSI exceeds 0.1 in most windows of 100
    rows. So windows and references of the same sizes are drawn from the reference's distribution.
    A limit is the quantile that the largest of all columns and measures exceeds in `false_alarms`
    of these draws, each in units of its own 95% quantile (Westfall & Young, Resampling-based
    multiple testing, 1993).

    Args:
        bins: The bins of each column.
        reference: The reference's counts, by column.
        current: The window's counts, by column.
        floor: The smallest value that matters, for a column and a measure.
        false_alarms: The share of windows without drift that may exceed any limit.

    Returns:
        A row for each column and measure, the one furthest beyond its limit first.
    """
    random = np.random.default_rng(seed)
    measured: dict[tuple[str, str], float] = {}
    by_chance: dict[tuple[str, str], Array] = {}
    for column, bin_ in bins.items():
        before, now = reference[column].astype(float), current[column].astype(float)
        for measure, value in bin_.distances(before, now).items():
            measured[column, measure] = float(value)
        shares = before / before.sum()
        drawn = (random.multinomial(int(size.sum()), shares, DRAWS) for size in (before, now))
        for measure, values in bin_.distances(*(counts.astype(float) for counts in drawn)).items():
            by_chance[column, measure] = values
    if not measured:
        return []
    usual = {key: float(np.quantile(values, USUAL)) for key, values in by_chance.items()}
    relative = [by_chance[key] / usual[key] for key in measured if usual[key] > 0]
    factor = float(np.quantile(np.max(relative, axis=0), 1 - false_alarms)) if relative else 1.0
    found = [
        Drift(*key, value, max(floor(*key), factor * usual[key])) for key, value in measured.items()
    ]
    return sorted(found, key=lambda drift: drift.limit - drift.value)
