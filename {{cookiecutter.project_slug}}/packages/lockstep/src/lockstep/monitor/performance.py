"""How well the model does in a window: measured where labels are known, else estimated."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lockstep.intervals import intervals
from lockstep.monitor.quality import Finding
from lockstep.monitor.reference import TARGET, Reference
from lockstep.monitor.settings import Settings
from lockstep.monitor.shift import PROBABILITY, possible_classes, possible_numbers
from lockstep.serve.traffic import LEAST_LABELS
from lockstep.values import number

DRAWS = 10  # labels that each row may have, behind an estimate
RESAMPLES = 200
CHECKS = 10  # windows that are drawn from the test rows, to measure the error of an estimate


@dataclass(frozen=True)
class Performance:
    """A metric of the model; None for what is not known.

    Attributes:
        before: On the test rows of the model's run.
        now: In the window, on the rows whose label is known, with its interval.
        estimated: In the window, on all rows, without their labels.
        error: The mean error of such estimates, measured on test rows.
        where: The slice that it is about; empty for all rows.
        chance: The interval of `before`, where that was measured on few rows.
    """

    metric: str
    before: float
    now: float | None = None
    interval: tuple[float, float] | None = None
    estimated: float | None = None
    error: float | None = None
    where: str = ""
    chance: tuple[float, float] | None = None


def performance(
    reference: Reference, predictions: pd.DataFrame, rows: pd.DataFrame, confidence: float
) -> list[Performance]:
    """The metrics of a window.

    Args:
        predictions: The model's for the rows.
        rows: With the columns of the reference's test rows; a label may be missing.
    """
    labelled = predictions[rows[reference.target].notna().to_numpy()] if reference.target else []
    now, ends = {}, {}
    if len(labelled) >= LEAST_LABELS:
        measure = reference.measure(labelled)
        now = measure(np.arange(len(labelled)))
        ends = intervals(measure, len(labelled), confidence=confidence, resamples=RESAMPLES)
    estimate, error = _estimates(reference, predictions, rows)
    return [
        Performance(
            metric,
            value,
            now.get(metric),
            ends.get(metric),
            estimate.get(metric),
            error.get(metric),
        )
        for metric, value in reference.measured.items()
    ]


def findings(
    measured: list[Performance], reference: Reference, settings: Settings
) -> Iterator[Finding]:
    """The metrics that became worse than is accepted, by more than chance explains."""
    for item in measured:
        sign = 1 if reference.directions.get(item.metric) == "minimize" else -1
        if item.interval:
            value, words = item.now, ""
            befores = item.chance or (item.before,)
            loss = min(sign * (end - before) for end in item.interval for before in befores)
        elif item.estimated is not None:
            value, words = item.estimated, "estimated at "
            loss = sign * (item.estimated - item.before) - 2 * (item.error or 0.0)
        else:
            continue
        if loss > settings.worse * abs(item.before):
            text = f"{words}{number(value)}, {number(item.before)} on the test rows"
            subject = f"{item.metric}, {item.where}" if item.where else item.metric
            yield Finding("performance", subject, text)


def _estimates(
    reference: Reference, predictions: pd.DataFrame, rows: pd.DataFrame
) -> tuple[dict[str, float], dict[str, float]]:
    """Metrics without labels, and the mean error of such estimates.

    The error is measured on one half of the test rows, with estimates from the other half.
    """
    tested, tested_rows = reference.predictions, reference.tested
    possible = _possible(reference, tested, tested_rows, predictions, rows)
    if not possible:
        return {}, {}
    everything = np.arange(len(predictions))
    estimate = _mean([reference.measure(table)(everything) for table in possible])
    held = tested[1::2].reset_index(drop=True)
    guesses = [
        reference.measure(table)
        for table in _possible(reference, tested[::2], tested_rows[::2], held, tested_rows[1::2])
    ]
    truth, random = reference.measure(held), np.random.default_rng(0)
    errors = []
    for _ in range(CHECKS):
        drawn = random.integers(0, len(held), min(len(predictions), len(held)))
        guessed, real = _mean([guess(drawn) for guess in guesses]), truth(drawn)
        errors.append({name: abs(guessed[name] - real[name]) for name in guessed if name in real})
    return estimate, _mean(errors)


def _possible(
    reference: Reference,
    tested: pd.DataFrame,
    tested_rows: pd.DataFrame,
    predictions: pd.DataFrame,
    rows: pd.DataFrame,
) -> list[pd.DataFrame]:
    """Tables of predictions with labels that they may have; none for a model without a method."""
    if any(name.startswith(PROBABILITY) for name in tested):
        drawn = possible_classes(tested, predictions, DRAWS)
    elif pd.api.types.is_float_dtype(tested[TARGET]):
        features = [name for name in tested_rows if name != reference.target]
        drawn = possible_numbers(tested, tested_rows[features], predictions, rows[features], DRAWS)
    else:
        return []
    return [predictions.assign(**{TARGET: labels}) for labels in drawn]


def _mean(measured: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each metric, where all have it."""
    names = set.intersection(*(set(item) for item in measured))
    return {name: float(np.mean([item[name] for item in measured])) for name in sorted(names)}
