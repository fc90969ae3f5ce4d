"""`lockstep sweep` on real engines and storages: Ray, Slurm, PostgreSQL."""

import re
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from clusters import ray_nodes, slurm
from servers import PASSWORD, Servers, postgres
from test_sweep import family, journal, started, wait_for_trials

from project import Project, rows

MODEL = "models:/penguins/1"
TRIALS = 40
FOREST = ("sweep.pruner=null", "model.n_estimators=50", f"sweep.n_trials={TRIALS}")


@pytest.fixture
def swept(finished: Project, tmp_path: Path) -> Project:
    """A first result, in an environment with every engine."""
    return finished.copy(tmp_path)


def lost(project: Project, name: str) -> int:
    """How many trials were lost, in a sweep of which nothing else is missing."""
    parent, children = family(project, name)
    gone = [run for run in children if run["tags"].get("error") == "its worker was lost"]
    rest = [run for run in children if run not in gone]
    assert parent["status"] == "FINISHED"
    assert len(rest) == TRIALS
    assert {run["status"] for run in rest} == {"FINISHED"}
    return len(gone)


def test_a_node_of_a_ray_cluster_dies_in_mid_sweep(swept: Project, servers: Servers) -> None:
    head, _, node = ray_nodes(servers, swept, 3)
    address = f"sweep.engine.address=127.0.0.1:{head.port}"
    words = ["sweep/engine=ray", address, *FOREST, "sweep.name=ray"]
    sweep = started(swept, *words, RAY_AUTH_MODE="disabled")
    wait_for_trials(swept, "ray", 1)
    deadline = time.monotonic() + 120
    while len({trial.user_attrs["worker"] for trial in journal(swept, "ray").trials}) < 3:
        assert sweep.poll() is None, "one worker for each node"
        assert time.monotonic() < deadline, "one worker for each node"
        time.sleep(0.2)
    node.stop(signal.SIGKILL)
    output = sweep.communicate(timeout=300)[0]
    assert sweep.returncode == 0, output
    assert re.search(r"worker-\d is lost: .*; starting a replacement", output), output
    gone = lost(swept, "ray")
    assert gone <= 1
    swept.run("lockstep", "sweep", "--resume", "sweep/engine=local", f"sweep.n_trials={TRIALS + 2}")
    assert len(family(swept, "ray")[1]) == TRIALS + 2 + gone


def test_a_ray_cluster_that_is_not_there_is_named(swept: Project) -> None:
    words = ["sweep/engine=ray", "sweep.engine.address=127.0.0.1:9", "sweep.name=none"]
    code, output = swept.answer("lockstep", "sweep", *words, env={"RAY_AUTH_MODE": "disabled"})
    assert code == 2, output
    assert "the Ray cluster at 127.0.0.1:9 cannot be joined" in output
    assert "Traceback" not in output


def test_slurm_runs_the_workers_and_one_dies(swept: Project, servers: Servers) -> None:
    env = slurm(servers)
    options = ["sweep/engine=slurm", "sweep.engine.workers=2", *FOREST, "sweep.name=slurm"]
    sweep = started(swept, *options, **env)
    wait_for_trials(swept, "slurm", 4)
    running = [
        process
        for process in psutil.process_iter(["cmdline"])
        if (words := process.info["cmdline"] or [])[2:4] == ["-m", "submitit.core._submit"]
        and words[4].startswith(str(swept.path))
    ]
    assert len(running) == 2
    running[0].kill()
    output = sweep.communicate(timeout=300)[0]
    assert sweep.returncode == 0, output
    assert "is lost: " in output
    assert lost(swept, "slurm") <= 1


def test_trials_are_kept_by_postgresql_which_restarts_in_mid_sweep(
    swept: Project, servers: Servers
) -> None:
    url, login, server = postgres(servers)
    storage = f"sweep.storage={url}"
    words = ["sweep.engine.workers=3", *FOREST, "sweep.name=shared", storage]
    sweep = started(swept, *words, **login)
    deadline = time.monotonic() + 120
    while not rows(swept.path / "mlflow.db", "tags where key = 'sweep.trial'"):
        assert sweep.poll() is None
        assert time.monotonic() < deadline, "no trial is in MLflow"
        time.sleep(0.05)
    server.stop(signal.SIGINT)  # "fast shutdown"
    server.start()
    output = sweep.communicate(timeout=300)[0]
    assert sweep.returncode == 0, output
    gone = lost(swept, "shared")
    assert gone == 0, "workers do not need the database"
    assert output.rstrip().endswith(
        "lockstep sweep --apply best sweep.name=shared sweep.storage=..."
    )
    assert not (swept.path / "sweeps/shared/journal.log").exists()
    more = swept.run(
        "lockstep", "sweep", "--resume", storage, f"sweep.n_trials={TRIALS + 2}", env=login
    )
    assert "shared: " in more
    assert len(family(swept, "shared")[1]) == TRIALS + 2 + gone
    assert PASSWORD not in "".join(
        path.read_text(errors="replace")
        for path in (swept.path / "sweeps").rglob("*")
        if path.is_file()
    )
    wrong = {"PGPASSWORD": "wrong"}
    code, output = swept.answer("lockstep", "sweep", *FOREST, storage, env=wrong)
    assert code == 2
    assert "cannot be opened" in output
    assert "Traceback" not in output


def test_a_node_dies_while_files_are_predicted_on_a_ray_cluster(
    swept: Project, servers: Servers
) -> None:
    head, node = ray_nodes(servers, swept, 2)
    table = swept.path / "data/table.parquet"
    code = (
        "import pandas as p, pathlib as l, sys\n"
        "t = p.read_parquet(sys.argv[1]).drop(columns='species')\n"
        "l.Path('new').mkdir()\n"
        "for n in range(12): p.concat([t] * 60).to_parquet(f'new/{n:02}.parquet')\n"
    )
    swept.run("python", "-c", code, str(table))
    swept.run("lockstep", "predict", "new/00.parquet", "alone.parquet", "--model", MODEL)
    command = ["lockstep", "predict", "new", "out", "--model", MODEL, "--engine", "ray"]
    command += ["--address", f"127.0.0.1:{head.port}"]
    env = {**swept.environment, "RAY_AUTH_MODE": "disabled"}
    running = subprocess.Popen(
        command,
        cwd=swept.path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 180
    while not list((swept.path / "out").glob("*.parquet")):
        assert running.poll() is None, running.communicate()[0]
        assert time.monotonic() < deadline, "no file was predicted"
        time.sleep(0.05)
    node.stop(signal.SIGKILL)
    output = running.communicate(timeout=300)[0]
    assert running.returncode == 0, output
    assert "[12/12]" in output
    check = (
        "import pandas as p, pathlib as l\n"
        "w = p.read_parquet('alone.parquet')\n"
        "f = sorted(l.Path('out').iterdir())\n"
        "assert [n.name for n in f] == [f'{n:02}.parquet' for n in range(12)], f\n"
        "assert all(p.read_parquet(n).equals(w) for n in f)\n"
    )
    swept.run("python", "-c", check)
