"""Publishing to servers, racing publishers, faults, and live training."""

import signal
import subprocess
import time
from pathlib import Path

import pytest
from servers import Door, Server, Servers, mlflow

from conftest import Scaffold
from project import Project, rows


@pytest.fixture
def server(servers: Servers, first_project: Project) -> Server:
    return servers.add(mlflow(servers, first_project))


def test_everything_points_at_a_server(scaffold: Scaffold, server: Server) -> None:
    project = scaffold(mlflow_tracking_uri=server.url)
    output = project.run("dvc", "repro")
    assert f"view it: {server.url}/#/experiments/" in output
    (run,) = project.runs(MLFLOW_TRACKING_URI=server.url)
    assert run["status"] == "FINISHED"
    assert "already published" in project.run("lockstep", "publish")
    assert not (project.path / "mlflow.db").exists()
    predicted = project.python(
        "import mlflow, pandas as pd\n"
        "model = mlflow.pyfunc.load_model('models:/penguins@challenger')\n"
        "print(len(model.predict(pd.read_parquet('models/example.parquet'))))",
        MLFLOW_TRACKING_URI=server.url,
    )
    assert "5" in predicted


def test_a_server_that_is_away_costs_a_later_publish(scaffold: Scaffold, server: Server) -> None:
    server.stop()
    project = scaffold(mlflow_tracking_uri=server.url)
    output = project.run("dvc", "repro", ok=False)
    assert "cannot be reached" in output
    assert "run `uv run dvc repro` again" in output
    assert "Traceback" not in output
    assert (project.path / "metrics/metrics.json").exists()
    server.start()
    assert project.repro() == ["publish"]
    (run,) = project.runs(MLFLOW_TRACKING_URI=server.url)
    assert run["status"] == "FINISHED"


def test_a_first_publish_from_several_processes_makes_one_run(unpublished: Project) -> None:
    project = unpublished
    env = project.environment
    started = [
        subprocess.Popen(["lockstep", "publish"], cwd=project.path, env=env) for _ in range(4)
    ]
    assert [process.wait(300) for process in started] == [0, 0, 0, 0]
    (run,) = project.runs()
    assert len(run["models"]) == 1


def test_a_server_that_dies_in_mid_publish_shows_no_half_run(
    unpublished: Project, server: Server, tmp_path: Path
) -> None:
    project = unpublished
    (database,) = tmp_path.glob("server*/**/mlflow.db")
    door = Door(server, lambda: rows(database, "params"))
    project.env["MLFLOW_TRACKING_URI"] = door.url
    process = subprocess.Popen(
        ["lockstep", "publish"], cwd=project.path, env=project.environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert door.held.wait(90), "it logged no params"
    server.stop()
    door.open()
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 2, output
    assert "run `uv run dvc repro` again" in output
    assert "Traceback" not in output
    server.start()
    (left,) = project.runs(MLFLOW_TRACKING_URI=server.url)
    assert left["status"] == "RUNNING"
    project.run("lockstep", "publish")
    (run,) = project.runs(MLFLOW_TRACKING_URI=server.url)
    assert (run["id"], run["status"]) == (left["id"], "FINISHED")
    assert len(run["models"]) == 1


LOOP = """

def learning_curve(model):
    import os, time
    from pathlib import Path

    for step in range(int(os.environ.get("STEPS", "5"))):
        yield {"loss": 1.0 / (step + 1)}
        while step == 1 and "UNTIL" in os.environ and not Path(os.environ["UNTIL"]).exists():
            time.sleep(0.05)
"""


@pytest.fixture
def looping(unpublished: Project) -> Project:
    """A project whose training takes its time, with live tracking on."""
    project = unpublished
    train = project.path / "src" / "penguins" / "train.py"
    source = train.read_text()
    assert "def learning_curve(model" in source
    train.write_text(source + LOOP)
    project.edit("conf/tracking/default.yaml", "live: false", "live: true")
    assert project.repro("split") == ["compose"]
    return project


def train(project: Project, go_on: Path, *command: str, **env: str) -> "subprocess.Popen[str]":
    """Start a training, which waits after two of its five steps until a file is there."""
    return subprocess.Popen(
        command, cwd=project.path, env={**project.environment, "UNTIL": str(go_on), **env},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def wait_for_metrics(database: Path) -> None:
    """Wait until metrics are in a store."""
    deadline = time.monotonic() + 90
    while not rows(database, "metrics"):
        assert time.monotonic() < deadline, "no metrics came"
        time.sleep(0.05)


def test_live_metrics_arrive_while_it_trains_and_publish_completes_the_run(
    looping: Project, tmp_path: Path
) -> None:
    process = train(looping, tmp_path / "go on", "dvc", "repro")
    wait_for_metrics(looping.path / "mlflow.db")
    assert process.poll() is None, "still training"
    (live,) = looping.runs()
    assert live["status"] == "RUNNING"
    assert live["history"]["loss"][0] == [0, 1.0]
    (tmp_path / "go on").touch()
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    (run,) = looping.runs()
    assert (run["id"], run["status"]) == (live["id"], "FINISHED")
    assert [step for step, _ in run["history"]["loss"]] == list(range(5))
    assert "accuracy" in run["metrics"]


def test_a_training_that_dies_leaves_a_failed_run(looping: Project, tmp_path: Path) -> None:
    database = looping.path / "mlflow.db"
    command = ["lockstep", "run", "penguins.train", "data/train.parquet", "models/model.joblib"]
    command += ["models/example.parquet", "metrics/history.csv"]
    for number, how in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGINT), 1):
        process = train(looping, tmp_path / "never", *command)
        deadline = time.monotonic() + 90
        while rows(database, "metrics where step = 0") < number:
            assert time.monotonic() < deadline, "no metrics came"
            time.sleep(0.05)
        process.send_signal(how)
        process.communicate(timeout=300)
        assert process.returncode != 0
        deadline = time.monotonic() + 90
        while rows(database, "runs where status = 'FAILED'") < number:
            assert time.monotonic() < deadline, f"not failed by {how!r}"
            time.sleep(0.05)
    looping.repro(STEPS="3")
    assert [run["status"] for run in looping.runs()] == [*["FAILED"] * 3, "FINISHED"]


def test_training_goes_on_without_the_server(looping: Project, server: Server) -> None:
    server.stop()
    output = looping.run("dvc", "repro", "train", env={"MLFLOW_TRACKING_URI": server.url})
    assert output.count("no more live metrics") == 1
    server.start()
    looping.repro(MLFLOW_TRACKING_URI=server.url)
    (run,) = looping.runs(MLFLOW_TRACKING_URI=server.url)
    assert [step for step, _ in run["history"]["loss"]] == list(range(5))


def test_a_server_that_goes_away_in_mid_training_loses_nothing(
    looping: Project, server: Server, tmp_path: Path
) -> None:
    shared = {"MLFLOW_TRACKING_URI": server.url}
    process = train(looping, tmp_path / "go on", "dvc", "repro", "train", **shared)
    wait_for_metrics(server.folder / "mlflow.db")
    server.stop()
    (tmp_path / "go on").touch()
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    assert output.count("no more live metrics") == 1
    server.start()
    looping.repro(**shared)
    (run,) = looping.runs(**shared)
    assert run["status"] == "FINISHED"
    assert [step for step, _ in run["history"]["loss"]] == list(range(5))
