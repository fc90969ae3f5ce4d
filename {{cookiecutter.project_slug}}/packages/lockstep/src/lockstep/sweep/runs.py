"""A sweep in MLflow: a run for the sweep, and a child of it for each trial.

They show what the storage of the sweep holds, as `publish` shows what DVC holds: repeated, or
after a server was down, the result is the same.
"""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep import LockstepError
from lockstep.mlflow import runs, tag
from lockstep.mlflow.front_page import run_path
from lockstep.mlflow.runs import DataInput, Point
from lockstep.project import Project
from lockstep.record.provenance import Origin
from lockstep.sweep.plan import Plan
from lockstep.sweep.study import (
    ERROR,
    LOST,
    OVERRIDES,
    PARENT,
    TrialLog,
    storage_errors_explained,
)
from lockstep.sweep.summary import description, records, value_of, write_trials
from lockstep.values import first_line

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from optuna.study import Study
    from optuna.trial import FrozenTrial

# MLflow's status for each of Optuna's states in which a trial ends.
STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}
UPDATE_SECONDS = 1.0  # for one update, so that the table stays current
RETRY_SECONDS = 30.0  # before a store that failed is tried again
NAME_LENGTH = 250
TAG_LENGTH = 5000
METRICS_AT_ONCE = 990  # MLflow takes 1000; https://mlflow.org/docs/latest/rest-api.html


