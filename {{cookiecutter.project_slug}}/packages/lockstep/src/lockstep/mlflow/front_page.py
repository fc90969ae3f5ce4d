"""The page of an experiment in MLflow: its note, and a view of its runs with their results.

The view is one of those that MLflow's own button "Views" saves, a tag of the experiment: without
it, the table of runs shows neither metrics nor options. MLflow documents no other way
(https://github.com/mlflow/mlflow, `sharedViewState` in its front end).
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lockstep.mlflow import tag

if TYPE_CHECKING:
    from mlflow import MlflowClient

VIEW = "lockstep"  # its key in links
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
# Without it, MLflow's pages are those for traces of language models.
TRAINING = "workflowType=machine_learning"
CURVES = "/model-metrics"  # the tab with the metrics over time
OWN = "**Champion**"  # starts a note that may be replaced; what follows the rule is the user's
RULE = "\n\n---\n"


def run_path(experiment_id: str, run_id: str, tab: str = "") -> str:
    """The path of a run's page, or of one of its tabs."""
    return f"/#/experiments/{experiment_id}/runs/{run_id}{tab}?{TRAINING}"


def runs_path(experiment_id: str) -> str:
    """The path of the table of runs with their results."""
    return f"/#/experiments/{experiment_id}/runs?{TRAINING}&viewStateShareKey={VIEW}"


def version_path(name: str, number: str) -> str:
    """The path of the page of a model's version."""
    return f"/#/models/{name}/versions/{number}?{TRAINING}"


def show_experiment(
    client: "MlflowClient", experiment_id: str, note: str, metrics: Sequence[str]
) -> None:
    """Write the note of an experiment, and its view of the runs; a note of the user's stays.

    Args:
        note: Markdown; its first line starts with `OWN`.
        metrics: Those with a column in the table, in order; none to keep the columns.
    """
    tags = client.get_experiment(experiment_id).tags
    written = tags.get(tag.NOTE, "")
    if not written or written.startswith(OWN):
        _, rule, own = written.partition(RULE)
        _set(client, experiment_id, tags, tag.NOTE, note + rule + own)
    if metrics:
        _set(client, experiment_id, tags, VIEW_TAG, _view(metrics))


def _view(metrics: Sequence[str]) -> str:
    columns = [f"metrics.`{name}`" for name in metrics]
    columns += ["tags.`gate.verdict`", "tags.`overrides`"]
    state = {
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
    }
    view = {"name": "Results", "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)}
    return json.dumps(view)


def _set(
    client: "MlflowClient", experiment_id: str, tags: dict[str, str], key: str, value: str
) -> None:
    value = value[: tag.EXPERIMENT_TAG_LENGTH]
    if tags.get(key) != value:
        client.set_experiment_tag(experiment_id, key, value)
