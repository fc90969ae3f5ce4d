"""`lockstep run` and what it offers to a stage, in this process: params, errors, the history."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from omegaconf.errors import ReadonlyConfigError

import lockstep
from lockstep import LockstepError, cli
from lockstep.dvc.environment import ALL
from lockstep.dvc.pipeline import Pipeline
from lockstep.files import file_digest, tree_digest, write_whole
from lockstep.history import history, live_record, read_history, read_live_record
from lockstep.stage import params_of, run_stage

PIPELINE = """
stages:
  fit: {cmd: lockstep run mine.fit, params: [model, data.target, {other.yaml: [x]}]}
  each: {matrix: {name: [a, b]}, cmd: lockstep run mine.each, params: [data]}
  lacking: {cmd: lockstep run mine.fit, params: [modle]}
"""
PARAMS = "data: {target: y, drop: []}\nmodel: {n: 1}\nsplit: {seed: 2}\n"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "other.yaml").write_text("x: 3\n")
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ALL:
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]


def stage(workspace: Path, body: str) -> None:
    code = f"def main(cfg, *paths):\n    {body}\n"
    (workspace / "mine" / "fit.py").write_text(code)


def test_a_stage_gets_its_params_and_paths(workspace: Path) -> None:
    stage(workspace, "paths[0].write_text(str([*cfg, cfg.model.n, cfg.data.target]))")
    run_stage("mine.fit", [Path("made/here.txt")])
    assert Path("made/here.txt").read_text() == "['model', 'data', 'x', 1, 'y']"


@pytest.mark.parametrize("key", ["split.seed", "data.drop"])
def test_a_stage_that_reads_an_unlisted_param_is_reported(workspace: Path, key: str) -> None:
    stage(workspace, f"cfg.{key}")
    with pytest.raises(LockstepError, match=r"not listed for it in dvc\.yaml") as error:
        run_stage("mine.fit", [])
    assert "stages.fit.params" in str(error.value)


def test_a_stage_cannot_change_its_params(workspace: Path) -> None:
    stage(workspace, "cfg.model.n = 2")
    with pytest.raises(ReadonlyConfigError):
        run_stage("mine.fit", [])


def test_params_that_do_not_exist_are_reported(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = Pipeline(workspace).stages
    assert params_of(stages["each@a"], workspace) == {"data": {"target": "y", "drop": []}}
    with pytest.raises(LockstepError, match="no stage 'fti'; it has fit, each@a, each@b, lacking"):
        run_stage("mine.fti", [])
    with pytest.raises(LockstepError, match="needs the param 'modle', which conf/ does not set"):
        params_of(stages["lacking"], workspace)
    (workspace / "params.yaml").unlink()
    with pytest.raises(LockstepError, match="run `uv run dvc repro`"):
        params_of(stages["fit"], workspace)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("more.yaml", "rate: 1e-3\nsizes: [[1, 2], [3]]\n"),
        ("more.json", '{"rate": 0.001, "sizes": [[1, 2], [3]]}'),
        ("more.toml", "rate = 0.001\nsizes = [[1, 2], [3]]\nday = 2020-01-01\n"),
        ("more.py", "rate: float = 1e-3\nsizes = [(1, 2), (3,)]\nimport os\n"),
    ],
)
def test_params_may_be_in_any_file_that_dvc_reads(workspace: Path, file: str, text: str) -> None:
    (workspace / file).write_text(text)
    (workspace / "dvc.yaml").write_text(
        f"stages:\n  fit:\n    cmd: none\n    params: [model.n, {file}: [rate, sizes]]\n"
        f"  all: {{cmd: none, params: [{file}: ]}}\n"
        f"  twice: {{cmd: none, params: [data, {file}: [data]]}}\n"
    )
    stages = Pipeline(workspace).stages
    found = params_of(stages["fit"], workspace)
    assert found == {"model": {"n": 1}, "rate": 0.001, "sizes": [[1, 2], [3]]}
    assert params_of(stages["all"], workspace).rate == 0.001
    with pytest.raises(LockstepError, match=f"'data', which {file} does not set"):
        params_of(stages["twice"], workspace)


def test_an_error_of_the_stage_itself_keeps_its_traceback(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "import_from_workspace", lambda: None)
    stage(workspace, "open('missing')")
    with pytest.raises(FileNotFoundError):
        cli.main(["run", "mine.fit"])
    stage(workspace, "raise KeyboardInterrupt")
    sys.modules.pop("mine.fit")
    assert cli.main(["run", "mine.fit"]) == 130


def test_a_stage_finds_the_garbage_collector_as_python_has_it() -> None:
    code = """
