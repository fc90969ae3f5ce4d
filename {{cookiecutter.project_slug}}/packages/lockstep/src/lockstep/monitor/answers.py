"""The log of `lockstep serve --log` as a window: answers, with the true values that came later."""

from pathlib import Path

import pandas as pd

from lockstep.serve import traffic
from lockstep.serve.places import place_of
from lockstep.serve.settings import ANSWERS


def log_of(source: Path) -> Path | None:
    """The log of predictions that a folder is, or is a day of; None if there is none."""
    if (source / ANSWERS).is_dir():
        return source
    return source.parent.parent if source.is_dir() and source.parent.name == ANSWERS else None


def true_values(log: Path, target: str) -> pd.DataFrame:
    """The true values in a log, the newest for each row: the columns of a row, and the target."""
    return traffic.true_values(place_of(str(log))).rename(columns={"actual": target})


def labelled(answers: pd.DataFrame, truths: pd.DataFrame) -> pd.DataFrame:
    """Answers of a log with their true values; missing where these are not known yet."""
    return answers.merge(truths, how="left", on=traffic.ROW, validate="many_to_one")
