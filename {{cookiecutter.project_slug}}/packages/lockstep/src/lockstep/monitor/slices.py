"""The deciding metric in the slices of a window that the pipeline's evaluation knows, too."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from lockstep.intervals import intervals
from lockstep.monitor.performance import RESAMPLES, Performance
from lockstep.serve.traffic import LEAST_LABELS

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from lockstep.monitor.reference import Reference


def by_slice(
    reference: "Reference", predictions: "pd.DataFrame", rows: "pd.DataFrame", confidence: float
) -> list[Performance]:
    """The deciding metric for each value of the columns whose slices the evaluation has.

    Slices with few labels are left out. Among many, one would often seem worse by chance, so both
    sides have intervals, which are wider the more slices there are (Bonferroni).

    Args:
        predictions: The model's for the rows.
        rows: With the columns of the reference's test rows; a label may be missing.
    """
    parts = list(_parts(reference, rows))
    metric, level = reference.metrics[0], 1 - (1 - confidence) / max(len(parts), 1)
    found = []
    for where, before, now in parts:
        sides = []
        for table, places in ((reference.predictions, before), (predictions, now)):
            measure = reference.measure(table.iloc[places].reset_index(drop=True), [metric])
            ends = intervals(measure, len(places), confidence=level, resamples=RESAMPLES)
            sides.append((measure(np.arange(len(places))).get(metric), ends.get(metric)))
        (value, ends_before), (current, ends_now) = sides
        if value is not None and ends_before and ends_now:
            found.append(
                Performance(metric, value, current, ends_now, where=where, chance=ends_before)
            )
    return found


def _parts(
    reference: "Reference", rows: "pd.DataFrame"
) -> "Iterator[tuple[str, npt.NDArray[Any], npt.NDArray[Any]]]":
    """Each slice: its name, and where its rows are among the tested ones and in the window."""
    if reference.target is None:
        return
    known = rows[reference.target].notna().to_numpy()
    for column in reference.slices:
        if column not in rows or column not in reference.tested:
            continue
        before, now = (
            table[column].astype("str").where(table[column].notna(), "missing").to_numpy()
            for table in (reference.tested, rows)
        )
        for value in np.unique(before):
            places = np.flatnonzero(before == value), np.flatnonzero(known & (now == value))
            if min(map(len, places)) >= LEAST_LABELS:
                yield f"{column} = {value}", *places