import gc, weakref
from lockstep.garbage import importing

class Large:
    def __init__(self):
        self.itself = self

before = gc.get_threshold()
with importing():
    import decimal
assert gc.get_threshold() == before
assert gc.get_freeze_count() > 1000
first = weakref.ref(Large())
kept = [[] for _ in range(100_000)]
assert first() is None
"""
    env = {**os.environ, "PYTHONPATH": str(Path(lockstep.__file__).parent.parent)}
    subprocess.run([sys.executable, "-B", "-c", code], env=env, check=True)


def test_a_history_comes_back_as_it_was_logged(workspace: Path) -> None:
    with history(Path("history.csv")) as log:
        log(step=0, loss=1.0)
        log(step=1, loss=0.5, accuracy=0.75)
    expected = [("loss", 1.0, 0), ("loss", 0.5, 1), ("accuracy", 0.75, 1)]
    assert read_history(Path("history.csv")) == expected
    with history(Path("empty.csv")):
        pass
    assert read_history(Path("empty.csv")) == []
    Path("other.csv").write_text("epoch,loss\n1,2\n")
    assert read_history(Path("other.csv")) == []


# Writes what it is sent, as the process that streams does to MLflow; `--fail` writes that.
STREAMER = """
import json, sys
from pathlib import Path
record = Path(".dvc/tmp/lockstep/live.json")
record.parent.mkdir(parents=True, exist_ok=True)
if "--fail" in sys.argv:
    Path("failed").touch()
else:
    record.write_text(json.dumps({"run_id": "r", "uri": "u"}))
    Path("sent").write_text(sys.stdin.read())
"""


@pytest.fixture
def live(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with `tracking.live=true` and a streamer that needs no MLflow."""
    (workspace / "params.yaml").write_text(PARAMS + "tracking: {live: true}\n")
    monkeypatch.setattr("lockstep.history.STREAMER", (sys.executable, "-c", STREAMER))
    return workspace


def test_a_live_history_is_streamed_and_its_end_recorded(live: Path) -> None:
    with history(live / "history.csv") as log:
        log(step=0, loss=1.0)
    sent = [json.loads(line) for line in (live / "sent").read_text().splitlines()]
    assert sent == [{"step": 0, "loss": 1.0}, {"end": True}]
    digest = file_digest(live / "history.csv")
    assert read_live_record(live) == {"run_id": "r", "uri": "u", "history": digest}


def test_a_live_training_that_fails_is_not_recorded_as_complete(live: Path) -> None:
    stage(live, "from lockstep.history import history\n    with history(paths[0]): raise OSError")
    with pytest.raises(OSError, match=r"^$"):
        run_stage("mine.fit", [Path("history.csv")])
    assert (live / "sent").read_text() == ""
    assert "history" not in read_live_record(live)
    assert (live / "failed").exists(), "the run is marked FAILED"
    live_record(live).write_text("half a rec")
    assert read_live_record(live) == {}


def test_a_streamer_that_is_gone_does_not_stop_the_training(
    live: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lockstep.history.STREAMER", (sys.executable, "-c", ""))
    with history(live / "history.csv") as log:
        for step in range(10_000):
            log(step=step, loss=1.0)
    assert len(read_history(live / "history.csv")) == 10_000


def test_the_variable_wins_over_live(live: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_LIVE", "0")
    with history(live / "history.csv") as log:
        log(step=0, loss=1.0)
    assert not (live / "sent").exists()


def test_a_file_is_written_whole_and_only_if_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "größe.txt"
    write_whole(path, "ä")
    before = path.stat().st_mtime_ns
    write_whole(path, "ä")
    assert path.stat().st_mtime_ns == before
    write_whole(path, "ö")
    assert path.read_text(encoding="utf-8") == "ö"
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_digests_are_dvcs(tmp_path: Path) -> None:
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db import HashFileDB
    from dvc_objects.fs.local import LocalFileSystem

    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "a.txt").write_text("a")
    (folder / "ö.txt").write_text("b")
    files = LocalFileSystem()  # type: ignore[no-untyped-call]
    for path in (folder, folder / "ö.txt"):
        odb = HashFileDB(files, str(tmp_path / "odb"))
        expected = build(odb, str(path), files, "md5")[2].hash_info.value
        assert tree_digest(path) == expected
    assert tree_digest(tmp_path / "missing") == ""