class SweepRuns:
    """The runs of a sweep; the study remembers the sweep's own one.

    Attributes:
        trouble: Why MLflow does not show the trials, if it does not.
    """

    def __init__(self, plan: Plan, study: "Study", log: TrialLog, project: Project) -> None:
        self._plan = plan
        self._study = study
        self._log = log
        self._project = project
        self._client: MlflowClient | None = None
        self._children: dict[int, tuple[str, bool]] = {}  # run, and whether it is complete
        self._metric = f"validation.{plan.metric}"
        self.run_id: str | None = study.user_attrs.get(PARENT)
        self.trouble: str | None = None
        self._retry = 0.0

    def update(self) -> None:
        """Show the trials that ended since, for about a second; a failing store stops no sweep."""
        if time.monotonic() > self._retry:
            self._update(time.monotonic() + UPDATE_SECONDS)

    def finish(self, status: str) -> None:
        """Show all trials that ended, the figures, and how the sweep itself ended.

        Args:
            status: MLflow's: FINISHED, FAILED or KILLED.
        """
        self._update(float("inf"))
        if self.trouble is None:
            with self._trouble_noted():
                self._finish(status)

    def link(self) -> str:
        """The link to the sweep's run."""
        return self._project.store.page(run_path(self._experiment, str(self.run_id)))

    def _update(self, until: float) -> None:
        with self._trouble_noted():
            client = self._opened()
            for trial in self._log.trials:
                run_id, complete = self._children.get(trial.number, (None, False))
                if not complete:
                    self._children[trial.number] = self._show(client, trial, run_id), True
                    if time.monotonic() > until:
                        break

    @contextlib.contextmanager
    def _trouble_noted(self) -> Iterator[None]:
        try:
            with storage_errors_explained(), self._project.store.errors_explained():
                yield
            self.trouble = None
        except BaseException as error:
            self._client = None  # the last trial may be written in part: look again
            if not isinstance(error, LockstepError):
                raise
            self.trouble = first_line(error)
            self._retry = time.monotonic() + RETRY_SECONDS

    def _opened(self) -> "MlflowClient":
        if self._client is None:
            client = self._project.store.client()
            self._experiment = self._project.store.experiment_id(client)
            run = runs.active_run(client, self.run_id)
            if run:
                client.update_run(run.info.run_id, status="RUNNING")
            else:
                run = client.create_run(
                    self._experiment, tags=self._tags(), run_name=self._plan.name
                )
            # Before the storage is asked, which may fail: the next attempt uses the same run.
            self.run_id = run.info.run_id
            with storage_errors_explained():
                if self._study.user_attrs.get(PARENT) != self.run_id:
                    self._study.set_user_attr(PARENT, self.run_id)
            if not run.data.params:
                self._describe(client, self.run_id)
            self._children = self._known_children(client)
            self._client = client
        return self._client

    def _known_children(self, client: "MlflowClient") -> dict[int, tuple[str, bool]]:
        """The children that an interrupted sweep left, by the trial's number."""
        query = f"tags.`{tag.PARENT}` = '{self.run_id}'"
        return {
            int(run.data.tags[tag.TRIAL]): (run.info.run_id, run.info.status != "RUNNING")
            for run in runs.search(client, self._experiment, query)
            if tag.TRIAL in run.data.tags
        }

    def _show(self, client: "MlflowClient", trial: "FrozenTrial", run_id: str | None) -> str:
        """Write all that is known of a trial into a child; the result is the child's run id."""
        start, end = _milliseconds(trial.datetime_start), _milliseconds(trial.datetime_complete)
        tags = {
            tag.PARENT: str(self.run_id),
            tag.SWEEP: self._plan.name,
            tag.TRIAL: str(trial.number),
            "sweep.state": trial.state.name,
            tag.SOURCE_NAME: f"lockstep sweep {self._plan.name}",
            tag.SOURCE_TYPE: "PROJECT",
        }
        lost = trial.user_attrs.get(LOST)
        error = "its worker was lost" if lost else trial.user_attrs.get(ERROR)
        if error:
            tags["error"] = error[:TAG_LENGTH]
        if run_id is None:
            name = f"{self._plan.name}-{trial.number}"
            run_id = str(client.create_run(self._experiment, start, tags, name).info.run_id)
        points = [
            Point(self._metric, value, end, at) for at, value in trial.intermediate_values.items()
        ]
        tried = (item.partition("=") for item in trial.user_attrs.get(OVERRIDES, []))
        params = {_name(key): value for key, _, value in tried}
        runs.log(client, run_id, params=params, metrics=points)
        client.set_terminated(run_id, STATUS[trial.state.name], end_time=end)
        return run_id

    def _tags(self) -> dict[str, str]:
        """Where the sweep comes from."""
        origin = Origin.of_workspace(self._project)
        tags = {
            **origin.tags,
            tag.SWEEP: self._plan.name,
            tag.SOURCE_NAME: "lockstep sweep",
            tag.SOURCE_TYPE: "PROJECT",
            "overrides": " ".join(self._plan.overrides),
        }
        return {key: value[:TAG_LENGTH] for key, value in tags.items() if value}

    def _describe(self, client: "MlflowClient", run_id: str) -> None:
        """What the sweep tries, and on which data."""
        plan = self._plan
        params = {
            f"sweep.{name}": str(plan.settings[name])
            for name in ("n_trials", "timeout", "seed", "metric", "stage")
        }
        for key, line in plan.space.items():
            for name, text in line.items() if isinstance(line, dict) else [("", line)]:
                params[_name(f"space.{key} {name}".strip())] = str(text)
        inputs = [DataInput(path, md5, [plan.stage]) for path, md5 in plan.basis["data"].items()]
        runs.log_inputs(client, run_id, inputs)
        runs.log(client, run_id, params=params)

    def _finish(self, status: str) -> None:
        from lockstep.sweep.figures import write_figures  # imports matplotlib

        assert self._client is not None
        assert self.run_id is not None
        trials = self._log.trials
        now = int(time.time() * 1000)
        states = [trial.state.name for trial in trials]
        counts = [Point(f"trials.{state.lower()}", states.count(state), now) for state in STATUS]
        best = [  # MLflow shows the one with the highest step
            Point(self._metric, value_of(trial), _milliseconds(trial.datetime_complete), step)
            for step, trial in records(trials, self._plan.direction)
        ]
        with tempfile.TemporaryDirectory() as folder:
            write_trials(trials, self._plan.metric, Path(folder, "trials.csv"))
            write_figures(self._study, trials, self._plan, Path(folder))
            self._client.log_artifacts(self.run_id, folder)
        note = {tag.NOTE: description(trials, self._plan)}
        points = [*counts, *best[-METRICS_AT_ONCE:]]
        runs.log(self._client, self.run_id, tags=note, metrics=points)
        self._client.set_terminated(self.run_id, status)


def _name(key: str) -> str:
    """A key of the space as the name of a param, for which MLflow allows few characters."""
    return key.replace("+", "").replace("=", " ")[:NAME_LENGTH]


def _milliseconds(moment: datetime | None) -> int:
    """A time of Optuna's as MLflow has it."""
    return int((moment or datetime.now()).timestamp() * 1000)
