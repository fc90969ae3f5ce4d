"""`lockstep predict`: files of any size, with the version in what is written."""

import hashlib
import io
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from serving import estimator, packaged, penguins, rows
from sklearn.linear_model import LinearRegression
from tiny import Tiny, captured
from windows import line

from lockstep.cli import main
from lockstep.inference.columns import Column
from lockstep.inference.csv import open_csv
from lockstep.inference.kinds import KINDS
from lockstep.project import Project


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return penguins(tmp_path_factory.mktemp("model") / "penguins")


@pytest.fixture
def predict(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the verb in an empty folder; its exit code and its output."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str]:
        with captured() as output:
            code = main(["predict", *words, "--model", str(model), "--rows", "40"])
        return code, output[0]

    return run


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("made", ["csv", "parquet"])
def test_a_file_gets_the_answers_of_the_model(predict: Any, kind: str, made: str) -> None:
    table = rows(130, seed=5).assign(id=range(130))
    if kind == "csv":
        table.to_csv("new.csv", index=False)
    else:
        table.to_parquet("new.parquet")
    code, output = predict(f"new.{kind}", f"out/all.{made}")
    assert code == 0, output
    assert "130 rows in out/all" in output
    read = pd.read_csv if made == "csv" else pd.read_parquet
    found = read(f"out/all.{made}")
    assert found["id"].tolist() == list(range(130)), "the columns of the input are kept"
    features = table.drop(columns="id")
    assert found["prediction"].tolist() == estimator().predict(features).tolist()
    wanted = estimator().predict_proba(features)[:, 1]
    assert found["probability.Gentoo"].tolist() == pytest.approx(wanted.tolist())
    assert not list(Path("out").glob(".*"))


def test_a_folder_is_predicted_by_parts_and_what_is_complete_is_kept(predict: Any) -> None:
    for month in (1, 2, 3):
        Path(f"new/2024-0{month}").mkdir(parents=True)
        rows(50, seed=month).to_parquet(f"new/2024-0{month}/rows.parquet")
    assert predict("new", "out")[0] == 0
    first = Path("out/2024-01/rows.parquet")
    metadata = pq.read_schema(first).metadata
    assert metadata[b"lockstep.input"].endswith(b"new/2024-01/rows.parquet")
    times = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.parquet")}
    assert len(times) == 3
    rows(50, seed=9).to_parquet("new/2024-02/rows.parquet")
    Path("out/2024-03/rows.parquet").unlink()
    _, output = predict("new", "out")
    assert output.count("predicted before") == 1
    assert first.stat().st_mtime_ns == times[first]
    found = pd.read_parquet("out/2024-02/rows.parquet")
    assert found["mass"].tolist() == rows(50, seed=9)["mass"].tolist()


def test_a_pattern_chooses_files(predict: Any) -> None:
    for name in ("a1", "a2", "b1"):
        rows(10, seed=1).to_csv(f"{name}.csv", index=False)
    assert predict("a*.csv", "out")[0] == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["a1.parquet", "a2.parquet"]


def test_a_bad_row_stops_the_part_and_leaves_nothing_half_written(predict: Any) -> None:
    table = rows(90, seed=2)
    table.loc[77, "mass"] = None  # which the model needs
    table.to_parquet("new.parquet")
    code, output = predict("new.parquet", "out.parquet")
    assert code == 2
    assert "mass" in output
    assert "missing; the model needs a number" in output
    assert "in the rows after 40" in output
    assert [path.name for path in Path().iterdir()] == ["new.parquet"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none.csv", "out"), "there is no CSV or Parquet file at none.csv"),
        (("many", "out.parquet"), "many has 2 files, and out.parquet is one: name a folder"),
        (("empty.csv", "out.parquet"), "empty.csv"),
        (("words.csv", "out.parquet"), "words.csv cannot be read"),
        (("latin.csv", "out.parquet"), "latin.csv, in the rows after 0: 'utf-8' codec"),
        (("words.csv", "words.csv"), "words.csv is read, and would be overwritten"),
        (("twice", "out"), "two files of twice would become one of out"),
        (("nope://x/y", "out"), "nope://x/y cannot be used"),
    ],
)
def test_what_cannot_be_predicted(predict: Any, words: tuple[str, str], message: str) -> None:
    Path("many").mkdir()
    for name in ("many/a.csv", "many/b.csv"):
        rows(5).to_csv(name, index=False)
    Path("twice").mkdir()
    rows(5).to_csv("twice/a.csv", index=False)
    rows(5).to_parquet("twice/a.parquet")
    Path("latin.csv").write_bytes("größe\n1\n".encode("latin-1"))
    rows(0).to_csv("empty.csv", index=False)
    rows(5).astype({"mass": "str"}).assign(mass="heavy").to_csv("words.csv", index=False)
    code, output = predict(*words)
    assert code == 2
    assert message in output
    assert "Traceback" not in output


def test_several_predictions_for_a_row_are_several_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = rows(20)[["mass", "length"]].fillna(40.0)
    both = LinearRegression().fit(table, table * 2)
    folder = packaged(tmp_path / "both", both, table[:2])
    table.to_parquet("new.parquet")
    assert main(["predict", "new.parquet", "out.parquet", "--model", str(folder)]) == 0
    found = pd.read_parquet("out.parquet")
    assert found["prediction_1"].tolist() == pytest.approx((table["length"] * 2).tolist())
    assert list(found) == ["mass", "length", "prediction_0", "prediction_1"]


def test_predictions_of_a_registered_version_leave_a_run_of_their_own(
    tiny_published: Tiny,
) -> None:
    line(30, seed=1).to_csv(tiny_published.path / "new.csv", index=False)
    words = ("predict", "new.csv", "out.parquet", "--model", "models:/toy/1")
    output = tiny_published.lockstep(*words)
    assert "run: " in output
    assert "predicted before" in tiny_published.lockstep(*words)
    with tiny_published.entered():
        client = Project(tiny_published.path).store.client()
        version = client.get_model_version("toy", "1")
        found = client.get_experiment_by_name("toy-predictions")
        assert found
        runs = client.search_runs([found.experiment_id])
        assert len(runs) == 1, "the same input again is the same run"
        run = client.get_run(runs[0].info.run_id)
        assert run.data.tags["predict.run"] == version.run_id
        assert run.data.metrics["rows"] == 30
        assert run.data.params["version"] == "1"
        assert run.inputs
        data = run.inputs.dataset_inputs[0].dataset
        assert (data.name, data.digest) == ("new.csv", md5_of(tiny_published.path / "new.csv"))
        assert [f"models:/{item.model_id}" for item in run.inputs.model_inputs] == [version.source]


def md5_of(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def test_words_for_true_and_false_are_read_as_the_pipeline_reads_them() -> None:
    file = io.BytesIO(b"x,sold\n1,Yes\n2,no\n3,\n4,TRUE\n")
    columns = [Column("x", KINDS["double"], True), Column("sold", KINDS["boolean"], False)]
    table = open_csv(file, columns).read_all()
    assert table["sold"].to_pylist() == [True, False, None, True]
