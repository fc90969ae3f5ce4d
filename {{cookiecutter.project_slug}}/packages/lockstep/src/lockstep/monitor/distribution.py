"""The distribution of a column as counts in bins.

The reference fixes the bins. Counts of batches add up, so a table of any size is counted in the
memory of one batch.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

FINE, COARSE = 100, 10  # bins of a column of numbers: for Wasserstein's distance, and for PSI
MOST_VALUES = 50  # categories with a bin of their own; the others share one

Counts = npt.NDArray[np.int64]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Numbers:
    """The bins of a column of numbers; the last bin counts missing values.

    Attributes:
        edges: Quantiles of the reference, increasing, shape (bins - 1,).
        centers: The reference's mean in each bin, in its standard deviations, shape (bins,).
        bounds: The range of the reference, widened by itself on either side.
    """

    edges: Array
    centers: Array
    bounds: tuple[float, float]

    @classmethod
    def of(cls, values: "pd.Series[Any]") -> "Numbers":
        """The bins for a reference."""
        numbers = values.dropna().to_numpy(np.float64)
        if not len(numbers):
            return cls(np.empty(0), np.zeros(1), (-np.inf, np.inf))
        edges = np.unique(np.quantile(numbers, np.linspace(0, 1, FINE + 1)[1:-1]))
        bins = np.searchsorted(edges, numbers, side="left")
        sizes = np.bincount(bins, minlength=len(edges) + 1)
        means = np.bincount(bins, numbers, len(edges) + 1) / np.maximum(sizes, 1)
        scale = float(numbers.std()) or 1.0
        # An empty bin, which only a current value can be in, is as far out as the one before it.
        centers = np.maximum.accumulate(np.where(sizes, means, -np.inf)) / scale
        low, high = float(numbers.min()), float(numbers.max())
        return cls(edges, centers, (2 * low - high, 2 * high - low))

    def count(self, values: "pd.Series[Any]") -> Counts:
        """The number of values in each bin, shape (bins + 1,)."""
        numbers = values.to_numpy(np.float64, na_value=np.nan)
        missing = np.isnan(numbers)
        bins = np.searchsorted(self.edges, numbers[~missing], side="left")
        return np.append(np.bincount(bins, minlength=len(self.edges) + 1), missing.sum())

    def beyond(self, values: "pd.Series[Any]") -> int:
        """How many values lie outside the bounds."""
        low, high = self.bounds
        return int(((values < low) | (values > high)).sum())

    def distances(self, reference: Array, current: Array) -> dict[str, Array]:
        """`psi` and `wasserstein` between counts, shape (..., bins + 1).

        Wasserstein's distance is in standard deviations of the reference. It cannot exceed the
        reference's range: values beyond count as its largest or smallest ones.
        """
        values = reference[..., :-1], current[..., :-1]
        apart = np.cumsum(_shares(values[1]) - _shares(values[0]), axis=-1)[..., :-1]
        return {
            "psi": psi(self._coarse(reference), self._coarse(current)),
            "wasserstein": np.abs(apart) @ np.diff(self.centers),
        }

    def shown(self, counts: Array) -> dict[str, float]:
        """The shares of about ten bins, each by its lower end, and of missing values."""
        ends = [f"≥ {self.edges[start - 1]:.3g}" if start else "lowest" for start in self._starts]
        return dict(zip([*ends, "missing"], _shares(self._coarse(counts)).tolist(), strict=True))

    @property
    def _starts(self) -> Counts:
        bins = len(self.centers)
        return np.arange(0, bins, max(1, bins // COARSE))

    def _coarse(self, counts: Array) -> Array:
        """About `COARSE` bins and that of the missing values."""
        sums = np.add.reduceat(counts[..., :-1], self._starts, axis=-1)
        return np.concatenate([sums, counts[..., -1:]], axis=-1)


@dataclass(frozen=True)
class Categories:
    """The bins of a column of categories; the last two count other and missing values.

    Attributes:
        values: The most frequent values of the reference, which have a bin each.
    """

    values: Sequence[Hashable]

    @classmethod
    def of(cls, values: "pd.Series[Any]") -> "Categories":
        """The bins for a reference."""
        return cls(tuple(values.dropna().astype(str).value_counts().index[:MOST_VALUES]))

    def count(self, values: "pd.Series[Any]") -> Counts:
        """The number of values in each bin, shape (values + 2,)."""
        present = values.dropna().astype(str)
        bins = pd.Index(self.values).get_indexer(pd.Index(present))
        bins = np.where(bins < 0, len(self.values), bins)
        missing = len(values) - len(present)
        return np.append(np.bincount(bins, minlength=len(self.values) + 1), missing)

    def distances(self, reference: Array, current: Array) -> dict[str, Array]:
        """`psi` and `jensen_shannon` between counts, shape (..., values + 2)."""
        return {
            "psi": psi(reference, current),
            "jensen_shannon": jensen_shannon(reference, current),
        }

    def shown(self, counts: Array) -> dict[str, float]:
        """The shares of the most frequent values, and of other and missing ones."""
        shares = _shares(counts).tolist()
        named = dict(zip(map(str, self.values[:COARSE]), shares, strict=False))
        rest = sum(shares[len(named) : -1])
        return {**named, "others": rest, "missing": shares[-1]}


Bins = Numbers | Categories


def bins_of(values: "pd.Series[Any]") -> Bins | None:
    """The bins for a reference's column; None for dates, which move by their nature."""
    if pd.api.types.is_datetime64_any_dtype(values):
        return None
    is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    return Numbers.of(values) if is_number else Categories.of(values)


def psi(reference: Array, current: Array) -> Array:
    """The population stability index between counts, shape (..., bins).

    Half a row is added to each bin, which keeps empty bins finite (Yurdakul, Statistical properties
    of the population stability index, 2018).
    """
    before, now = _shares(reference + 0.5), _shares(current + 0.5)
    stability: Array = np.sum((now - before) * np.log(now / before), axis=-1)
    return stability


def jensen_shannon(reference: Array, current: Array) -> Array:
    """The Jensen-Shannon distance between counts, shape (..., bins): from 0 to 1, disjoint."""
    before, now = _shares(reference), _shares(current)
    middle = (before + now) / 2
    divergence = (_relative_entropy(before, middle) + _relative_entropy(now, middle)) / 2
    distance: Array = np.sqrt(np.maximum(divergence, 0.0))
    return distance


def _relative_entropy(shares: Array, others: Array) -> Array:
    """In bits; a bin without a share adds nothing."""
    ratio = np.divide(shares, others, out=np.ones_like(shares), where=shares > 0)
    entropy: Array = np.sum(shares * np.log2(ratio), axis=-1)
    return entropy


def _shares(counts: Array) -> Array:
    shares: Array = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    return shares
