"""The runs of a project as rows of a table."""

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep import LockstepError
from lockstep.gate.candidate import read_evaluation
from lockstep.gate.comparison import rules_of
from lockstep.gate.rules import Rules, deciding_metric
from lockstep.mlflow import runs, tag
from lockstep.mlflow.registry import versions_by_run
from lockstep.mlflow.uri import CHECK_ADDRESS
from lockstep.project import Project
from lockstep.record.provenance import SEPARATOR
from lockstep.values import nearest

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

DOWNLOADS = 8  # at the same time
OVERRIDE = re.compile(r"(?:^|\s)[+~]*([^\s=+~]+)=")  # its key, in Hydra's syntax
FILTER_ADVICE = (
    "filters are written as in MLflow: \"metrics.accuracy > 0.9 and params.`split.seed` = '42'\"\n"
    "https://mlflow.org/docs/latest/ml/search/search-runs/"
)


@dataclass(frozen=True)
class Row:
    """One run.

    Attributes:
        time: When it was published, in milliseconds since 1970.
        evaluation: Intervals and slices of its metrics; empty if the run has none.
        version: The number of its registered version; None without one.
    """

    id: str
    name: str
    time: int
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    evaluation: dict[str, Any]
    version: str | None = None
    aliases: list[str] = field(default_factory=list)

    @property
    def model(self) -> str:
        """The model as the run's name has it, else the class that its params name."""
        model, separator, _ = self.name.rpartition(SEPARATOR)
        return model if separator else self.params.get("model._target_", "").rpartition(".")[2]

    @property
    def label(self) -> str:
        """The rest of the name."""
        return self.name.rpartition(SEPARATOR)[2]

    @property
    def overridden(self) -> dict[str, str]:
        """The params that overrides of the config set."""
        named = OVERRIDE.findall(self.tags.get(tag.OVERRIDES, ""))
        return {key: self.params[key] for key in named if key in self.params}

    def interval(self, metric: str | None) -> tuple[float, float] | None:
        """The interval of a metric that the run itself measured."""
        ends = self.evaluation.get("metrics", {}).get(metric, {}).get("interval")
        return (ends[0], ends[1]) if ends else None


@dataclass(frozen=True)
class Listing:
    """Runs, and the metric to compare them by.

    Attributes:
        direction: `maximize`, `minimize`, or None if it is unknown.
    """

    rows: list[Row]
    metric: str | None = None
    direction: str | None = None


def list_runs(project: Project, sort: str, condition: str | None, limit: int) -> Listing:
    """The finished runs of the project's experiment, except for sweeps.

    Args:
        sort: `newest`, `name`, `best` (by the deciding metric), or a metric.
        condition: A filter in MLflow's syntax.
    """
    store = project.store
    if not store.exists():
        return Listing([])
    with (
        store.errors_explained(FILTER_ADVICE if condition else CHECK_ADDRESS),
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
    ):
        client = store.client()
        experiment_id = store.find_experiment_id(client)
        newest = (
            next(runs.finished(client, experiment_id, limit=1), None) if experiment_id else None
        )
        if experiment_id is None or newest is None:
            return Listing([])
        read = _reader(client, project, Path(folder))
        measured = read(newest)
        rules = rules_of(project.registry) or Rules()
        metric, direction = deciding_metric(newest.data.metrics, measured, rules)
        if sort not in ("newest", "name"):
            metric = metric if sort == "best" else sort
            if metric not in (known := newest.data.metrics):
                raise LockstepError(f"the newest run has no metric {sort!r}{nearest(sort, known)}")
            direction = measured.get("metrics", {}).get(metric, {}).get("direction", direction)
        order = _order(sort, metric, direction)
        found = runs.finished(client, experiment_id, condition=condition, order=order, limit=limit)
        return Listing(list(_rows(client, project, list(found), read)), metric, direction)


def _order(sort: str, metric: str | None, direction: str | None) -> list[str]:
    if sort == "newest":
        return []
    if sort == "name":
        return ["attributes.run_name"]
    return [f"metrics.`{metric}` {'ASC' if direction == 'minimize' else 'DESC'}"]


def _rows(
    client: "MlflowClient",
    project: Project,
    found: "Sequence[Run]",
    read: Callable[["Run"], dict[str, Any]],
) -> Iterator[Row]:
    name = project.registry.get("name")
    versions = versions_by_run(client, name) if name else {}
    with ThreadPoolExecutor(DOWNLOADS) as executor:
        for run, evaluation in zip(found, executor.map(read, found), strict=True):
            version, aliases = versions.get(run.info.run_id, (None, []))
            yield Row(
                id=run.info.run_id,
                name=run.info.run_name or "",
                time=run.info.end_time or run.info.start_time,
                params={k: v for k, v in run.data.params.items() if not k.startswith("registry.")},
                metrics=dict(run.data.metrics),
                tags=dict(run.data.tags),
                evaluation=evaluation,
                version=version,
                aliases=aliases,
            )


def _reader(
    client: "MlflowClient", project: Project, folder: Path
) -> Callable[["Run"], dict[str, Any]]:
    """A function that reads the file of intervals and slices among a run's artifacts."""
    path = project.pipeline.about_model().get("evaluation")

    def read(run: "Run") -> dict[str, Any]:
        return read_evaluation(
            runs.download(client, run.info.run_id, path, folder) if path else None
        )

    return read


def differing(rows: Sequence[Row]) -> list[dict[str, str]]:
    """The params in which runs differ, by row.

    The params of an option or a class, such as a model, are compared among the runs that use the
    same one: the option, or the `_target_`, says that others use another. Of params that always
    have the same value, as `model.random_state` follows `split.seed`, the first is kept.
    """
    values: dict[Any, set[str | None]] = {}
    keys = dict.fromkeys(key for row in rows for key in row.params)
    for key in keys:
        for row in rows:
            values.setdefault((key, _component(row, key)), set()).add(row.params.get(key))
    result: list[dict[str, str]] = [{} for _ in rows]
    for key in sorted(keys, key=lambda key: sum(key in row.params for row in rows), reverse=True):
        at = [
            (differs, row.params[key])
            for row, differs in zip(rows, result, strict=True)
            if key in row.params and len(values[key, _component(row, key)]) > 1
        ]
        if not any(all(differs.get(other) == value for differs, value in at) for other in keys):
            for differs, value in at:
                differs[key] = value
    return result


def special(rows: Sequence[Row], differing: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """What sets each run apart: the params that differ, but for the values that most runs have.

    What a run's overrides set is kept, unless all runs have it.
    """
    counts = Counter(item for row in differing for item in row.items())
    shared = [set(row.params.items()) for row in rows]
    everywhere = set.intersection(*shared) if len(rows) > 1 else set()
    return [
        {k: v for k, v in differs.items() if counts[k, v] <= len(rows) / 2}
        | {k: v for k, v in row.overridden.items() if (k, v) not in everywhere}
        for row, differs in zip(rows, differing, strict=True)
    ]


def _component(row: Row, key: str) -> tuple[str | None, str | None]:
    """The option of a param's config group, and the class that the section around it builds."""
    option = row.params.get(key.partition(".")[0]) if "." in key else None
    section = key.removesuffix("._target_").rpartition(".")[0]
    while section:
        if target := row.params.get(f"{section}._target_"):
            return option, target
        section = section.rpartition(".")[0]
    return option, None
