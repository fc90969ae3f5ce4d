"""Everything that is found about a window, as plain values that are kept as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Literal

import pandas as pd

from lockstep import LockstepError
from lockstep.monitor.distribution import Bins, bins_of
from lockstep.monitor.drift import Drift, drifts
from lockstep.monitor.performance import findings, performance
from lockstep.monitor.quality import Finding, quality
from lockstep.monitor.reference import Reference
from lockstep.monitor.settings import Settings
from lockstep.monitor.shift import domain_auc
from lockstep.monitor.window import Window
from lockstep.values import first_line, number

Verdict = Literal["fine", "warning", "alarm"]
Result = dict[str, Any]
PREDICTED = "predicted"  # the column of a table of predictions
PREDICTION, CLASSIFIER = "(prediction)", "(all columns)"  # subjects beside the columns
SURE = 2.6  # standard errors; by chance, one window in a hundred is beyond them


class Monitor:
    """Judges windows against one reference."""

    def __init__(self, reference: Reference, settings: Settings) -> None:
        self.reference = reference
        self.settings = settings
        rows = reference.rows
        bins = {str(name): bins_of(rows[name]) for name in rows}
        self.bins: dict[str, Bins] = {name: column for name, column in bins.items() if column}
        self.counts = {name: column.count(rows[name]) for name, column in self.bins.items()}
        predicted = reference.predictions[PREDICTED]
        self._predicted = bins_of(predicted)
        if self._predicted:
            self.counts[PREDICTION] = self._predicted.count(predicted)

    @property
    def kinds(self) -> pd.DataFrame:
        """An empty table with the columns and kinds of the reference."""
        return self.reference.tested[:0]

    def judge(self, window: Window) -> Result:
        """All checks of a window.

        Raises:
            LockstepError: It has too few rows.
        """
        settings = self.settings
        if window.rows < settings.least_rows:
            raise LockstepError(
                f"{window.rows} rows are too few to judge: monitor.least_rows is "
                f"{settings.least_rows}"
            )
        target = self.reference.target
        valid = {name: column for name, column in self.bins.items() if name != target}
        found = list(quality(window, self.counts, valid, settings))
        predictions, measured = None, []
        try:
            predictions = self.reference.predict(window.sample)
        except Exception as error:  # of the model, or of the project's code: any
            text = f"the model refuses these rows: {first_line(error)}"
            found.append(Finding("quality", PREDICTION, text))
        else:
            measured = performance(self.reference, predictions, window.sample, settings.confidence)
        moved = self._drifts(window, predictions)
        found += [_of_drift(drift) for drift in _furthest(moved)]
        area, deviation = self._classifier(window)
        if area - SURE * deviation > 0.5 + settings.classifier:
            text = f"a classifier tells the window from the training data: ROC AUC {number(area)}"
            found.append(Finding("drift", CLASSIFIER, text))
        found += findings(measured, self.reference, settings)
        return {
            "version": self.reference.number,
            "run": self.reference.run_id,
            "rows": window.rows,
            "checked": datetime.now(UTC).isoformat(timespec="seconds"),
            "findings": [item._asdict() for item in found],
            "performance": [asdict(item) for item in measured],
            "classifier": {"roc_auc": area, "error": deviation},
            "drift": [asdict(drift) for drift in moved],
        }

    def _drifts(self, window: Window, predictions: pd.DataFrame | None) -> list[Drift]:
        """How far each column moved, and the predictions."""
        ignored = {*self.settings.ignore, *(set(self.bins) - set(window.columns))}
        bins = {name: column for name, column in self.bins.items() if name not in ignored}
        now = dict(window.counts)
        if self._predicted and predictions is not None:
            bins[PREDICTION] = self._predicted
            now[PREDICTION] = self._predicted.count(predictions[PREDICTED])
        return drifts(bins, self.counts, now, self.settings.floor, self.settings.false_alarms)

    def _classifier(self, window: Window) -> tuple[float, float]:
        """How well a classifier tells the window's features from the reference's."""
        ignored = {self.reference.target, *self.settings.ignore}
        names = [n for n in self.bins if n not in ignored and n in window.columns]
        if not names:
            return 0.5, 0.0
        return domain_auc(self.reference.rows[names], window.sample[names])


def verdict(result: Result, earlier: Sequence[Result], settings: Settings) -> Verdict:
    """What the newest window means, given those before it.

    Invalid data are an alarm at once. Drift and worse performance are one if enough of the newest
    windows show them; a single one is a warning.

    Args:
        earlier: The results before it, the oldest first.
    """
    kinds = {item["kind"] for item in result["findings"]}
    if "quality" in kinds:
        return "alarm"
    if not kinds:
        return "fine"
    newest = [*earlier, result][-settings.of :]
    unusual = sum(bool(item["findings"]) for item in newest)
    return "alarm" if unusual >= settings.windows else "warning"


def _furthest(moved: Sequence[Drift]) -> list[Drift]:
    """For each column that moved, the measure by which it moved furthest beyond its limit."""
    furthest: dict[str, Drift] = {}
    for drift in moved:  # the furthest first
        if drift.exceeds:
            furthest.setdefault(drift.column, drift)
    return list(furthest.values())


def _of_drift(drift: Drift) -> Finding:
    measure = drift.measure.replace("_", "-")
    text = f"{measure} {number(drift.value)}, limit {number(drift.limit)}"
    return Finding("drift", drift.column, text)
