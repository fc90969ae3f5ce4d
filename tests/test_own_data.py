"""Bring your own data: the pipeline runs on a file as it is."""

import csv
import datetime
import functools
import http.server
import json
import random
import re
import threading
from pathlib import Path

import pytest

from conftest import Scaffold


def write_houses(path: Path, rows: int = 300, delimiter: str = ",", seed: int = 7) -> Path:
    """A table as they come: dates, missing values in many spellings, ids, text, yes and no."""
    draw = random.Random(seed)  # noqa: S311
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8-sig") as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerow(
            ["Objekt-Nr", "Straße", "rooms", "sold on", "garden", "kind", "note", "price"]
        )
        for number in range(rows):
            rooms = draw.randint(1, 9)
            sold = datetime.date(2020, 1, 1) + datetime.timedelta(days=draw.randint(0, 1500))
            writer.writerow(
                [
                    f"H-{number:05d}",
                    draw.choice(["Allee", "Gasse", "Weg", ""]),
                    draw.choice([rooms, rooms, rooms, "NA"]),
                    sold.isoformat(),
                    draw.choice(["yes", "no"]),
                    draw.choice(["flat", "house", "?"]),
                    f"seen on {sold}, {draw.random()} and rather nice, though far from town",
                    round(40_000 * rooms + draw.gauss(0, 9_000), 2),
                ]
            )
    return path


def test_the_life_of_a_csv_with_a_number_to_predict(scaffold: Scaffold, tmp_path: Path) -> None:
    source = write_houses(tmp_path / "meine Häuser" / "anything.csv", delimiter=";")
    project = scaffold(data_source=str(source), target_column="price")
    project.repro()
    project.commit("first result")
    (run,) = project.runs()
    assert run["params"]["data.task"] == "regression", "inferred under auto"
    baseline = json.loads((project.path / "metrics/metrics.json").read_text())["baseline"]
    assert run["metrics"]["r2"] > 0.6 > baseline["r2"]
    columns = (project.path / "reports/columns.csv").read_text(encoding="utf-8")
    rows = {row["column"]: row for row in csv.DictReader(columns.splitlines())}
    assert rows["sold on"]["kind"] == "date"
    assert rows["garden"]["kind"] == "boolean"
    assert rows["rooms"]["kind"] == "number"
    assert rows["kind"]["kind"] == "category"
    for left_out in ("Objekt-Nr", "note"):
        assert rows[left_out]["note"], f"{left_out} is left out with a reason"
    for name in ("predicted_against_true", "residuals", "importance"):
        assert any(name in path.name for path in (project.path / "plots").glob("*.png")), name

    # Any estimator is a file of a few lines.
    (project.path / "conf/model/extra.yaml").write_text(
        "_target_: sklearn.ensemble.ExtraTreesRegressor\nn_estimators: 20\n"
        "random_state: ${split.seed}\n"
    )
    project.commit("extra trees")
    project.experiment("-S", "model=extra")
    _, run = project.runs()
    assert run["params"]["model._target_"] == "sklearn.ensemble.ExtraTreesRegressor"
    assert run["metrics"]["r2"] > 0.5

    # Data that break the rules stop the pipeline, and the rows are shown.
    raw = project.path / "data" / "raw.csv"
    raw.write_text(raw.read_text(encoding="utf-8").replace(";flat;", ";tent;", 2), encoding="utf-8")
    output = project.run("dvc", "repro", ok=False)
    assert "tent" in output
    assert "schema.yaml" in output
    assert "Traceback" not in output
    assert "Running stage 'split'" not in output
    assert len(project.runs()) == 2


