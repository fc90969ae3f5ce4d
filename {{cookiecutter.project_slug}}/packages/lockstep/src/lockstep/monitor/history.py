"""The results of a version's windows, in one run of a separate MLflow experiment.

The run has a step for each window: MLflow's charts show each metric over the windows.
"""

import json
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lockstep.mlflow import runs, tag
from lockstep.mlflow.front_page import CURVES, run_path
from lockstep.mlflow.keys import key_of
from lockstep.mlflow.runs import Point
from lockstep.monitor.reference import Reference
from lockstep.monitor.report import report
from lockstep.monitor.result import Result

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from lockstep.project import Project

FOLDER = "windows"  # among the run's artifacts
FILE = re.compile(rf"{FOLDER}/(\d+)-([0-9a-f]+)\.json")
PAGE = "report.html"
MOST = 24  # windows on the page
DIGEST = 12  # characters of a window's identity in the name of its file


class History:
    """The windows of one version that were judged.

    Attributes:
        name: The registered model's.
        store: The experiment `<name>-monitoring`.
    """

    def __init__(self, client: "MlflowClient", project: "Project", reference: Reference) -> None:
        self.store = project.store.beside("monitoring")
        self.name = project.model_name
        self._client = client
        self._reference = reference
        self.experiment_id = self.store.experiment_id(client)
        self.run_id = self._run_id(f"{project.model_name} v{reference.number}")
        listed = client.list_artifacts(self.run_id, FOLDER)
        matches = sorted(filter(None, (FILE.fullmatch(item.path) for item in listed)), key=_step)
        self._steps = {match[2]: _step(match) for match in matches}

    @property
    def page(self) -> str:
        """The path of the run's page in the MLflow UI."""
        return run_path(self.experiment_id, self.run_id, CURVES)

    def find(self, identity: str) -> Result | None:
        """The result of a window that was judged before; None if there is none."""
        step = self._steps.get(identity[:DIGEST])
        return None if step is None else self._read(step, identity[:DIGEST])

    def newest(self, count: int) -> list[Result]:
        """The newest results, the oldest of them first."""
        kept = list(self._steps.items())[-count:]
        return [self._read(step, identity) for identity, step in kept]

    def add(self, identity: str, result: Result) -> None:
        """Add the newest window, and write the page about it."""
        step = 1 + max(self._steps.values(), default=0)
        now = int(time.time() * 1000)
        points = [Point(name, value, now, step) for name, value in metrics_of(result)]
        kinds = sorted({item["kind"] for item in result["findings"]})
        tags = {tag.MONITOR_VERDICT: result["verdict"], tag.MONITOR_KINDS: " ".join(kinds)}
        runs.log(self._client, self.run_id, metrics=points, tags=tags)
        verdict = (tag.MONITOR_VERDICT, str(result["verdict"]))
        self._client.set_model_version_tag(self.name, self._reference.number, *verdict)
        self._steps[identity[:DIGEST]] = step
        # The file comes last: a window whose metrics were logged, but not its file, is repeated.
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{step:05}-{identity[:DIGEST]}.json"
            file.write_text(json.dumps(result, indent=2), encoding="utf-8")
            runs.log_files(self._client, self.run_id, [(file, FOLDER)])
            newest = Path(folder) / PAGE
            newest.write_text(report(self.name, self.newest(MOST)), encoding="utf-8")
            runs.log_files(self._client, self.run_id, [(newest, None)])

    def _run_id(self, name: str) -> str:
        if found := _run_of(self._client, self.experiment_id, self._reference.run_id):
            return str(found.info.run_id)
        tags = {tag.MONITORED: self._reference.run_id}
        run = self._client.create_run(self.experiment_id, tags=tags, run_name=name)
        self._client.set_terminated(run.info.run_id)  # nothing runs between two windows
        return str(run.info.run_id)

    def _read(self, step: int, identity: str) -> Result:
        with tempfile.TemporaryDirectory() as folder:
            path = f"{FOLDER}/{step:05}-{identity}.json"
            file = self._client.download_artifacts(self.run_id, path, folder)
            result: Result = json.loads(Path(file).read_text(encoding="utf-8"))
            return result


class Newest(NamedTuple):
    """The newest window of a version: its verdict, and the kinds of what was found in it."""

    verdict: str
    kinds: list[str]


def newest_window(client: "MlflowClient", project: "Project", model_run: str) -> Newest | None:
    """The newest window of a version; None if there is none.

    Args:
        model_run: The id of the version's run.
    """
    experiment_id = project.store.beside("monitoring").find_experiment_id(client)
    run = _run_of(client, experiment_id, model_run) if experiment_id else None
    if run is None or tag.MONITOR_VERDICT not in run.data.tags:
        return None
    kinds = run.data.tags.get(tag.MONITOR_KINDS, "").split()
    return Newest(run.data.tags[tag.MONITOR_VERDICT], kinds)


def _run_of(client: "MlflowClient", experiment_id: str, model_run: str) -> "Run | None":
    query = f"tags.`{tag.MONITORED}` = {runs.quoted(model_run)}"
    return next(runs.search(client, experiment_id, query), None)


def _step(match: "re.Match[str]") -> int:
    return int(match[1])


def metrics_of(result: Result) -> Iterator[tuple[str, float]]:
    """A window's numbers as metrics of the run."""
    yield "rows", float(result["rows"])
    yield "findings", float(len(result["findings"]))
    yield "drift.roc_auc", result["classifier"]["roc_auc"]
    for drift in result["drift"]:
        yield key_of(f"drift.{drift['measure']}.{drift['column']}"), drift["value"]
    for item in result["performance"]:
        for kind in ("now", "estimated"):
            if item[kind] is not None:
                yield key_of(f"{kind}.{item['metric']}"), item[kind]
