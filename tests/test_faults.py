"""What goes wrong, and that one more command makes it good: the fault, the message, the cure."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import Scaffold
from project import Project, rows, without_rights

STAGES = ("compose", "ingest", "validate", "split", "train", "evaluate", "publish")
AGAIN = "run `uv run dvc repro` again"
HERE = "--current-environment"
# What the registry and the model store hold; runs are asked for by `Project.runs`.
MODELS = """
import json
from mlflow import MlflowClient

client = MlflowClient()
ids = [found.experiment_id for found in client.search_experiments()]
models = [[model.model_id, model.status] for model in client.search_logged_models(ids)]
challenger = str(client.get_registered_model("penguins").aliases["challenger"])
versions = [
    [version.run_id, version.source, str(version.version) == challenger]
    for version in client.search_model_versions("name = 'penguins'")
]
print(json.dumps([models, versions]))
"""


@pytest.fixture
def ready(unpublished: Project) -> Project:
    """A project whose pipeline ran undisturbed up to publishing; all of it is committed."""
    unpublished.commit()
    return unpublished


def publish(project: Project, *options: str) -> subprocess.Popen[str]:
    """Start to publish."""
    return subprocess.Popen(
        ["lockstep", "publish", *options],
        cwd=project.path,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def refused(process: "subprocess.Popen[str]") -> str:
    """What a `publish` says that could not do it."""
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 2, output
    assert "Traceback" not in output
    return output


def the_run(project: Project) -> dict[str, Any]:
    """The only run; it is whole, and alone."""
    (run,) = project.runs()
    models, versions = json_of(project.python(MODELS))
    assert run["status"] == "FINISHED"
    assert run["history"].keys() >= {"accuracy", "log_loss"}
    assert all(len(points) == 1 for points in run["history"].values()), "logged once"
    assert models == [[run["models"][0], "READY"]]
    assert versions == [[run["id"], f"models:/{run['models'][0]}", True]]
    assert project.git("status", "--porcelain") == "", "nothing half made lies around"
    return run


def json_of(text: str) -> Any:
    return json.loads(text[text.index("[") :])


def wait_for(what: Callable[[], object], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def test_a_pipeline_killed_in_every_stage_ends_as_if_nothing_had_happened(
    scaffold: Scaffold, computed: Project
) -> None:
    project = scaffold()
    env = {**project.environment, "PYTHONUNBUFFERED": "1"}
    for stage in STAGES:
        process = subprocess.Popen(
            ["dvc", "repro"], cwd=project.path, env=env, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        assert process.stdout
        seen = []
        for line in process.stdout:
            seen.append(line)
            if line.startswith(f"Running stage '{stage}'"):
                break
        else:
            raise AssertionError("".join(seen))
        if stage == "publish":
            wait_for(lambda: rows(project.path / "mlflow.db", "runs"))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        declared = yaml.safe_load((computed.path / "dvc.lock").read_text())["stages"].get(stage, {})
        for out in declared.get("outs", []):
            if out["path"] not in ("params.yaml", "composed.yaml", "schema.yaml"):
                half_written(project.path / out["path"])
    assert project.repro() == ["publish"]
    one, other = (
        yaml.safe_load((place.path / "dvc.lock").read_text())["stages"]
        for place in (project, computed)
    )
    assert {name: one[name] for name in other} == other
    project.commit()
    the_run(project)


def half_written(path: Path) -> None:
    """Leave what a killed stage may leave of a file or folder."""
    if path.suffix:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    else:
        path.mkdir(exist_ok=True)
        (path / "half.csv").write_bytes(b"half")


def test_a_publish_killed_while_the_store_is_made_leaves_no_half_made_one(ready: Project) -> None:
    process = publish(ready)
    drafts = ready.path / ".dvc/tmp/lockstep"
    wait_for(lambda: any(rows(draft, "alembic_version") for draft in drafts.rglob("mlflow.db")))
    process.kill()
    process.communicate()
    assert not rows(ready.path / "mlflow.db", "runs")
    ready.run("lockstep", "publish")
    the_run(ready)


def test_two_that_fill_a_store_at_once_make_each_run_once(ready: Project) -> None:
    ready.edit("metrics/metrics.json", "{", '{"extra": 1,')
    ready.run("dvc", "commit", "--force", "evaluate")
    ready.commit()
    both = [publish(ready, "--all"), publish(ready, "--all")]
    outputs = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    states = [run["tags"]["lockstep.state"] for run in ready.runs()]
    assert len(states) == len(set(states)) == 2, outputs


def test_a_store_that_another_writer_holds_is_waited_for_then_named(ready: Project) -> None:
    ready.run("lockstep", "publish")
    another_state(ready)
    with contextlib.closing(sqlite3.connect(ready.path / "mlflow.db", isolation_level=None)) as it:
        it.execute("begin exclusive")
        said = refused(publish(ready))
        assert "reports: database is locked\n" in said
        assert AGAIN in said
        process = publish(ready)
        time.sleep(8)  # longer than the look-up without MLflow waits
        assert process.poll() is None
        it.execute("rollback")
    process.communicate(timeout=300)
    assert process.returncode == 0
    assert [run["status"] for run in ready.runs()] == ["FINISHED", "FINISHED"]


def another_state(project: Project) -> None:
    """Another result, as if the evaluation had come to it."""
    project.edit("metrics/metrics.json", "{", '{"extra": 1,')
    project.run("dvc", "commit", "--force", "evaluate")


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A separate disk below a folder; what is in the folder moves there."""
    aside = folder.with_name("aside")
    folder.rename(aside)
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        shutil.copytree(aside, folder, symlinks=True, dirs_exist_ok=True)
        yield
    finally:
        shutil.rmtree(aside)
        shutil.copytree(folder, aside, symlinks=True)
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()
        aside.rename(folder)


