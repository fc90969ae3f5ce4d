"""Bootstrap intervals: they have the stated coverage, and use that rows are paired."""

from typing import Any

import numpy as np
import pytest

from lockstep.intervals import difference, intervals


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    random, covered = np.random.default_rng(0), 0
    for _ in range(100):
        hits = random.random(150) < 0.8
        mean = {"accuracy": lambda rows, hits=hits: float(hits[rows].mean())}["accuracy"]
        low, high = intervals(
            lambda rows, mean=mean: {"accuracy": mean(rows)},  # type: ignore[misc]
            150,
            confidence=0.9,
            resamples=200,
        )["accuracy"]
        covered += low <= 0.8 <= high
    assert 80 <= covered <= 97, covered


def test_the_interval_of_many_rows_is_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(0).normal(size=100_000)
    low, high = intervals(
        lambda rows: {"mean": float(values[rows].mean())}, 100_000, confidence=0.95, resamples=500
    )["mean"]
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(100_000), rel=0.15)


def test_a_paired_interval_is_tighter_than_the_two_models_apart() -> None:
    random = np.random.default_rng(0)
    hard = random.random(300) < 0.3  # rows that both get wrong
    lucky = random.random(300) < 0.02
    first = lambda rows: {"accuracy": float((~hard[rows] | lucky[rows]).mean())}  # noqa: E731
    second = lambda rows: {"accuracy": float((~hard[rows]).mean())}  # noqa: E731
    (alone,) = intervals(first, 300, confidence=0.95, resamples=300).values()
    (paired,) = intervals(difference(first, second), 300, confidence=0.95, resamples=300).values()
    assert paired[1] - paired[0] < (alone[1] - alone[0]) / 2


def test_a_number_that_few_resamples_define_gets_no_interval() -> None:
    def rare(rows: Any) -> dict[str, float]:
        return {"always": 1.0} | ({"rare": 1.0} if (rows == 0).sum() == 1 else {})

    assert set(intervals(rare, 40, confidence=0.95, resamples=100)) == {"always"}
