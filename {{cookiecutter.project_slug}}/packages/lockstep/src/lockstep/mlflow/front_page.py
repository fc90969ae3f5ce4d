"""The page of an experiment in MLflow: its note, and a view of its runs with their results.

The view is one of those that MLflow's own button "Views" saves, a tag of the experiment: without
it, the table of runs shows neither metrics nor options. MLflow documents no other way
(https://github.com/mlflow/mlflow, `sharedViewState` in its front end).
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lockstep.mlflow import tag

if TYPE_CHECKING:
    from mlflow import MlflowClient

VIEW = "lockstep"  # its key in links
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
# Without it, MLflow's pages are those for traces of language models.
TRAINING = "workflowType=machine_learning"
CURVES = "/model-metrics"  # the tab with the metrics over time
SHOWN_METRICS, SHOWN_CHARTS = 2, 8  # MLflow adds the charts of others
TIMES = {"runDateAndNestInfo": 150, "duration": 90}  # columns that MLflow always has
OF_SWEEPS = ("trials.complete", "trials.pruned", "trials.fail")  # which only their pages show
PAIRED = ("loss", "score")  # curves of a training: train and validation are in one chart
SECTION = "metrics"  # of the charts
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
        metrics: Those with a chart, in order, the first ones with a column; none to keep the view.
    """
    tags = client.get_experiment(experiment_id).tags
    written = tags.get(tag.NOTE, "")
    if not written or written.startswith(OWN):
        _, rule, own = written.partition(RULE)
        _set(client, experiment_id, tags, tag.NOTE, note + rule + own)
    for shown in (metrics, metrics[:SHOWN_METRICS]) if metrics else ():
        if len(view := _view(shown)) <= tag.EXPERIMENT_TAG_LENGTH:
            _set(client, experiment_id, tags, VIEW_TAG, view)
            break


def _view(metrics: Sequence[str]) -> str:
    """The columns of the table, in order and as wide as what they hold; and the charts."""
    columns = {f"metrics.`{name}`": 8 * len(name) + 10 for name in metrics[:SHOWN_METRICS]}
    columns |= {"tags.`gate.verdict`": 105, "tags.`overrides`": 330}
    widths = {"0": 73, "attributes.`Run Name`": 270, **columns, **TIMES}
    charts = [_chart("BAR", name) for name in metrics[:SHOWN_CHARTS]]
    # MLflow gives each metric a separate chart, unless the user has deleted that one.
    for name in PAIRED:
        charts.append(_chart("LINE", f"train_{name}", f"validation_{name}"))
        charts.append(_chart("LINE", f"validation_{name}") | {"deleted": True})
    charts += [_chart("BAR", name) | {"deleted": True} for name in OF_SWEEPS]
    section = {"uuid": SECTION, "name": "Model metrics", "display": True, "isGenerated": True}
    state = {
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(columns),
        "columnOrder": list(widths),
        "columnWidths": widths,
        "compareRunCharts": charts,
        "compareRunSections": [section],
    }
    view = {"name": "Results", "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)}
    return json.dumps(view)


def _chart(kind: str, *metrics: str) -> dict[str, Any]:
    return {
        "uuid": "-".join(metrics),
        "type": kind,
        "metricSectionId": SECTION,
        "runsCountToCompare": 10,
        "deleted": False,
        "isGenerated": True,
        "displayName": " and ".join(metrics),
        "metricKey": metrics[0],
        **({"selectedMetricKeys": metrics} if kind == "LINE" else {}),
    }


def _set(
    client: "MlflowClient", experiment_id: str, tags: dict[str, str], key: str, value: str
) -> None:
    value = value[: tag.EXPERIMENT_TAG_LENGTH]
    if tags.get(key) != value:
        client.set_experiment_tag(experiment_id, key, value)
