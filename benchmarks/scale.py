"""Measure what keeping runs rebuildable costs, and that it does not grow with their number.

    .venv/bin/python benchmarks/scale.py store      `lockstep publish`, by parts and store size
    .venv/bin/python benchmarks/scale.py bundle     the bytes of a run's snapshot
    .venv/bin/python benchmarks/scale.py backfill   `lockstep publish --all`, runs a second
    .venv/bin/python benchmarks/scale.py reproduce  `lockstep reproduce` against `dvc repro --force`

The last one takes about ten minutes, the others three.
"""

import argparse
import contextlib
import json
import os
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

from measure import Lab, another_state, ratio, show, take_turns

SIZES = (10, 1_000, 10_000)
# `lockstep publish`, with the seconds of its parts as JSON in its last line; what one part does
# within another counts for the inner one.
PARTS = """
import builtins, contextlib, functools, json, sys, time

spent, inner = {}, []

def timed(name, work):
    @functools.wraps(work)
    def wrapper(*args, **kwargs):
        if name == "import mlflow":
            if args[0].partition(".")[0] != "mlflow" or args[0] in sys.modules:
                return work(*args, **kwargs)
            builtins.__import__ = work
        start = time.perf_counter()
        inner.append(0.0)
        try:
            return work(*args, **kwargs)
        finally:
            seconds = time.perf_counter() - start
            if name == "import mlflow":
                builtins.__import__ = wrapper
            spent[name] = spent.get(name, 0.0) + seconds - inner.pop()
            if inner:
                inner[-1] += seconds
    return wrapper

began = time.perf_counter()
from lockstep.mlflow import package, store
from lockstep.publish import gate_step, publish, report
for owner, attribute, name in (
    (builtins, "__import__", "import mlflow"),
    (publish, "snapshot_of_workspace", "snapshot"),
    (publish, "write_bundle", "bundle"),
    (publish.Origin, "of_workspace", "git and machine"),
    (package, "_wait", "model package"),
    (store.Store, "find_finished", "look up"),
    (store.Store, "client", "open the store"),
    (publish, "_run_to_fill", "MLflow: create"),
    (publish, "_fill", "MLflow: fill"),
    (publish, "log_model", "MLflow: model"),
    (publish, "_log_metrics", "MLflow: metrics"),
    (gate_step, "create_version", "MLflow: register"),
    (report, "print_report", "report"),
):
    setattr(owner, attribute, timed(name, getattr(owner, attribute)))
from lockstep.cli import main
assert main(["publish"]) == 0
spent["rest"] = time.perf_counter() - began - sum(spent.values())
print(json.dumps(spent))
"""


