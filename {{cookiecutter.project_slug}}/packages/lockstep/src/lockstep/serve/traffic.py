"""The answers of two versions to real requests, beside the true values that came later."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from lockstep import LockstepError
from lockstep.gate.comparison_process import Opponent
from lockstep.serve.places import Place
from lockstep.serve.settings import ANSWERS, FEEDBACK, PROBABILITY

ROW = ["_request", "_row"]
LEAST_LABELS = 30  # with fewer, a metric says nothing


def true_values(log: Place) -> pd.DataFrame:
    """The true values in a log, the newest for each row: the columns of `ROW`, and `actual`."""
    told = log.read(FEEDBACK).to_pandas()
    if told.empty:
        return pd.DataFrame(columns=[*ROW, "actual"])
    return told.sort_values("_time").drop_duplicates(ROW, keep="last")[[*ROW, "actual"]]


def evidence(
    log: Place, model: str, candidate: str, days: float | None
) -> Callable[[str, Path], tuple[Path, Opponent]]:
    """What the gate compares in place of predictions of test rows.

    Args:
        candidate: The number of the version that may become the champion.
        days: How far to look back; None for all answers.

    Returns:
        A function of the champion's number and a folder for files, which returns the answers of
        the candidate and of the champion: to the same rows if one was the other's shadow, else to
        rows of their own. It raises LockstepError if too few have true values.
    """

    def gather(champion: str, folder: Path) -> tuple[Path, Opponent]:
        truths = true_values(log)
        tables = [
            _labelled(log.read(ANSWERS, inputs=False, _model=model, _version=number), truths, days)
            for number in (candidate, champion)
        ]
        both = tables[0].index.intersection(tables[1].index)
        if paired := len(both) >= LEAST_LABELS:
            tables = [table.loc[both] for table in tables]
        counts = [len(table) for table in tables]
        if min(counts) < LEAST_LABELS:
            raise LockstepError(
                f"{counts[0]} answers of version {candidate} in the log and {counts[1]} of version "
                f"{champion} have true values, and {LEAST_LABELS} of each are needed: "
                "`uv run lockstep feedback FILE` adds some"
            )
        ours, theirs = folder / "candidate.parquet", folder / "champion.parquet"
        tables[0].to_parquet(ours, index=False)
        tables[1].to_parquet(theirs, index=False)
        shown = f"{counts[0]:,}" if paired else f"{counts[0]:,} and {counts[1]:,}"
        return ours, Opponent(champion, theirs, paired=paired, rows=f" on {shown} answers")

    return gather


def _labelled(answers: Any, truths: pd.DataFrame, days: float | None) -> pd.DataFrame:
    """The answers with a true value, as the project's scoring takes predictions."""
    table = answers.to_pandas()
    if table.empty:
        return table
    if days is not None:
        table = table[table["_time"] >= datetime.now(UTC) - timedelta(days=days)]
    table = table.drop_duplicates(ROW, keep="last").merge(truths, on=ROW).set_index(ROW)
    predicted = table["_prediction"]
    shares = [name for name in table if name.startswith(PROBABILITY)]
    return pd.DataFrame(
        {"actual": _as_predicted(table["actual"], predicted), "predicted": predicted}
        | {name.removeprefix("_"): table[name] for name in shares}
    ).dropna(axis="columns", how="all")


def _as_predicted(actual: "pd.Series[Any]", predicted: "pd.Series[Any]") -> "pd.Series[Any]":
    """True values with the type of the predictions."""
    try:
        same = actual.astype(predicted.dtype)
        if same.empty or (same == actual).all():
            return same
    except (ValueError, TypeError):
        pass
    raise LockstepError(
        f"the true values are {actual.dtype}, and the predictions {predicted.dtype}: give them as "
        "the model predicts them"
    )
