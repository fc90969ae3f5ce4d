"""A project written by hand, with what its pipeline made: neither cookiecutter nor DVC runs."""

import base64
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep.files import tree_digest

DVC_YAML = """
stages:
  compose:
    cmd: lockstep compose
    deps: [conf]
    outs: [params.yaml: {cache: false, persist: true}, composed.yaml: {cache: false}]
  train:
    cmd: lockstep run toy.train data/rows.parquet models/model.joblib models/example.parquet
    deps: [src/toy/train.py, data/rows.parquet]
    params: [model]
    outs: [models/model.joblib, models/example.parquet]
  evaluate:
    cmd: lockstep run toy.evaluate models/model.joblib metrics/metrics.json plots
    deps: [models/model.joblib]
    outs: [metrics/history.csv, plots]
    metrics: [metrics/metrics.json: {cache: false}]
  publish:
    cmd: lockstep publish
    deps:
      - models/model.joblib
      - models/example.parquet
      - metrics/metrics.json
      - metrics/history.csv
      - plots
artifacts:
  model: {path: models/model.joblib, type: model, meta: {example: models/example.parquet}}
"""
FILES = {
    "dvc.yaml": DVC_YAML,
    "params.yaml": (
        "tracking: {experiment: toys, uri: null, live: false, snapshot_limit: 10}\n"
        "registry: {name: toy, alias: challenger}\n"
        "model: {_target_: sklearn.linear_model.LogisticRegression, C: 1.0, names: [a, b]}\n"
    ),
    "composed.yaml": (
        "options: {model: linear}\noverrides: [model=linear]\n"
        "packages: {scikit-learn: 1.0.0, numpy: 2.0.0}\n"
    ),
    "pyproject.toml": '[tool.lockstep]\ntemplate = "9.9.9"\n',
    "conf/config.yaml": "model: linear\n",
    "src/toy/__init__.py": "",
    "src/toy/train.py": "fit = 1\n",
    "metrics/metrics.json": '{"accuracy": 0.75, "baseline": {"accuracy": 0.5}}',
    "metrics/history.csv": "step,loss\n0,1.0\n1,0.5\n",
    "plots/roc.svg": "<svg/>",
    "data/rows.parquet.dvc": "outs: [{path: rows.parquet}]\n",
    ".gitignore": (
        "/models\n/plots\n/data/*.parquet\n/metrics/history.csv\n/mlflow.db*\n/mlartifacts\n"
        "/.dvc/cache\n/.dvc/tmp\n"
    ),
    ".dvc/config": "[core]\nremote = storage\n['remote \"storage\"']\nurl = ../../storage\n",
}
MODEL = """
import joblib, pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

rows = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, ["no", "no", "yes", "yes"])
joblib.dump(model, "models/model.joblib")
rows.to_parquet("models/example.parquet")
rows.to_parquet("data/rows.parquet")
"""


@dataclass
class Toy:
    """A small project in a git repository."""

    path: Path

    def git(self, *arguments: str) -> str:
        """The output of a git command."""
        done = subprocess.run(
            ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *arguments],
            cwd=self.path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self) -> str:
        """Commit everything; the new commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "work")
        return self.git("rev-parse", "HEAD")

    def python(self, code: str) -> None:
        """Run Python in the project, with its own modules."""
        env = {**os.environ, "PYTHONPATH": str(self.path / "src")}
        subprocess.run([sys.executable, "-c", code], cwd=self.path, env=env, check=True)

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text)

    def lock(self) -> None:
        """Write dvc.lock as DVC does when all stages have run, and fill DVC's cache."""
        import yaml

        declared = yaml.safe_load((self.path / "dvc.yaml").read_text())["stages"]
        params = yaml.safe_load((self.path / "params.yaml").read_text())
        locked: dict[str, Any] = {}
        for name, stage in declared.items():
            if name == "publish":
                continue
            paths = [*stage.get("outs", []), *stage.get("metrics", [])]
            locked[name] = {
                "cmd": stage["cmd"],
                "deps": [self._entry(path) for path in stage.get("deps", [])],
                "params": {"params.yaml": {key: params[key] for key in stage.get("params", [])}},
                "outs": [self._entry(next(iter(path), "") if isinstance(path, dict) else path)
                         for path in paths],
            }  # fmt: skip
        self.write("dvc.lock", json.dumps({"schema": "2.0", "stages": locked}))

    def picture(self) -> None:
        """Give the project a plot: one white pixel."""
        (self.path / "plots/roc.png").write_bytes(
            base64.b64decode(
                "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2CwAAAABJRU5ErkJggg=="
            )
        )
        self.lock()

    def measured(self, accuracy: float) -> None:
        """Give the project another result."""
        self.write(
            "metrics/metrics.json",
            json.dumps({"accuracy": accuracy, "baseline": {"accuracy": 0.5}}),
        )
        self.lock()

    def _entry(self, name: str) -> dict[str, str]:
        path = self.path / name
        md5 = tree_digest(path)
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        for file in files:
            self._cache(tree_digest(file), file.read_bytes())
        if path.is_dir():
            listed = [
                {"md5": tree_digest(file), "relpath": file.relative_to(path).as_posix()}
                for file in sorted(files)
            ]
            self._cache(md5, json.dumps(listed, sort_keys=True).encode())
        return {"path": name, "hash": "md5", "md5": md5}

    def _cache(self, md5: str, content: bytes) -> None:
        target = self.path / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.write_bytes(content)

    def push(self) -> None:
        """Move DVC's cache to the remote, as `dvc push` and a new clone do."""
        remote = self.path.parent / "storage"
        shutil.copytree(self.path / ".dvc/cache", remote, dirs_exist_ok=True)
        shutil.rmtree(self.path / ".dvc/cache")

    def copy(self, folder: Path) -> "Toy":
        """The same in another folder."""
        shutil.copytree(self.path, folder / self.path.name)
        return Toy(folder / self.path.name)


def build(folder: Path) -> Toy:
    """Make the project; all of it is committed."""
    toy = Toy(folder / "toy")
    for name, text in FILES.items():
        toy.write(name, text)
    (toy.path / "models").mkdir()
    toy.python(MODEL)
    toy.lock()
    toy.git("init", "--quiet", "--initial-branch", "main")
    toy.commit()
    return toy
