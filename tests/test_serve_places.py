"""Answers and true values in databases and object stores, and what is predicted in one."""

from pathlib import Path

import pandas as pd
import pytest
import servers as real
from servers import Servers
from serving import ROW, penguins, rows, served, until
from tiny import captured

from lockstep import LockstepError
from lockstep.cli import main
from lockstep.serve.places import place_of
from lockstep.serve.records import find_request
from lockstep.serve.settings import LogSettings
from lockstep.serve.traffic import true_values


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return penguins(tmp_path_factory.mktemp("model") / "penguins")


def keeps_answers_and_true_values(place: str, folder: Path, labels: Path) -> None:
    """Ask a server whose log is there, tell it what is true, and find it again."""
    with served(folder, LogSettings(place, seconds=0.05)) as client:
        for number in range(3):
            body = {"rows": [{**ROW, "length": None}, ROW]}
            sent = client.post("/predict", body, **{"x-request-id": f"r{number}"})
            assert sent.status == 200
        told = client.post("/feedback", {"request_id": "r0", "values": ["Adelie", "Gentoo"]})
        assert told.status == 202
    labels.write_text("request_id,row,value\nr1,1,Gentoo\nr1,0,\nr9,0,Adelie\nr0,0,Gentoo\n")
    code, output = command("feedback", str(labels), "--log", place)
    assert code == 0, output
    assert "2 true values added to" in output
    assert "left out: 1 value of requests that it does not have" in output
    log = place_of(place)
    found, truths = find_request(log, "r0")
    assert truths == {0: "Gentoo", 1: "Gentoo"}, "the later value counts"
    assert [{name: row[name] for name in ROW} for row in found] == [{**ROW, "length": None}, ROW]
    assert [row["_prediction"] for row in found] == sent.json["predictions"]
    shares = [row["_probability.Gentoo"] for row in found]
    assert shares == [item["Gentoo"] for item in sent.json["probabilities"]]
    assert found[0]["_time"].tzinfo
    assert len(true_values(log)) == 3
    assert find_request(log, "nobody") == ([], {})


def command(*words: str) -> tuple[int, str]:
    with captured() as output:
        code = main(words)
    return code, output[0]


def test_sqlite(folder: Path, tmp_path: Path) -> None:
    place = f"sqlite:///{tmp_path / 'log.db'}"
    assert find_request(place_of(place), "r0") == ([], {})
    assert not (tmp_path / "log.db").exists(), "reading creates nothing"
    keeps_answers_and_true_values(place, folder, tmp_path / "labels.csv")


def test_files(folder: Path, tmp_path: Path) -> None:
    keeps_answers_and_true_values(str(tmp_path / "log"), folder, tmp_path / "labels.csv")


def test_postgresql(
    folder: Path, tmp_path: Path, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, login, server = real.postgres(servers)
    place = url.replace("postgresql:", "postgresql+psycopg:")
    with pytest.raises(LockstepError, match="password") as error:
        place_of(place).open()
    assert "mlflow@" not in str(error.value)
    for name, value in login.items():
        monkeypatch.setenv(name, value)
    keeps_answers_and_true_values(place, folder, tmp_path / "labels.csv")
    with served(folder, LogSettings(place, seconds=0.05)) as client:
        server.stop()
        assert client.post("/predict", {"rows": [ROW]}).status == 200
        until(lambda: "cannot be used" in client.get("/ready").json["problems"].get("log", ""))


@pytest.fixture
def bucket(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a bucket on an S3 server."""
    for name, value in real.object_store(servers).items():
        monkeypatch.setenv(name, value)
    return "s3://data"


def test_an_object_store(folder: Path, tmp_path: Path, bucket: str) -> None:
    keeps_answers_and_true_values(f"{bucket}/log", folder, tmp_path / "labels.csv")
    table = rows(130, seed=5)
    for number in (1, 2):
        table.to_parquet(f"{bucket}/in/part{number}.parquet", index=False)
    words = ("predict", f"{bucket}/in", f"{bucket}/out", "--model", str(folder), "--rows", "40")
    code, output = command(*words)
    assert code == 0, output
    assert "260 rows in s3://data/out" in output
    found = pd.read_parquet(f"{bucket}/out/part2.parquet")
    assert found["mass"].tolist() == table["mass"].tolist()
    assert found["prediction"].isin(["Adelie", "Gentoo"]).all()
    assert command(*words)[1].count("predicted before") == 2
    table.iloc[:5].assign(mass=None).to_parquet(f"{bucket}/in/part2.parquet", index=False)
    code, output = command(*words)
    assert code == 2
    assert "mass in row 0: missing" in output
    assert pd.read_parquet(f"{bucket}/out/part2.parquet").equals(found), "the old one is whole"


def test_places_that_cannot_be(tmp_path: Path) -> None:
    for place, message in (
        ("nope://x/y", "nope://x/y cannot be used"),
        ("mysql+nodriver://u:s3cret@h/d", "the prediction log mysql+nodriver://h/d cannot be used"),
    ):
        with pytest.raises(LockstepError, match=message.replace("+", r"\+")) as error:
            place_of(place).open()
        assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("request_id,value\nr0,Adelie\n", "the log has no answers yet"),
        ("request,value\nr0,Adelie\n", "no column request_id"),
        ("", "cannot be read"),
    ],
)
def test_feedback_that_fits_nothing(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    code, output = command("feedback", str(tmp_path / "labels.csv"), "--log", str(tmp_path / "log"))
    assert (code, message in output) == (2, True), output
