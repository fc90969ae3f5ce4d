"""Compare a model with the champion on the same test rows, in a separate process.

The project's scoring imports libraries that the process with MLflow does not need, such as
scikit-learn. Predictions are compared, so no model is loaded if both were tested on the same data.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lockstep import LockstepError
from lockstep.config.components import estimators_of
from lockstep.gate.candidate import Candidate
from lockstep.gate.rules import Comparison, Rules, deciding_metric
from lockstep.intervals import Statistic, difference, difference_apart, intervals
from lockstep.mlflow.load import load_any
from lockstep.record.metrics import beside_baseline
from lockstep.values import first_line

Scorer = Callable[[pd.DataFrame, list[str]], Statistic]


@dataclass(frozen=True)
class Opponent:
    """The champion, as files.

    Attributes:
        predictions: What it predicts for the candidate's test rows; None if that is not known.
        model: The folder of its MLflow model, to predict with if predictions are missing.
        test: The test rows to predict then.
        from_own_store: Whether the model comes from a store that is this project's alone.
        rescored: Whether it was originally tested on other data.
        paired: Whether its predictions are for the same rows as the candidate's.
        rows: Which rows these are, if they are not the test rows: ` on 120 answers`.
    """

    version: str
    predictions: Path | None = None
    model: Path | None = None
    test: Path | None = None
    from_own_store: bool = False
    rescored: bool = False
    paired: bool = True
    rows: str = ""


def compare(scoring: str, candidate: Candidate, opponent: Opponent, rules: Rules) -> Comparison:
    """Measure the champion, and by how much the model differs from it.

    Args:
        scoring: The project's module, with `scorer(predictions, names)` and, for a champion that
            was tested on other data, `predict(model, test, cfg)`.
        candidate: It has predictions.

    Returns:
        The comparison, or the problem that prevented it.
    """
    try:
        return _compared(scoring, candidate, opponent, rules)
    except (Exception, SystemExit) as error:  # the project's code, or the model's, may raise any
        kind = "" if isinstance(error, LockstepError) else f"{type(error).__name__}: "
        return Comparison(opponent.version, problem=f"{kind}{first_line(error)}")


def _compared(scoring: str, candidate: Candidate, opponent: Opponent, rules: Rules) -> Comparison:
    project = importlib.import_module(scoring)
    metric, _ = deciding_metric(candidate.metrics, candidate.evaluation, rules)
    names = [name for name, _, _ in beside_baseline(candidate.metrics)]
    ours = pd.read_parquet(candidate.predictions)
    theirs = _predictions(project, candidate, opponent)
    wanted = [metric] if metric else []
    compared = paired_differences if opponent.paired else differences_apart
    differences = compared(project.scorer, ours, theirs, wanted, rules)
    if metric not in differences:
        raise LockstepError(f"{metric} is undefined for one of the models, or in most resamples")
    differ, interval = differences[metric]
    everything = pd.RangeIndex(len(theirs)).to_numpy()
    return Comparison(
        opponent.version,
        metrics=project.scorer(theirs, names)(everything),
        difference=differ,
        interval=interval,
        rescored=opponent.rescored,
        rows=opponent.rows,
    )


def paired_differences(
    scorer: Scorer, ours: pd.DataFrame, theirs: pd.DataFrame, names: list[str], rules: Rules
) -> dict[str, tuple[float, tuple[float, float]]]:
    """By how much the metrics of two models differ on the same rows, each with its interval.

    Args:
        scorer: The project's.
        ours: The predictions of the first model; the result is its metrics minus the other's.

    Returns:
        Without a metric that is undefined for one of the models, or in most resamples.

    Raises:
        LockstepError: They are predictions of different rows.
    """
    if not np.array_equal(ours["actual"], theirs["actual"]):
        raise LockstepError("the predictions of the two models are for different rows")
    differ = difference(scorer(ours, names), scorer(theirs, names))
    return _with_intervals(differ, len(ours), rules)


def differences_apart(
    scorer: Scorer, ours: pd.DataFrame, theirs: pd.DataFrame, names: list[str], rules: Rules
) -> dict[str, tuple[float, tuple[float, float]]]:
    """The same as `paired_differences` for two models that predicted for rows of their own."""
    differ = difference_apart(scorer(ours, names), scorer(theirs, names), len(ours))
    return _with_intervals(differ, len(ours) + len(theirs), rules)


def _with_intervals(
    differ: Statistic, rows: int, rules: Rules
) -> dict[str, tuple[float, tuple[float, float]]]:
    ends = intervals(differ, rows, confidence=rules.confidence, resamples=rules.resamples)
    estimates = differ(pd.RangeIndex(rows).to_numpy())
    return {name: (estimates[name], interval) for name, interval in ends.items()}


def _predictions(project: Any, candidate: Candidate, opponent: Opponent) -> pd.DataFrame:
    """The champion's predictions of the candidate's test rows."""
    if opponent.predictions:
        return pd.read_parquet(opponent.predictions)
    assert opponent.model
    from omegaconf import OmegaConf

    trusted = None if opponent.from_own_store else estimators_of(Path.cwd())
    model = load_any(opponent.model, trusted)
    table: pd.DataFrame = project.predict(model, opponent.test, OmegaConf.load(candidate.params))
    return table