needs_mount = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can mount a small disk"
)


@needs_mount
@pytest.mark.parametrize("free", [40_000, 500_000], ids=["for artifacts", "for the store"])
def test_a_full_disk_is_named_and_room_completes_the_run(ready: Project, free: int) -> None:
    filling = ready.path / ".dvc" / "tmp" / "filling"
    if free < 100_000:
        ready.run("lockstep", "publish")
        another_state(ready)
    with small_disk(ready.path, "20m"):
        room = shutil.disk_usage(ready.path).free
        filling.write_bytes(bytes(room - free))
        said = refused(publish(ready))
        assert "No space left on device" in said or "database or disk is full" in said
        assert "[SQL" not in said
        assert AGAIN in said
        filling.unlink()
        ready.run("lockstep", "publish")
    assert all(run["status"] == "FINISHED" for run in ready.runs())


@pytest.mark.skipif(sys.platform != "linux", reason="root writes everywhere; Linux can forbid it")
@pytest.mark.parametrize("place", ["mlflow.db", "mlartifacts/penguins", ".dvc/tmp/lockstep"])
def test_a_store_that_cannot_be_written_to_is_named(ready: Project, place: str) -> None:
    ready.run("lockstep", "publish")
    another_state(ready)
    path = ready.path / place
    (ready.path / ".dvc/tmp/lockstep/publish.lock").unlink(missing_ok=True)
    path.chmod(0o555)
    done = subprocess.run(
        without_rights(ready, "lockstep", "publish"), cwd=ready.path, env=ready.environment,
        capture_output=True, text=True,
    )  # fmt: skip
    path.chmod(0o755)
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    expected = "readonly database" if place == "mlflow.db" else f"Permission denied: '{path}"
    assert expected in done.stderr
    assert "again" in done.stderr
    ready.run("lockstep", "publish")
    assert [run["status"] for run in ready.runs()] == ["FINISHED", "FINISHED"]


def test_data_that_nobody_has_are_named_before_anything_runs(ready: Project) -> None:
    shutil.rmtree(ready.path / ".dvc" / "cache")
    said = ready.run("lockstep", "reproduce", "HEAD", HERE, ok=False)
    assert "error: some data could not be restored: data/raw.csv (md5 " in said
    assert "`uv run dvc push`" in said
    assert "Traceback" not in said
    assert "Running stage" not in said
    assert len(ready.git("worktree", "list").splitlines()) == 1
    assert [path.name for path in ready.path.parent.iterdir()] == [ready.path.name]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_rebuild_can_be_asked_for_again(ready: Project, how: int) -> None:
    process = subprocess.Popen(
        ["lockstep", "reproduce", "HEAD", HERE], cwd=ready.path, stdout=subprocess.PIPE,
        env={**ready.environment, "PYTHONUNBUFFERED": "1"}, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout
    for line in process.stdout:
        if line.startswith("Running stage 'split'"):
            break
    os.killpg(process.pid, how)
    output = process.communicate(timeout=300)[0]
    assert process.returncode == (130 if how == signal.SIGINT else -how), output
    assert "lockstep/cli.py" not in output, "no traceback of ours"
    command = ("lockstep", "reproduce", "HEAD", HERE, "--checkout-only")
    if how == signal.SIGKILL:
        assert "which a killed rebuild left" in ready.run(*command, "--keep")
        return
    assert "restored: " in ready.run(*command)
