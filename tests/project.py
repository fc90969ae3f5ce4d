"""A generated project as its user sees it: commands, and the records of MLflow, DVC and git."""

import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from mlflow import MlflowClient

STAGES = ["compose", "ingest", "validate", "split", "train", "evaluate", "publish"]
QUIET = {
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool",  # no database stays open after a question
}


@dataclass
class Project:
    """A generated project and the environment that its commands run in."""

    path: Path
    env: dict[str, str]
    bin: Path
    output: str = field(default="", repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of the shell in which the user works, with the environment activated."""
        return {**self.env, "PATH": f"{self.bin}{os.pathsep}{self.env['PATH']}"}

    def copy(self, folder: Path, name: str = "penguins") -> "Project":
        """A copy in another folder, to be changed."""
        path = folder / name
        shutil.copytree(self.path, path, symlinks=True)
        return replace(self, path=path, env=dict(self.env))

    def run(
        self, *command: str, ok: bool | None = True, env: Mapping[str, str] | None = None
    ) -> str:
        """Run a command in the project; its output, stderr included.

        `ok` is whether it must succeed; None when either will do.
        """
        code, output = self.answer(*command, env=env)
        if ok is not None:
            assert (code == 0) == ok, f"{command} -> {code}\n{output}"
        return output

    def answer(self, *command: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Run a command in the project; its exit code and its output, stderr included."""
        done = subprocess.run(
            command,
            cwd=self.path,
            env={**self.environment, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
            timeout=600,
        )
        return done.returncode, done.stdout

    def repro(self, *arguments: str, **env: str) -> list[str]:
        """Run `dvc repro`; the names of the stages that ran."""
        return stages_that_ran(self.run("dvc", "repro", *arguments, env=env))

    def experiment(self, *arguments: str, **env: str) -> str:
        """Run `dvc exp run`; its output."""
        return self.run("dvc", "exp", "run", *arguments, env=env)

    def git(self, *arguments: str) -> str:
        """The output of a git command."""
        return self.run("git", *arguments).strip()

    def commit(self, message: str = "work") -> str:
        """Commit everything; the new commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def runs(self, **env: str) -> list[dict[str, Any]]:
        """The runs that MLflow holds, the oldest first.

        The tests' own MLflow is asked: to import it in another process takes seconds.

        Args:
            env: MLFLOW_TRACKING_URI and its credentials, where it is not the embedded store.
        """
        database = self.path / "mlflow.db"
        uri = {**self.env, **env}.get("MLFLOW_TRACKING_URI") or f"sqlite:///{database}"
        if uri.startswith("sqlite") and not database.exists():
            return []
        with mock.patch.dict(os.environ, {**QUIET, **self.env, **env}):
            from mlflow import MlflowClient

            return runs_of(MlflowClient(uri))

    def python(self, code: str, *arguments: str, **env: str) -> str:
        """Run Python in the project's environment."""
        return self.run("python", "-W", "ignore", "-c", code, *arguments, env={**QUIET, **env})

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace text in a file; it must be there."""
        path = self.path / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{file} holds no {old!r}:\n{text}"
        path.write_text(text.replace(old, new), encoding="utf-8")


def runs_of(client: "MlflowClient") -> list[dict[str, Any]]:
    """The runs of a store, the oldest first."""
    runs = []
    for experiment in client.search_experiments():
        order = ["attributes.start_time"]
        for run in client.search_runs([experiment.experiment_id], order_by=order):
            inputs = [item.dataset for item in run.inputs.dataset_inputs] if run.inputs else []
            outputs = run.outputs.model_outputs if run.outputs else []
            history = {
                name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics
            }
            runs.append(
                {
                    "id": run.info.run_id,
                    "name": run.info.run_name,
                    "status": run.info.status,
                    "experiment": experiment.name,
                    "params": run.data.params,
                    "metrics": run.data.metrics,
                    "tags": run.data.tags,
                    "inputs": {dataset.name: dataset.digest for dataset in inputs},
                    "history": {
                        name: [[point.step, point.value] for point in points]
                        for name, points in history.items()
                    },
                    "models": [item.model_id for item in outputs],
                }
            )
    return runs


def without_rights(project: Project, *command: str) -> list[str]:
    """A command without root's right to write to read-only files."""
    if os.geteuid():
        return list(command)
    program = shutil.which(command[0], path=project.environment["PATH"])
    assert program
    return ["setpriv", "--bounding-set", "-dac_override", "--", program, *command[1:]]


def stages_that_ran(output: str) -> list[str]:
    """The stages that DVC ran, in order."""
    return re.findall(r"Running stage '([^']+)'", output)


def rows(database: Path, table: str) -> int:
    """The number of rows of one of MLflow's tables; 0 while there is no such table."""
    if not database.exists():
        return 0
    with contextlib.closing(sqlite3.connect(database, timeout=5)) as connection:
        try:
            return int(connection.execute(f"select count(*) from {table}").fetchone()[0])  # noqa: S608
        except sqlite3.OperationalError:
            return 0
