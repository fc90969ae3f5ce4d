"""The metrics of a run, from the files that dvc.yaml lists as metrics."""

import json
from collections.abc import Iterable
from pathlib import Path

from lockstep.dvc.pipeline import Pipeline
from lockstep.dvc.values import read_values
from lockstep.mlflow.keys import keyed
from lockstep.values import leaves

BASELINE_PREFIX = "baseline."  # the prefix of the metrics of a trivial model


def metrics_of(pipeline: Pipeline) -> dict[str, float]:
    """The numbers in the metric files of a workspace, by dotted keys."""
    return metrics_in(pipeline.workspace / path for path in pipeline.metric_files())


def metrics_in(files: Iterable[Path]) -> dict[str, float]:
    """The numbers in metric files, by dotted keys.

    Raises:
        LockstepError: Two of them would have the same name in MLflow.
    """
    numbers = (
        (f"{json.dumps(path, ensure_ascii=False)} in {file.name}", ".".join(path), float(value))
        for file in files
        for path, value in leaves(read_values(file))
        if isinstance(value, int | float)
    )
    return keyed("metrics", numbers)


def beside_baseline(metrics: dict[str, float]) -> list[tuple[str, float, float | None]]:
    """The name of each metric of the model, its value and the baseline's; None if that is unknown.

    The baseline's own metrics are left out.
    """
    return [
        (name, value, metrics.get(BASELINE_PREFIX + name))
        for name, value in metrics.items()
        if not name.startswith(BASELINE_PREFIX)
    ]
