"""A sweep in MLflow: a run for the sweep, and a child of it for each trial.

What Optuna's storage holds is shown, as `publish` shows what DVC holds: late, again, or after a
server was away, it comes out the same.
"""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep import LockstepError
from lockstep.mlflow import tag
from lockstep.mlflow.store import Store
from lockstep.record.provenance import Origin
from lockstep.sweep.plan import Plan
from lockstep.sweep.study import ERROR, LOST, OVERRIDES, PARENT, storage_errors_explained
from lockstep.sweep.summary import description, ended, records, value_of, write_summary

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from optuna.study import Study
    from optuna.trial import FrozenTrial

# MLflow's word for each of Optuna's states that a trial ends in.
STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}
# How long one update may take, so that the table goes on; and how long a store that failed is
# left alone.
UPDATE_SECONDS = 1.0
RETRY_SECONDS = 30.0
NAME_LENGTH = 250
METRICS_AT_ONCE = 990  # MLflow takes 1000; https://mlflow.org/docs/latest/rest-api.html


class Family:
    """The runs of a sweep."""

    def __init__(self, plan: Plan, study: "Study", store: Store, workspace: Path) -> None:
        """Open nothing yet.

        Args:
            plan: That of the sweep.
            study: Where its trials are.
            store: Where they are shown.
            workspace: The project's folder.
        """
        self._plan = plan
        self._study = study
        self._store = store
        self._workspace = workspace
        self._client: MlflowClient | None = None
        self._children: dict[int, tuple[str, bool]] = {}  # run and whether it is complete
        self._retry = 0.0
        self.trouble: str | None = None

    def update(self) -> None:
        """Show the trials that ended since, for about a second; no failing store stops a sweep."""
        if time.monotonic() > self._retry:
            self._attempt(time.monotonic() + UPDATE_SECONDS)

    def finish(self, status: str) -> None:
        """Show all that ended, the figures, and how the sweep itself ended.

        Args:
            status: MLflow's: FINISHED, FAILED or KILLED.
        """
        if self._attempt(float("inf")):
            with self._forgiven():
                self._finish(status)

    def link(self) -> str:
        """How to look at it."""
        return self._store.page(f"/#/experiments/{self._experiment}/runs/{self.run_id}")

    @property
    def run_id(self) -> str | None:
        """The run of the sweep, once it is there."""
        return self._study.user_attrs.get(PARENT)

    def _attempt(self, until: float) -> bool:
        self.trouble = None
        with self._forgiven():
            client = self._opened()
            for trial in ended(self._study):
                known, complete = self._children.get(trial.number, (None, False))
                if not complete:
                    run_id = self._show(client, trial, known)
                    self._children[trial.number] = run_id, True
                    if time.monotonic() > until:
                        break
        return self.trouble is None

    @contextlib.contextmanager
    def _forgiven(self) -> Iterator[None]:
        try:
            with self._store.errors_explained(), storage_errors_explained():
                yield
        except BaseException as error:
            self._client = None  # nobody knows how much of the last trial is there: look again
            if not isinstance(error, LockstepError):
                raise
            self.trouble = str(error).splitlines()[0]
            self._retry = time.monotonic() + RETRY_SECONDS

    def _opened(self) -> "MlflowClient":
        if self._client is None:
            client = self._store.client()
            self._experiment = self._store.experiment_id(client)
            run = _active_run(client, self.run_id)
            if run:
                client.update_run(run.info.run_id, status="RUNNING")
            else:
                run = client.create_run(
                    self._experiment, tags=self._tags(), run_name=self._plan.name
                )
                self._study.set_user_attr(PARENT, run.info.run_id)
            if not run.data.params:
                self._describe(client, run.info.run_id)
            self._children = self._known_children(client)
            self._client = client
        return self._client

    def _known_children(self, client: "MlflowClient") -> dict[int, tuple[str, bool]]:
        """The children that an interrupted sweep has shown already."""
        found: dict[int, tuple[str, bool]] = {}
        query = f"tags.`{tag.PARENT}` = '{self.run_id}'"
        token = None
        while True:
            page = client.search_runs([self._experiment], query, max_results=1000, page_token=token)
            for run in page:
                if tag.TRIAL in run.data.tags:
                    complete = run.info.status != "RUNNING"
                    found[int(run.data.tags[tag.TRIAL])] = run.info.run_id, complete
            token = page.token
            if not token:
                return found

    def _show(self, client: "MlflowClient", trial: "FrozenTrial", run_id: str | None) -> str:
        """A child with all that is known of a trial."""
        from mlflow.entities import Metric, Param

        start, end = _milliseconds(trial.datetime_start), _milliseconds(trial.datetime_complete)
        tags = {
            tag.PARENT: str(self.run_id),
            tag.SWEEP: self._plan.name,
            tag.TRIAL: str(trial.number),
            "sweep.state": trial.state.name,
            "mlflow.source.name": f"lockstep sweep {self._plan.name}",
            "mlflow.source.type": "PROJECT",
        }
        error = trial.user_attrs.get(ERROR)
        if trial.number in self._study.user_attrs.get(LOST, []):
            error = "its worker was lost"
        if error:
            tags["error"] = error[:5000]
        if run_id is None:
            name = f"{self._plan.name}-{trial.number}"
            run_id = client.create_run(self._experiment, start, tags, name).info.run_id
        metric = f"validation.{self._plan.metric}"
        values = [Metric(metric, value, end, at) for at, value in trial.intermediate_values.items()]
        if trial.state.name == "COMPLETE" and not values:
            values = [Metric(metric, value_of(trial), end, 0)]
        overrides = trial.user_attrs.get(OVERRIDES, [])
        params = [
            Param(_name(key), value)
            for key, _, value in (item.partition("=") for item in overrides)
        ]
        client.log_batch(run_id, values, params)
        client.set_terminated(run_id, STATUS[trial.state.name], end_time=end)
        return run_id

    def _tags(self) -> dict[str, str]:
        """Where the sweep comes from."""
        origin = Origin.of_workspace(self._workspace, self._store.root, ["dvc.lock"])
        tags = {
            tag.SWEEP: self._plan.name,
            "mlflow.user": origin.user,
            "mlflow.source.name": "lockstep sweep",
            "mlflow.source.type": "PROJECT",
            tag.COMMIT: origin.commit,
            "mlflow.source.git.branch": origin.branch,
            "mlflow.source.git.repoURL": origin.repository,
            "git.dirty": str(bool(origin.changed)).lower(),
            "git.changed": ", ".join(origin.changed)[:5000],
            "overrides": " ".join(self._plan.overrides),
            **origin.machine,
        }
        return {key: value for key, value in tags.items() if value}

    def _describe(self, client: "MlflowClient", run_id: str) -> None:
        """What the sweep tries, and on which data."""
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param

        plan = self._plan
        lines: dict[str, str] = {}
        for key, line in plan.space.items():
            inner = line.items() if isinstance(line, dict) else [("", line)]
            lines |= {f"{key} {name}".strip(): str(text) for name, text in inner}
        names = ("n_trials", "timeout", "seed", "metric", "stage")
        settings = {f"sweep.{name}": str(plan.settings[name]) for name in names}
        found = {**settings, **{f"space.{key}": text for key, text in lines.items()}}
        inputs = [
            DatasetInput(
                Dataset(path, md5, "dvc", "{}"), [InputTag("mlflow.data.context", "train")]
            )
            for path, md5 in plan.basis["data"].items()
        ]
        client.log_inputs(run_id, inputs)
        client.log_batch(run_id, params=[Param(_name(key), text) for key, text in found.items()])

    def _finish(self, status: str) -> None:
        from mlflow.entities import Metric

        assert self._client is not None
        assert self.run_id is not None
        trials = ended(self._study)
        metric = f"validation.{self._plan.metric}"
        now = int(time.time() * 1000)
        states = [trial.state.name for trial in trials]
        counts = [
            Metric(f"trials.{state.lower()}", states.count(state), now, 0) for state in STATUS
        ]
        best = [  # MLflow shows the one with the highest step
            Metric(metric, value_of(trial), _milliseconds(trial.datetime_complete), step)
            for step, trial in records(trials, self._plan.direction)
        ]
        self._client.log_batch(self.run_id, [*counts, *best[-METRICS_AT_ONCE:]])
        with tempfile.TemporaryDirectory() as folder:
            write_summary(self._study, self._plan, Path(folder))
            self._client.log_artifacts(self.run_id, folder)
        note = description(self._study, self._plan)
        self._client.set_tag(self.run_id, tag.NOTE, note)
        self._client.set_terminated(self.run_id, status)


def _active_run(client: "MlflowClient", run_id: str | None) -> "Run | None":
    """A run of the store, unless it is not there, or somebody deleted it."""
    from mlflow.exceptions import MlflowException

    if run_id is None:
        return None
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    return run if run.info.lifecycle_stage == "active" else None


def _name(key: str) -> str:
    """A key of the space as the name of a param, in which MLflow takes few characters."""
    return key.replace("+", "").replace("=", " ")[:NAME_LENGTH]


def _milliseconds(moment: datetime | None) -> int:
    """A time of Optuna's as MLflow has it."""
    return int((moment or datetime.now()).timestamp() * 1000)
