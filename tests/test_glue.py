"""The glue's logic, without a project around it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import lockstep
from lockstep import LockstepError
from lockstep.dvc.pipeline import Pipeline
from lockstep.mlflow.store import Store
from lockstep.mlflow.uri import database_of
from lockstep.values import without_secrets

PIPELINE = """
vars:
  - paths: {table: data/table.csv, model: models/m.joblib, metrics: metrics/m.json}
stages:
  compose:
    cmd: lockstep compose
    outs:
      - params.yaml: {cache: false, persist: true}
  make:
    cmd: lockstep run p.make ${paths.table}
    deps: [src/p/make.py, data/raw.csv]
    params: [data]
    outs: ["${paths.table}"]
  fit:
    cmd: lockstep run p.fit ${paths.table} ${paths.model} ${paths.metrics}
    deps: ["${paths.table}"]
    params: [model, {other.yaml: [x]}]
    outs: ["${paths.model}"]
    metrics: ["${paths.metrics}"]
  aside:
    cmd: touch aside.txt
    outs: [aside.txt]
  publish:
    cmd: lockstep publish
    deps: ["${paths.model}", "${paths.metrics}"]
artifacts:
  model: {path: "${paths.model}", type: model}
"""
LOCK = """
schema: '2.0'
stages:
  compose:
    cmd: lockstep compose
    deps: [{path: conf, md5: c1.dir, hash: md5}]
    outs: [{path: params.yaml, md5: p1, hash: md5}]
  make:
    cmd: lockstep run p.make data/table.csv
    deps: [{path: data/raw.csv, md5: r1, hash: md5}, {path: src/p/make.py, md5: s1, hash: md5}]
    params: {params.yaml: {data: {target: y}}}
    outs: [{path: data/table.csv, md5: t1, hash: md5}]
  fit:
    cmd: lockstep run p.fit data/table.csv models/m.joblib metrics/m.json
    deps: [{path: data/table.csv, md5: t1, hash: md5}]
    params: {params.yaml: {model: {n: 1}}}
    outs: [{path: models/m.joblib, md5: m1, hash: md5}, {path: metrics/m.json, md5: n1, hash: md5}]
  aside:
    cmd: touch aside.txt
    outs: [{path: aside.txt, md5: a1, hash: md5}]
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "dvc.lock").write_text(LOCK)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "raw.csv.dvc").write_text("outs: [{path: raw.csv, md5: r1}]")
    return tmp_path


def relocked(workspace: Path, old: str, new: str) -> str:
    lock = workspace / "dvc.lock"
    assert old in LOCK
    lock.write_text(LOCK.replace(old, new))
    return str(Pipeline(workspace).state)


def test_the_state_is_what_the_results_depend_on(workspace: Path) -> None:
    before = Pipeline(workspace).state
    assert relocked(workspace, "md5: n1", "md5: n2") != before, "other metrics"
    assert relocked(workspace, "n: 1", "n: 2") != before, "another param"
    assert relocked(workspace, "md5: s1", "md5: s2") == before, "a comment in the code"
    assert relocked(workspace, "md5: c1.dir", "md5: c2.dir") == before, "a comment in conf/"
    assert relocked(workspace, "md5: p1", "md5: p2") == before, "a param that no stage reads"
    assert relocked(workspace, "md5: a1", "md5: a2") == before, "a stage that is not shown"


def test_data_are_what_flows_and_what_dvc_tracks(workspace: Path) -> None:
    pipeline = Pipeline(workspace)
    assert set(pipeline.upstream) == {"compose", "make", "fit"}
    assert pipeline.data() == {"data/raw.csv": ("r1", ["make"]), "data/table.csv": ("t1", ["fit"])}
    assert pipeline.metric_files() == ["metrics/m.json"]
    assert [model["path"] for model in pipeline.models()] == ["models/m.joblib"]


def test_a_pipeline_that_has_not_run_says_so(workspace: Path) -> None:
    (workspace / "dvc.lock").unlink()
    with pytest.raises(LockstepError, match=r"models/m\.joblib.*run `uv run dvc repro`"):
        _ = Pipeline(workspace).state


def test_a_stage_reads_what_is_listed_for_it(workspace: Path) -> None:
    pipeline = Pipeline(workspace)
    assert pipeline.stage("fit").keys == ["model"]
    with pytest.raises(LockstepError, match="no stage 'fti'"):
        pipeline.stage("fti")


@pytest.mark.parametrize("name", ["plain", "mit Ümlaut und Platz", "a%20b", "c#d"])
def test_the_embedded_store_stays_in_the_project(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    root = tmp_path / name
    root.mkdir()
    store = Store(root, {"experiment": "e", "uri": None})
    assert store.embedded
    assert database_of(store.uri) == root.resolve() / "mlflow.db"
    relative = Store(root, {"experiment": "e", "uri": "sqlite:///runs.db"})
    assert database_of(relative.uri) == root.resolve() / "runs.db"


def test_where_runs_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ada:secret@mlflow.example.org:8080/x")
    store = Store(tmp_path, {"experiment": "e", "uri": "http://elsewhere"})
    assert store.is_server
    assert without_secrets(store.uri) == "https://mlflow.example.org:8080/x"
    assert database_of(store.uri) is None
    assert database_of("sqlite:///:memory:") is None


def test_a_server_that_is_away_is_reported_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    store = Store(tmp_path, {"experiment": "e", "uri": "http://127.0.0.1:9"})
    for ask in (store.require_reachable, store.finished):
        with pytest.raises(LockstepError, match="cannot be reached"):
            ask()


OWN_CLI = """
import subprocess, sys

def main(argv):
    print("the copy runs", *argv, flush=True)
    where = "import lockstep.cli; print(lockstep.cli.__file__)"
    subprocess.run([sys.executable, "-c", where], check=True)
    return 0
"""


@pytest.mark.parametrize("folder", ["packages/lockstep/src", "src"])
def test_a_workspace_s_own_copy_of_the_glue_takes_over(folder: str, tmp_path: Path) -> None:
    """Of an older layout, too: `lockstep reproduce` runs what the run was made with."""
    copy = tmp_path / folder / "lockstep"
    copy.mkdir(parents=True)
    (copy / "__init__.py").touch()
    (copy / "cli.py").write_text(OWN_CLI)
    env = {**os.environ, "PYTHONPATH": str(Path(lockstep.__file__).parent.parent)}
    code = "import sys; from lockstep.cli import main; sys.exit(main(['compose', '--force']))"
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["the copy runs compose --force", str(copy / "cli.py")]