def test_the_life_of_data_that_arrive_as_files(scaffold: Scaffold, tmp_path: Path) -> None:
    for year in (2020, 2021, 2022):
        write_houses(tmp_path / "sold" / f"{year}.csv", rows=120, seed=year)
    project = scaffold(data_source=str(tmp_path / "sold"), target_column="price")
    project.edit("conf/config.yaml", "model: random_forest", "model: ridge")
    assert "3 partitions: 3 to compute, 0 unchanged" in project.run("dvc", "repro")
    project.commit("three years")

    # A year more: it alone is read, also in a temporary copy.
    write_houses(project.path / "data/raw/2023.csv", rows=120, seed=2023)
    project.run("dvc", "add", "data/raw")
    tried = project.experiment("--temp", "--name", "fourth")
    assert "4 partitions: 1 to compute, 3 unchanged" in tried
    assert "partitions: 360 rows to train on, 120 to test on" in tried
    assert "4 partitions: 1 to compute, 3 unchanged" in project.run("dvc", "repro")
    assert project.repro() == []
    assert [run["status"] for run in project.runs()] == ["FINISHED"] * 2

    # A year turns out to be bad: what has learned from it, and without it.
    traced = json.loads(project.run("lockstep", "trace", "data/raw/2021.csv", "--json"))
    used = [run["rows"] for run in traced["used_in"]["runs"]]
    assert used == ["120 to train, 0 to test"] * 2
    project.edit("conf/data/default.yaml", "exclude: []", "exclude: [2021.csv]")
    without = project.run("dvc", "repro", "split")
    assert "0 to compute, 3 unchanged, 1 removed" in without
    listed = (project.path / "reports/partitions.csv").read_text(encoding="utf-8")
    assert re.findall(r"^\d+", listed, re.MULTILINE) == ["2020", "2022", "2023"]

    rebuilt = project.run("lockstep", "reproduce", "fourth", "--current-environment")
    assert "4 partitions: 4 to compute, 0 unchanged" in rebuilt
    assert "ridge · fourth: identical" in rebuilt


def test_a_url_is_followed_when_its_data_change(scaffold: Scaffold, tmp_path: Path) -> None:
    served = tmp_path / "served"
    write_houses(served / "houses.csv")
    handler = functools.partial(Quiet, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/houses.csv"
        project = scaffold(data_source=url, target_column="price")
        pointer = (project.path / "data/raw.csv.dvc").read_text()
        assert url in pointer
        assert (project.path / "data/raw.csv").read_bytes() == (served / "houses.csv").read_bytes()
        project.repro()
        assert project.repro() == []
        write_houses(served / "houses.csv", rows=350)
        project.run("dvc", "update", "data/raw.csv.dvc")
        assert "ingest" in project.repro()
        first, second = project.runs()
        assert first["inputs"]["data/raw.csv"] != second["inputs"]["data/raw.csv"]
        server.shutdown()


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_every_shipped_option_publishes(scaffold: Scaffold, task: str) -> None:
    """Each model, preprocessing and split goes all the way, those other than the first together."""
    project = scaffold(task=task)
    models = {path.stem for path in (project.path / "conf/model").glob("*.yaml")}
    extra = {
        "catboost",
        "lightgbm",
        "xgboost",
        "xgboost_ray",
    }  # an experiment with one names the command
    assert extra < models
    assert len(models) >= 8
    project.repro()
    project.commit("first results")
    others = [
        ["preprocess=ordinal"],
        ["split=group", "data.group=island"],
        ["split=time", "data.time=year"],
    ]
    for model in sorted(models - extra - {"random_forest"}):
        chosen = [f"model={model}", *(others.pop() if others else [])]
        project.experiment(*(word for value in chosen for word in ("-S", value)))
    assert not others
    runs = project.runs()
    assert len(runs) == len(models - extra)
    assert {run["status"] for run in runs} == {"FINISHED"}
    assert all(len(run["models"]) == 1 for run in runs)
    absent = project.run("dvc", "exp", "run", "-S", "model=catboost", ok=False)
    assert "but catboost is not installed: `uv sync --extra boosting`" in absent


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A file server that does not log."""

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""
