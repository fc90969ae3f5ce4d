"""A tiny project with results, for unit tests that run the glue in this process.

Its code, config and data are written by hand. Its pipeline runs once for all tests, which copy the
project: no scaffold, no separate environment, milliseconds instead of seconds.
"""

import contextlib
import io
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import textwrap
import tomllib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from lockstep.processes import ProcessError, Submit, _call

GLUE = Path(__file__).parent.parent / "{{cookiecutter.project_slug}}" / "packages" / "lockstep"
DVC_INSIDE = Path(__file__).with_name("dvc_inside.py")
STAGES = ("compose", "split", "train", "evaluate")  # what runs before the stage `publish`

FILES = {
    "pyproject.toml": """
        [project]
        name = "toy"
        version = "0.1.0"
        requires-python = ">=3.11"

        [tool.lockstep]
        scoring = "toy.scoring"
        """,
    "uv.lock": """
        version = 1
        revision = 3
        requires-python = ">=3.11"

        [[package]]
        name = "toy"
        version = "0.1.0"
        source = { virtual = "." }
        """,
    ".gitignore": """
        /data/*.csv
        /models/
        /reports/
        /mlflow.db*
        /mlartifacts/
        __pycache__/
        """,
    ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
    ".dvc/config": """
        [core]
            remote = storage
            analytics = false
        [cache]
            type = copy
        ['remote "storage"']
            url = ../../storage
        """,
    "conf/config.yaml": """
        defaults:
          - _self_
          - data: default
          - model: linear
          - tracking: default
          - registry: default
          - sweep: null
          - retrain: null
          - experiment: null
        environment: [python, scikit-learn]
        """,
    "conf/data/default.yaml": "target: y\nrows: 3\n",
    "conf/model/linear.yaml": "_target_: sklearn.linear_model.LinearRegression\npositive: false\n",
    "conf/model/dummy.yaml": "_target_: sklearn.dummy.DummyRegressor\nstrategy: mean\n",
    "conf/tracking/default.yaml": """
        experiment: toy
        uri: null
        live: false
        snapshot_limit: 10
        """,
    "conf/registry/default.yaml": """
        name: toy
        alias: challenger
        policy: manual
        metric: null
        direction: null
        margin: 0.0
        confidence: 0.95
        resamples: 100
        thresholds: {}
        slices: {}
        """,
    "conf/retrain/default.yaml": """
        reasons: [data, alarm]
        per_day: 4
        pause: 0
        feedback: null
        push: false
        """,
    "conf/sweep/default.yaml": """
        defaults:
          - engine: local
          - _self_
        space: {}
        n_trials: 2
        timeout: null
        metric: mean_absolute_error
        direction: minimize
        seed: 42
        name: null
        storage: null
        stage: train
        objective: {_target_: toy.tune.Objective, target: "${data.target}"}
        sampler: {_target_: optuna.samplers.RandomSampler}
        pruner: null
        """,
    "conf/sweep/engine/local.yaml": """
        _target_: lockstep.sweep.engines.Local
        workers: 1
        threads: 1
        """,
    "data/raw.csv": "x,y\n1,2\n2,4\n3,6.5\n4,8\n5,9.5\n6,12\n",
    "dvc.yaml": """
        stages:
          compose:
            cmd: lockstep compose
            deps: [conf]
            outs:
              - params.yaml: {cache: false, persist: true}
              - composed.yaml: {cache: false, persist: true}
          split:
            cmd: lockstep run toy.split data/raw.csv data/train.csv data/test.csv
            deps: [src/toy/split.py, data/raw.csv]
            params: [data.rows]
            outs: [data/train.csv, data/test.csv]
          train:
            cmd: lockstep run toy.train data/train.csv models/model.joblib models/example.parquet
            deps: [src/toy/train.py, data/train.csv]
            params: [data.target, model, {composed.yaml: [packages]}]
            outs: [models/model.joblib, models/example.parquet]
          evaluate:
            cmd: >-
              lockstep run toy.evaluate models/model.joblib data/test.csv
              metrics/metrics.json reports/predictions.parquet reports/evaluation.json
            deps: [src/toy/evaluate.py, src/toy/scoring.py, models/model.joblib, data/test.csv]
            params: [data.target]
            outs: [reports/predictions.parquet, reports/evaluation.json]
            metrics:
              - metrics/metrics.json: {cache: false}
          publish:
            cmd: lockstep publish
            deps:
              - models/model.joblib
              - models/example.parquet
              - metrics/metrics.json
              - reports/predictions.parquet
              - reports/evaluation.json
            params: [data, model, tracking, registry, {composed.yaml: [packages]}]
        artifacts:
          model:
            path: models/model.joblib
            type: model
            meta:
              example: models/example.parquet
              test: data/test.csv
              predictions: reports/predictions.parquet
              evaluation: reports/evaluation.json
        """,
    "src/toy/__init__.py": '"""A toy."""\n',
    "src/toy/split.py": '''
        """The first rows train, the others test."""

        import pandas as pd


        def main(cfg, raw, train, test):
            """Run the stage."""
            table = pd.read_csv(raw)
            table[: cfg.data.rows].to_csv(train, index=False)
            table[cfg.data.rows :].to_csv(test, index=False)
        ''',
    "src/toy/train.py": '''
        """Fit the model."""

        import joblib
        import pandas as pd
        from hydra.utils import instantiate


        def main(cfg, train, model, example):
            """Run the stage."""
            table = pd.read_csv(train)
            print(f"fitting {cfg.model._target_} on {len(table)} rows")
            features = table.drop(columns=cfg.data.target)
            joblib.dump(instantiate(cfg.model).fit(features, table[cfg.data.target]), model)
            features.astype(float).to_parquet(example)
        ''',
    "src/toy/tune.py": '''
        """Score a config on the training rows."""

        import pandas as pd
        from hydra.utils import instantiate


        class Objective:
            """The error of the last row, of a model that the others trained."""

            def __init__(self, train, *, target):
                table = pd.read_csv(train)
                self._features, self._target = table.drop(columns=target), table[target]

            def __call__(self, cfg):
                model = instantiate(cfg.model).fit(self._features[:-1], self._target[:-1])
                yield float(abs(model.predict(self._features[-1:]) - self._target[-1:]).mean())
        ''',
    "src/toy/scoring.py": '''
        """Measure predictions."""

        import pandas as pd


        def predict(model, test, cfg):
            """The predictions for the test rows, beside their actual values."""
            table = pd.read_csv(test)
            predicted = model.predict(table.drop(columns=cfg.data.target))
            return pd.DataFrame({"actual": table[cfg.data.target], "predicted": predicted})


        def scorer(predictions, names):
            """A function that computes the metrics of the rows with the given numbers."""
            errors = (predictions["actual"] - predictions["predicted"]).abs().to_numpy()

            def measure(rows):
                return {name: float(errors[rows].mean()) for name in names}

            return measure
        ''',
    "src/toy/evaluate.py": '''
        """Measure the model on the test rows."""

        import json

        import joblib

        from . import scoring


        def main(cfg, model, test, metrics, predictions, evaluation):
            """Run the stage."""
            table = scoring.predict(joblib.load(model), test, cfg)
            table.to_parquet(predictions)
            error = float((table["actual"] - table["predicted"]).abs().mean())
            baseline = float((table["actual"] - table["actual"].mean()).abs().mean())
            measured = {"mean_absolute_error": error, "baseline": {"mean_absolute_error": baseline}}
            metrics.write_text(json.dumps(measured))
            about = {"direction": "minimize", "interval": [error / 2, error * 2]}
            found = {"rows": len(table), "confidence": 0.95, "slices": {}}
            evaluation.write_text(json.dumps(found | {"metrics": {"mean_absolute_error": about}}))
        ''',
}


