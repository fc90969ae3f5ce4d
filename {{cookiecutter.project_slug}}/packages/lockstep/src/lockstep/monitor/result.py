"""Everything that is found about a window, as plain values that are kept as JSON."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from lockstep import LockstepError
from lockstep.files import tree_digest
from lockstep.monitor.distribution import Bins, bins_of
from lockstep.monitor.drift import Drift, drifts
from lockstep.monitor.performance import findings, performance
from lockstep.monitor.quality import Finding, broken_rules, quality
from lockstep.monitor.reference import Reference
from lockstep.monitor.settings import Settings
from lockstep.monitor.shift import domain_auc
from lockstep.monitor.slices import by_slice
from lockstep.monitor.window import Window, read_window
from lockstep.serve.traffic import LEAST_LABELS
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
        found = self.invalid(window)
        predictions, measured, slices = None, [], []
        try:
            predictions = self.reference.predict(window.sample)
        except Exception as error:  # of the model, or of the project's code: any
            text = f"the model refuses these rows: {first_line(error)}"
            found.append(Finding("quality", PREDICTION, text))
        else:
            about = (self.reference, predictions, window.sample, settings.confidence)
            measured, slices = performance(*about), by_slice(*about)
        moved, shares = self._drifts(window, predictions)
        found += [_of_drift(drift) for drift in _furthest(moved)]
        area, deviation = self._classifier(window)
        if area - SURE * deviation > 0.5 + settings.classifier:
            text = f"a classifier tells the window from the training data: ROC AUC {number(area)}"
            found.append(Finding("drift", CLASSIFIER, text))
        found += findings([*measured, *slices], self.reference, settings)
        return {
            "version": self.reference.number,
            "run": self.reference.run_id,
            "rows": window.rows,
            "checked": datetime.now(UTC).isoformat(timespec="seconds"),
            "findings": [item._asdict() for item in found],
            "performance": [asdict(item) for item in measured],
            "slices": [asdict(item) for item in slices],
            "classifier": {"roc_auc": area, "error": deviation},
            "drift": [asdict(drift) for drift in moved],
            "shares": {drift.column: shares(drift.column) for drift in _furthest(moved)},
        }

    def invalid(self, window: Window) -> list[Finding]:
        """The columns whose values are invalid; at most one finding by schema.yaml and others."""
        found = list(broken_rules(window, self._problems(window.sample), self.settings))
        known = {item.subject for item in found}
        features = {k: column for k, column in self.bins.items() if k != self.reference.target}
        others = quality(window, self.counts, features, self.settings)
        return [*found, *(item for item in others if item.subject not in known)]

    @property
    def rules(self) -> str:
        """The identity of the project's rules for its data."""
        file = getattr(self.reference.incoming, "SCHEMA", None)
        return tree_digest(file) if file else ""

    def read(self, source: Path, newest: int | None = None) -> Window:
        """A file, or a folder of files, as a window; raw files are read as the project does.

        Args:
            newest: The number of rows to take, the last ones; None for all.

        Raises:
            LockstepError: There are no data, or they cannot be read.
        """
        about = self.reference
        read = (lambda file: about.incoming.read(file, about.config)) if about.incoming else None
        return read_window(source, self.bins, about.tested[:0], read, about.target, newest)

    def _problems(self, rows: pd.DataFrame) -> Mapping[str, Mapping[str, int]]:
        """How many rows break the project's rules."""
        about = self.reference
        return about.incoming.problems(rows, about.config) if about.incoming else {}

    def _drifts(
        self, window: Window, predictions: pd.DataFrame | None
    ) -> tuple[list[Drift], Callable[[str], dict[str, Any]]]:
        """How far each column moved, and the predictions; and a column's shares, for people."""
        ignored = {*self.settings.ignore, *(set(self.bins) - set(window.columns))}
        bins = {name: column for name, column in self.bins.items() if name not in ignored}
        now = dict(window.counts)
        if (target := self.reference.target) in bins:
            now[target] = known = now[target].copy()
            known[-1] = 0  # labels that are late are no drift
            if known.sum() < LEAST_LABELS:
                del bins[target]
        if self._predicted and predictions is not None:
            bins[PREDICTION] = self._predicted
            now[PREDICTION] = self._predicted.count(predictions[PREDICTED])

        def shares(column: str) -> dict[str, Any]:
            before = bins[column].shown(self.counts[column].astype(float))
            return {
                "bins": list(before),
                "before": list(before.values()),
                "now": list(bins[column].shown(now[column].astype(float)).values()),
            }

        floor, false_alarms = self.settings.floor, self.settings.false_alarms
        return drifts(bins, self.counts, now, floor, false_alarms), shares

    def _classifier(self, window: Window) -> tuple[float, float]:
        """How well a classifier tells the window's features from the reference's."""
        ignored = {self.reference.target, *self.settings.ignore}
        names = [n for n in self.bins if n not in ignored and n in window.columns]
        if not names:
            return 0.5, 0.0
        return domain_auc(self.reference.rows[names], window.sample[names])


def verdict(result: Result, earlier: Sequence[Result], settings: Settings) -> Verdict:
    """What the newest window means, given those before it.

    Invalid data are an alarm at once, and say nothing of the world. Drift and worse performance are
    an alarm if enough of the newest windows show them; a single one is a warning.

    Args:
        earlier: The results before it, the oldest first.
    """
    newest = [{item["kind"] for item in one["findings"]} for one in (*earlier, result)]
    if "quality" in newest[-1]:
        return "alarm"
    if not newest[-1]:
        return "fine"
    unusual = sum(bool(kinds) and "quality" not in kinds for kinds in newest[-settings.of :])
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