def main() -> None:
    """Run one measurement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    measurements = {
        "store": store, "bundle": bundle, "backfill": backfill, "reproduce": reproduce,
    }  # fmt: skip
    parser.add_argument("what", choices=measurements)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--states", type=int, default=20, help="for backfill")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        lab = Lab(Path(folder))
        lab.run(["dvc", "repro"], lab.project)
        lab.run(["git", "add", "--all"], lab.project)
        lab.run(["git", "commit", "--message", "results"], lab.project)
        measurements[given.what](lab, given)


def store(lab: Lab, given: argparse.Namespace) -> None:
    """A new state, published into ever larger stores: real runs, copied row by row."""
    states = iter(range(1, 10_000))
    parts: dict[int, dict[str, float]] = {}
    for size in SIZES:
        grow(lab.project / "mlflow.db", size)
        rounds = []
        for number in range(given.rounds + 1):
            another_state(lab.project, next(states))
            start = time.perf_counter()
            seconds = json.loads(lab.output(["python", "-c", PARTS], lab.project).splitlines()[-1])
            seconds["in all"] = time.perf_counter() - start
            if number:
                rounds.append(seconds)
        parts[size] = {
            name: statistics.median(seconds[name] for seconds in rounds) for name in rounds[0]
        }
    print(f"{'seconds, runs in the store:':28}" + "".join(f"{size:>10,}" for size in SIZES))
    for name in parts[SIZES[0]]:
        print(f"{name:28}" + "".join(f"{parts[size][name]:10.3f}" for size in SIZES))


def grow(database: Path, size: int) -> None:
    """Copy the rows of the newest run, its model and version until the store has that many runs."""
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        (there,) = connection.execute("select count(*) from runs").fetchone()
        (run,) = connection.execute(
            "select run_uuid from runs order by start_time desc limit 1"
        ).fetchone()
        (model,) = connection.execute(
            "select model_id from logged_models where source_run_id = ?", (run,)
        ).fetchone()
        (version,) = connection.execute("select max(version) from model_versions").fetchone()
        new_run, new_model = "printf('%032x', n)", "printf('m-%032x', n)"
        new_state = f"case key when 'lockstep.state' then {new_run} else value end"
        copies: list[tuple[str, str, dict[str, str]]] = [
            *(
                (table, f"run_uuid = '{run}'", {"run_uuid": new_run})
                for table in ("runs", "params", "latest_metrics", "metrics")
            ),
            ("tags", f"run_uuid = '{run}'", {"run_uuid": new_run, "value": new_state}),
            (
                "inputs",
                f"destination_id = '{run}'",
                {"input_uuid": f"{new_run} || rowid", "destination_id": new_run},
            ),
            (
                "logged_models",
                f"model_id = '{model}'",
                {"model_id": new_model, "source_run_id": new_run},
            ),
            *(
                (table, f"model_id = '{model}'", {"model_id": new_model, "run_id": new_run})
                for table in ("logged_model_tags", "logged_model_metrics")
            ),
            (
                "model_versions",
                f"version = {version}",
                {"version": f"{version} + n", "run_id": new_run},
            ),
            (
                "model_version_tags",
                f"version = {version}",
                {"version": f"{version} + n", "value": new_state},
            ),
        ]
        for table, where, changed in copies:
            names = [row[1] for row in connection.execute(f"pragma table_info({table})")]
            columns = [changed.get(name, f"{table}.{name}") for name in names]
            connection.execute(
                f"with recursive numbers(n) as (select {there} union all"  # noqa: S608
                f" select n + 1 from numbers where n + 1 < {size})"
                f" insert into {table} ({', '.join(names)})"
                f" select {', '.join(columns)} from {table} cross join numbers where {where}"
            )


def bundle(lab: Lab, given: argparse.Namespace) -> None:
    """The snapshot of what a user's working tree may hold beyond the last commit."""
    source = lab.project / "src/penguins/train.py"

    def edit() -> None:
        source.write_text(source.read_text() + "\n# another idea\n")

    def add() -> None:
        (lab.project / "src/penguins/weights.bin").write_bytes(os.urandom(100_000))

    cases = {"clean tree": lambda: None, "one file edited": edit, "and 100 kB untracked": add}
    for number, (name, change) in enumerate(cases.items(), 1):
        another_state(lab.project, number)
        lab.run(["git", "add", "--all"], lab.project)
        lab.run(["git", "commit", "--message", "state"], lab.project)
        change()
        lab.run(["lockstep", "publish"], lab.project)
        found = (lab.project / "mlartifacts").rglob("snapshot.bundle")
        newest = max(found, key=lambda path: path.stat().st_mtime)
        print(f"{name:22}{newest.stat().st_size:10,} bytes")


def backfill(lab: Lab, given: argparse.Namespace) -> None:
    """A new, empty store gets the runs of as many commits."""
    for number in range(given.states):
        another_state(lab.project, number)
        lab.run(["git", "add", "--all"], lab.project)
        lab.run(["git", "commit", "--message", "state"], lab.project)
    (lab.project / "mlflow.db").unlink()
    start = time.perf_counter()
    added = int(lab.output(["lockstep", "publish", "--all"], lab.project).split()[-3])
    seconds = time.perf_counter() - start
    print(f"{added} runs in {seconds:.1f} s: {added / seconds:.2f} runs a second")
    again = lab.output(["lockstep", "publish", "--all"], lab.project)
    assert "every state has its run" in again, again


def reproduce(lab: Lab, given: argparse.Namespace) -> None:
    """A rebuild in the environment that is there, in a new one, and the work itself."""
    rebuild = ["lockstep", "reproduce", "HEAD"]
    times = take_turns(
        given.rounds,
        {
            "dvc repro -f": lambda: lab.run(["dvc", "repro", "--force"], lab.project),
            "reproduce here": lambda: lab.run([*rebuild, "--current-environment"], lab.project),
            "reproduce": lambda: lab.run(rebuild, lab.project),
        },
    )
    show(times)
    ratio(times, "reproduce here", "dvc repro -f")
    ratio(times, "reproduce", "dvc repro -f")


if __name__ == "__main__":
    main()