@dataclass
class Tiny:
    """A tiny project in a git repository; its pipeline has run up to publishing.

    Attributes:
        path: Its folder. The DVC remote is the folder `storage` beside it.
        env: The environment of its processes.
    """

    path: Path
    env: dict[str, str] = field(repr=False)

    def lockstep(self, *words: str, ok: bool | None = True, **env: str) -> str:
        """Run a verb in this process; what it printed, errors included.

        Args:
            words: Those after `lockstep`.
            ok: Whether it must succeed; None when either will do.
            env: More variables.
        """
        code, output = self.answer(*words, **env)
        if ok is not None:
            assert (code == 0) == ok, f"lockstep {' '.join(words)} -> {code}\n{output}"
        return output

    def answer(self, *words: str, **env: str) -> tuple[int, str]:
        """Run a verb in this process; its exit code and what it printed, errors included."""
        from lockstep.cli import main

        with self.entered(**env), captured() as output:
            try:
                code = main(words)
            except SystemExit as error:  # of argparse, or in place of os._exit
                code = int(error.code or 0)
        return code, output[0]

    @contextlib.contextmanager
    def entered(self, **env: str) -> Iterator[None]:
        """Be in the project: its folder is the current one, and its variables are set.

        Args:
            env: More variables.
        """
        path = list(sys.path)
        # For processes that the glue starts: its code, and the metadata from `install`.
        env = {**self.env, "PYTHONPATH": os.pathsep.join(path), **env}
        with (
            contextlib.chdir(self.path),
            mock.patch.dict(os.environ, env, clear=True),
            mock.patch.object(os, "_exit", sys.exit),  # which `lockstep doctor` ends with
        ):
            try:
                yield
            finally:
                sys.path[:] = path
                for name in list(sys.modules):
                    if name.partition(".")[0] == "toy":  # the next project has its own
                        del sys.modules[name]

    def run(self, *command: str) -> str:
        """Run a command in the project; its output. It must succeed."""
        done = subprocess.run(
            command,
            cwd=self.path,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"{command} -> {done.returncode}\n{done.stdout}"
        return done.stdout

    def git(self, *arguments: str) -> str:
        """The output of a git command."""
        return self.run("git", *arguments).strip()

    def commit(self, message: str = "work") -> str:
        """Commit everything; the new commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def write(self, file: str, text: str) -> None:
        """Write a file."""
        path = self.path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace text in a file; it must be there."""
        text = (self.path / file).read_text(encoding="utf-8")
        assert old in text, f"{file} holds no {old!r}:\n{text}"
        self.write(file, text.replace(old, new))

    def repro(self, *stages: str) -> None:
        """Run stages in this process and have DVC record what they made, without `dvc repro`.

        All stages but `publish` by default, in order.
        """
        for stage in stages or STAGES:
            self.lockstep(*self._commands[stage], DVC_STAGE=stage)
        self.run(sys.executable, "-m", "dvc", "commit", "--quiet", "--force", *(stages or STAGES))

    def dvc(self, *words: str, ok: bool = True) -> str:
        """Run a DVC command, with the `lockstep` of the stages in its process; its output.

        Args:
            words: Those after `dvc`.
            ok: Whether it must succeed.
        """
        done = subprocess.run(
            [sys.executable, str(DVC_INSIDE), *words],
            cwd=self.path,
            env={**self.env, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
        )
        assert (done.returncode == 0) == ok, f"dvc {' '.join(words)}\n{done.stdout}"
        return done.stdout

    @property
    def _commands(self) -> dict[str, list[str]]:
        from lockstep.files import read_yaml

        stages = read_yaml(self.path / "dvc.yaml")["stages"]
        return {name: stage["cmd"].split()[1:] for name, stage in stages.items()}

    def copy(self, folder: Path) -> "Tiny":
        """The same in another folder, to be changed."""
        shutil.copytree(self.path, folder / self.path.name, symlinks=True)
        (folder / "storage").mkdir(exist_ok=True)
        return Tiny(folder / self.path.name, dict(self.env))


def build(folder: Path, env: Mapping[str, str]) -> Tiny:
    """Make the project in a folder, with its results, all of it committed."""
    tiny = Tiny(folder / "toy", dict(env))
    for name, text in FILES.items():
        tiny.write(name, textwrap.dedent(text).lstrip("\n"))
    for name in ("models", "metrics", "reports"):
        (tiny.path / name).mkdir()
    tiny.git("init", "--quiet", "--initial-branch", "main")
    tiny.run(sys.executable, "-m", "dvc", "add", "--quiet", "data/raw.csv")
    tiny.repro()
    tiny.commit("first result")
    return tiny


@contextlib.contextmanager
def captured() -> Iterator[list[str]]:
    """Capture the output of this process and of the processes that it starts.

    Yields:
        A list that gets the text at the end of the block.
    """
    output: list[str] = []
    kept = {number: os.dup(number) for number in (1, 2)}
    with tempfile.TemporaryFile() as file:
        for number in kept:
            os.dup2(file.fileno(), number)
        stream = io.TextIOWrapper(os.fdopen(os.dup(1), "wb", 0), "utf-8", write_through=True)
        try:
            with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
                yield output
        finally:
            for number, copy in kept.items():
                os.dup2(copy, number)
                os.close(copy)
            stream.close()
            file.seek(0)
            output.append(file.read().decode("utf-8", errors="replace").replace("\r\n", "\n"))


def install(folder: Path) -> None:
    """Have Python find the glue's entry points in this process, as if it were installed.

    Args:
        folder: Where to write the metadata that an installation has.
    """
    about = tomllib.loads((GLUE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    metadata = folder / "lockstep-0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: lockstep\nVersion: 0\n")
    lines = [
        f"{line}\n"
        for group, names in about["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {place}" for name, place in names.items()))
    ]
    (metadata / "entry_points.txt").write_text("".join(lines))
    sys.path.insert(0, str(folder))


def migrated(database: Path) -> Path:
    """Make an empty MLflow store in a file."""
    from lockstep.mlflow.environment import configure_mlflow

    configure_mlflow()
    from mlflow import MlflowClient

    MlflowClient(f"sqlite:///{database}").search_experiments(max_results=1)
    return database


@contextlib.contextmanager
def in_this_process() -> Iterator[Submit]:
    """A stand-in for `process_beside`, without the seconds that its imports take.

    What is sent and what comes back is pickled, as on the way to another process.
    """

    def submit(workspace: Path, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            sent = pickle.loads(pickle.dumps((function, arguments)))  # noqa: S301
            future.set_result(pickle.loads(pickle.dumps(_call(workspace, *sent))))  # noqa: S301
        except Exception as error:
            future.set_exception(ProcessError(f"{type(error).__name__}: {error}"))
        return future

    yield submit
