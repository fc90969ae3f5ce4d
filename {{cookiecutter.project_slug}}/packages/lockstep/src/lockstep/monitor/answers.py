"""The log of `lockstep serve --log` as a window: answers, with the true values that came later."""

from pathlib import Path

import pandas as pd

from lockstep.serve.records import ANSWERS, FEEDBACK

KEY = ["_request", "_row"]
ACTUAL = "actual"


def is_log(source: Path) -> bool:
    """Whether a folder is a log of predictions."""
    return (source / ANSWERS).is_dir()


def true_values(log: Path, target: str) -> pd.DataFrame:
    """The true values in a log, the newest for each row: the columns of `KEY`, and the target."""
    files = sorted((log / FEEDBACK).rglob("*.parquet"))
    if not files:
        return pd.DataFrame(columns=[*KEY, target])
    told = pd.concat([pd.read_parquet(file) for file in files]).sort_values("_time")
    newest = told.drop_duplicates(KEY, keep="last")
    return newest[[*KEY, ACTUAL]].rename(columns={ACTUAL: target})


def labelled(answers: pd.DataFrame, truths: pd.DataFrame) -> pd.DataFrame:
    """Answers of a log with their true values; missing where these are not known yet."""
    return answers.merge(truths, how="left", on=KEY, validate="many_to_one")
