"""What `lockstep serve` keeps: answers, true values, what a second version says; and its trace."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import psutil
import pytest
from serving import ROW, Client, penguins, rows, served, until
from tiny import Tiny

from lockstep.project import Project
from lockstep.serve.places import place_of
from lockstep.serve.records import find_request
from lockstep.serve.settings import LogSettings
from lockstep.serve.source import Registry, Trust

SEVERAL = json.loads(rows(5, seed=3).to_json(orient="records"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return penguins(tmp_path_factory.mktemp("model") / "penguins")


def ask(client: Client, name: str, body: Any = None, **headers: str) -> Any:
    answer = client.post("/predict", {"rows": body or [ROW]}, **{"x-request-id": name}, **headers)
    assert answer.status == 200, answer.text
    return answer.json


def kept(place: Path) -> pd.DataFrame:
    files = sorted(place.glob("answers/date=*/*.parquet"))
    return pd.concat([pd.read_parquet(file, partitioning=None) for file in files])


def test_each_answer_is_kept_with_its_rows_by_the_end_of_the_server(
    folder: Path, tmp_path: Path
) -> None:
    with served(folder, LogSettings(str(tmp_path / "log"), seconds=0.05)) as client:
        first = ask(client, "first", SEVERAL)
        until(lambda: list((tmp_path / "log").glob("answers/*/*.parquet")))
        second = client.post("/invocations", {"inputs": {**ROW, "mass": 2**60, "length": None}})
        assert second.status == 200
    table = kept(tmp_path / "log")
    assert len(table) == len(SEVERAL) + 1
    mine = table[table["_request"] == "first"].sort_values("_row")
    assert mine["_prediction"].tolist() == first["predictions"]
    assert mine["_probability.Gentoo"].tolist() == [
        share["Gentoo"] for share in first["probabilities"]
    ]
    assert json.loads(mine[list(ROW)].to_json(orient="records")) == SEVERAL
    assert table.dtypes[list(ROW)].astype(str).tolist() == ["str", "float64", "float64", "bool"]
    assert second.headers["x-request-id"] in set(table["_request"])


def test_columns_and_requests_are_left_out_on_demand(folder: Path, tmp_path: Path) -> None:
    with served(folder, LogSettings(str(tmp_path), drop={"island"}, sample=0.5)) as client:
        for number in range(40):
            ask(client, f"r{number}")
    table = kept(tmp_path)
    assert "island" not in table
    assert 5 < len(table) < 35


def test_small_files_of_a_day_become_one(folder: Path, tmp_path: Path) -> None:
    with (
        mock.patch("lockstep.serve.parquet.MERGED", 4),
        served(folder, LogSettings(str(tmp_path), seconds=0.02)) as client,
    ):
        for number in range(8):
            ask(client, f"r{number}")
            until(lambda number=number: find_request(place_of(str(tmp_path)), f"r{number}")[0])
    assert len(list(tmp_path.glob("answers/*/*.parquet"))) <= 4
    assert sorted(kept(tmp_path)["_request"]) == [f"r{number}" for number in range(8)]


def test_a_full_disk_stops_the_log_and_not_the_answers(folder: Path, tmp_path: Path) -> None:
    full = OSError(28, "No space left on device")
    with served(folder, LogSettings(str(tmp_path), seconds=0.02)) as client:
        with mock.patch("pyarrow.parquet.write_table", side_effect=full):
            ask(client, "lost")
            until(lambda: "log" in client.get("/ready").json["problems"])
            assert "No space left" in client.get("/ready").json["problems"]["log"]
            assert client.get("/ready").status == 200
            ask(client, "lost too")
            until(lambda: "lockstep_log_dropped_rows 2.0" in client.get("/metrics").text)
            assert 'lockstep_problem{kind="log"} 1.0' in client.get("/metrics").text
        ask(client, "kept")
        until(lambda: not client.get("/ready").json["problems"])
    assert kept(tmp_path)["_request"].tolist() == ["kept"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"request_id": "a"},
        {"request_id": "a", "values": []},
        {"request_id": "a", "values": "x"},
        {"request_id": "a", "values": ["x", 1]},
        {"request_id": "a", "values": [None]},
        {"request_id": 1, "values": ["x"]},
        {"request_id": "a", "values": [{"x": 1}]},
    ],
)
def test_feedback_in_another_form_is_refused(feedback: Client, body: Any) -> None:
    answer = feedback.post("/feedback", body)
    assert (answer.status, '"values": [...]' in answer.json["detail"][0]["msg"]) == (422, True)


@pytest.fixture(scope="module")
def feedback(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with served(folder, LogSettings(str(tmp_path_factory.mktemp("log")))) as client:
        yield client


def test_feedback_needs_a_log(folder: Path) -> None:
    with served(folder) as client:
        answer = client.post("/feedback", {"request_id": "a", "values": ["Adelie"]})
        assert (answer.status, "--log" in answer.text) == (404, True)


@pytest.fixture
def project(tiny_rivals: Tiny) -> Iterator[Project]:
    """A project with two versions of a model: champion and challenger."""
    with tiny_rivals.entered():
        yield Project(tiny_rivals.path)


def registry(project: Project, word: str) -> Registry:
    return Registry(project.store, "toy", word, project.root / "copies", Trust(code=True))


def test_an_answer_is_traced_to_its_run_commit_and_data(
    project: Project, tiny_rivals: Tiny
) -> None:
    log = LogSettings(str(project.root / "predictions"), seconds=0.02)
    with served(registry(project, "champion"), log) as client:
        answer = ask(client, "0" * 32, [{"x": 3}, {"x": 4.5}])
        sent = client.post("/feedback", {"request_id": "0" * 32, "values": [6.5, 9]})
        assert (sent.status, sent.json) == (202, {"accepted": 2})
    node = json.loads(tiny_rivals.lockstep("trace", "0" * 32, "--json"))
    assert [row["input"] for row in node["rows"]] == [{"x": 3}, {"x": 4.5}]
    assert [row["prediction"] for row in node["rows"]] == answer["predictions"]
    assert [row["actual"] for row in node["rows"]] == [6.5, 9]
    origin = node["came_from"]
    assert origin["version"] == "models:/toy/1"
    run = project.store.client().get_model_version("toy", "1").run_id
    assert (origin["id"], list(origin["came_from"]["data"])) == (run, ["data/raw.csv"])
    assert origin["came_from"]["code"]["commit"]
    tree = tiny_rivals.lockstep("trace", "0" * 32)
    for text in ("request 000", "row 0", "prediction: ", "version: models:/toy/1", "data/raw.csv"):
        assert text in tree, tree
    assert "nor a request in predictions" in tiny_rivals.lockstep("trace", "nobody", ok=False)


def test_a_shadow_predicts_besides_and_is_only_kept(project: Project) -> None:
    log = LogSettings(str(project.root / "log"), seconds=0.02)
    with served(registry(project, "champion"), log, registry(project, "challenger")) as client:
        answer = ask(client, "both", [{"x": 3}])
        assert answer["version"] == "1"
        until(lambda: "lockstep_shadow_rows_total" in client.get("/metrics").text)
        until(lambda: len(find_request(place_of(log.place), "both")[0]) == 2)
    roles = {row["_role"]: row for row in find_request(place_of(log.place), "both")[0]}
    assert roles["champion"]["_prediction"] == answer["predictions"][0]
    assert roles["shadow"]["_version"] == "2"
    assert roles["shadow"]["_prediction"] != answer["predictions"][0]


def test_a_split_gives_each_key_the_same_version(project: Project) -> None:
    log = LogSettings(str(project.root / "log"))
    second = registry(project, "challenger")
    with served(registry(project, "champion"), log, second, split=0.3) as client:
        chosen = {
            key: {
                ask(client, f"{key}-{n}", [{"x": 3}], **{"x-split-key": key})["version"]
                for n in "ab"
            }
            for key in map(str, range(60))
        }
    assert all(len(versions) == 1 for versions in chosen.values())
    seconds = sum(versions == {"2"} for versions in chosen.values())
    assert 6 < seconds < 32
    table = kept(project.root / "log")
    assert set(zip(table["_role"], table["_version"], strict=True)) == {
        ("champion", "1"),
        ("challenger", "2"),
    }


def test_options_that_do_not_fit_are_refused(tiny_rivals: Tiny) -> None:
    for words, message in (
        (["--split", "challenger"], "write challenger=10"),
        (["--split", "challenger=0"], "write challenger=10"),
        (["--split", "challenger=5", "--shadow", "challenger"], "choose one"),
        (["conf", "--shadow", "challenger"], "need a registered model"),
        (["--shadow", "nobody", "--port", "0"], "models:/toy@nobody does not exist"),
    ):
        assert message in tiny_rivals.lockstep("serve", *words, ok=False)


def test_a_killed_server_loses_only_what_it_had_not_written(tiny_rivals: Tiny) -> None:
    log = tiny_rivals.path / "kept"
    options = ["--log", str(log), "--log-seconds", "0.2", "--port", "0"]
    with started(tiny_rivals, *options) as (process, client):
        known = [client.post("/predict", {"rows": [{"x": 1}]}).json["request_id"] for _ in range(9)]
        until(lambda: find_request(place_of(str(log)), known[-1])[0])
        for _ in range(3):
            client.post("/predict", {"rows": [{"x": 1}]})
        process.kill()
        process.wait()
    for request in known:
        assert len(find_request(place_of(str(log)), request)[0]) == 1
    assert not [path for path in log.rglob("*") if path.is_file() and path.stat().st_size == 0]


def test_several_workers_answer_at_one_address(tiny_rivals: Tiny) -> None:
    with started(tiny_rivals, "--workers", "2", "--port", "0") as (process, client):
        until(lambda: len(psutil.Process(process.pid).children(recursive=True)) >= 2, 60)
        until(lambda: answers(client), 120)
        answer = client.get("/metrics")
        assert answer.status == 501
        assert "each worker would count for itself" in answer.text


def answers(client: Client) -> bool:
    with contextlib.suppress(OSError):  # a worker imports for as long as the machine needs
        return client.post("/predict", {"rows": [{"x": 1}]}).status == 200
    return False


@contextlib.contextmanager
def started(project: Tiny, *options: str) -> Iterator[tuple["subprocess.Popen[str]", Client]]:
    """The command in a separate process."""
    with project.entered():
        process = subprocess.Popen(
            [sys.executable, "-m", "lockstep", "serve", "models:/toy/1", *options],
            stdout=subprocess.PIPE,
            text=True,
        )
    try:
        assert process.stdout
        address = process.stdout.readline().split(";")[0]
        yield process, Client(int(address.rpartition(":")[2]))
    finally:
        process.terminate()
        process.communicate()
