"""Bootstrap intervals: how much a number measured on some rows varies by chance."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.intp]
Statistic = Callable[[Rows], Mapping[str, float]]

SEED = 0
MOST_ROWS = 5000  # of a resample; a thousand of them then take seconds
LEAST_DEFINED = 0.5  # the share of resamples in which a number must be defined


def intervals(
    statistic: Statistic, rows: int, *, confidence: float, resamples: int
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap intervals (Efron & Tibshirani, An Introduction to the Bootstrap, 1993).

    The interval of a difference between two models is paired, and therefore tighter, if the
    statistic measures both on the rows that it gets (chapter 8 there: resample the pairs).

    With more than `MOST_ROWS` rows, resamples of m out of n are drawn and their deviations from
    the estimate are shrunk by sqrt(m / n) (Bickel, Götze & van Zwet, Resampling fewer than n
    observations, Statistica Sinica 7, 1997).

    Args:
        statistic: Returns numbers by name for rows given by their positions, shape (m,), some of
            them more than once. It leaves out a number that these rows leave undefined.
        rows: The number of rows.
        confidence: The share of such intervals that cover the truth, between 0 and 1.
        resamples: The number to draw; with a thousand or more the ends are stable (chapter 13).

    Returns:
        The two ends by name, the same each time. A name is missing if the number is undefined
        on all rows or in half of the resamples.
    """
    estimates = statistic(np.arange(rows))
    size = min(rows, MOST_ROWS)
    random = np.random.default_rng(SEED)
    drawn = [statistic(random.integers(0, rows, size)) for _ in range(resamples)]
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    ends = {}
    for name, estimate in estimates.items():
        values = np.array([numbers[name] for numbers in drawn if name in numbers])
        if len(values) > LEAST_DEFINED * resamples:
            low, high = np.quantile(_shrunk(values, estimate, size / rows), tails)
            ends[name] = float(low), float(high)
    return ends


def difference(first: Statistic, second: Statistic) -> Statistic:
    """The difference of two models on the same rows: the first's numbers minus the second's."""

    def differ(rows: Rows) -> dict[str, float]:
        ours, others = first(rows), second(rows)
        return {name: ours[name] - others[name] for name in ours if name in others}

    return differ


def difference_apart(first: Statistic, second: Statistic, rows: int) -> Statistic:
    """The difference of two models on rows of their own, as chance assigned them.

    Args:
        rows: The number of the first one's rows; those of the second one follow.
    """

    def differ(drawn: Rows) -> dict[str, float]:
        ours, others = first(drawn[drawn < rows]), second(drawn[drawn >= rows] - rows)
        return {name: ours[name] - others[name] for name in ours if name in others}

    return differ


def _shrunk(values: npt.NDArray[Any], estimate: float, share: float) -> npt.NDArray[Any]:
    return values if share == 1 else estimate + np.sqrt(share) * (values - estimate)
