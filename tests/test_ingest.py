"""Ingest: any CSV or Parquet file becomes a typed table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from omegaconf import DictConfig
from stages import composed, stage

from lockstep import LockstepError

ROWS = 40
OUTCOMES = [str(1 + row % 2) for row in range(ROWS)]  # classes and numbers alike


def run(cfg: DictConfig, raw: Path) -> tuple[Any, ...]:
    """The table, and the report by column."""
    table, columns = raw.with_name("table.parquet"), raw.with_name("columns.csv")
    stage("ingest").main(cfg, raw, table, columns, raw.with_name("schema.yaml"))
    return pd.read_parquet(table), pd.read_csv(columns, index_col="column", na_filter=False)


def csv(
    folder: Path, columns: dict[str, list[str]], delimiter: str = ",", encoding: str = "utf-8"
) -> Path:
    """A CSV file with an outcome and the columns given, a value of these being repeated."""
    repeated = {
        name: [values[row % len(values)] for row in range(ROWS)] for name, values in columns.items()
    }
    path = folder / "raw.csv"
    frame = pd.DataFrame({"outcome": OUTCOMES, **repeated})
    frame.to_csv(path, index=False, sep=delimiter, encoding=encoding)
    return path


@pytest.mark.parametrize(
    ("values", "kind", "first"),
    [
        (["1", "2.5", "-3e2"], "number", 1.0),
        ([" 7 ", "na", ""], "number", 7.0),
        (["1,234.5", "12"], "number", 1234.5),
        (["$1,200", "$3"], "number", 1200.0),
        (["12 %", "7%"], "number", 12.0),
        (["1,5", "20,25"], "number", 1.5),
        (["1.234,5", "7"], "number", 1234.5),
        (["0,125", "0,250"], "number", 0.125),
        (["1 234,5", "7"], "number", 1234.5),
        (["5 kg", "7.5 kg"], "number", 5.0),
        (["10k", "950"], "number", 10000.0),
        (["3", "-", "unknown", "4"], "number", 3.0),
        (["red", "green", ""], "category", "red"),
        (["0042", "1234"], "category", "0042"),
        (["yes", "No"], "boolean", True),
        (["TRUE", "false"], "boolean", True),
        (["yes", "no", ""], "category", "yes"),
        (["0", "1"], "number", 0.0),
        (["2024-02-01", "2024-03-31", ""], "date", pd.Timestamp("2024-02-01")),
        (["2024-02-01 10:30Z", "2024-03-01 00:00+02:00"], "date", pd.Timestamp("2024-02-01 10:30")),
        (["31.01.2024", "01.02.2024"], "date", pd.Timestamp("2024-01-31")),
        (["01/31/2024 14:05", "02/01/2024 00:00"], "date", pd.Timestamp("2024-01-31 14:05")),
        (["5 Jan 2024", "10 Feb 2024"], "date", pd.Timestamp("2024-01-05")),
        (["2024-01-05", "06.01.2024", "0000-00-00"], "date", pd.Timestamp("2024-01-05")),
    ],
)
def test_kinds_are_inferred(
    values: list[str], kind: str, first: object, cfg: DictConfig, tmp_path: Path
) -> None:
    table, report = run(cfg, csv(tmp_path, {"column": values}))
    assert report.loc["column", "kind"] == kind, report
    assert table["column"].iloc[0] == first


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("empty", ["", "na"], "empty"),
        ("constant", ["x"], "constant"),
        ("", [str(row) for row in range(ROWS)], "id"),
        ("customer_id", [str(row * row) for row in range(ROWS)], "id"),
        ("ticket", [f"{row * 7919:08x}" for row in range(ROWS)], "id"),
        ("review", [f"a long review number {row} of many words" for row in range(ROWS)], "text"),
    ],
)
def test_columns_without_information_are_left_out_with_a_note(
    name: str, values: list[str], kind: str, cfg: DictConfig, tmp_path: Path
) -> None:
    path = csv(tmp_path, {name: values, "other": ["1", "2", "3"]})
    table, report = run(cfg, path)
    shown = name or "column_2"
    assert report.loc[shown, "kind"] == kind
    assert str(report.loc[shown, "note"]).startswith("left out: ")
    assert list(table) == ["outcome", "other"]


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "rownames"])
@pytest.mark.parametrize(
    ("first", "kind"),
    [
        (lambda row: 29442 + 15 * row, "id"),
        (lambda row: row + 1, "id"),
        (lambda row: f"Country {row}", "id"),
        (lambda row: f"2024-01-{row + 1:02d}", "date"),
        (lambda row: row + 0.5, "number"),
        (lambda row: row // 2, "number"),
    ],
)
def test_names_of_rows_in_the_first_column_are_left_out(
    name: str, first: Callable[[int], object], kind: str, cfg: DictConfig, tmp_path: Path
) -> None:
    path = tmp_path / "raw.csv"
    lines = [f"{first(row)},{row % 7},{row % 2}" for row in range(18)]
    path.write_text("\n".join([f"{name},size,outcome", *lines, ""]))
    table, report = run(cfg, path)
    shown = name or "column_1"
    assert report.loc[shown, "kind"] == kind
    assert (shown in table) == (kind != "id")
    if kind == "id":
        assert "left out: names of the rows; data.types: " in str(report.loc[shown, "note"])


@pytest.mark.parametrize(
    ("name", "values", "kind", "note"),
    [
        ("order_no", lambda row: 1000 + row * row, "id", "left out: it tells the rows apart"),
        ("account", lambda row: 90000 - row * row, "id", "left out: it tells the rows apart"),
        ("code", lambda row: 7 * row * (-1) ** row, "id", "left out: it tells the rows apart"),
        ("n", lambda row: row + 1, "id", "left out: it counts the rows; data.types: number"),
        ("Year", lambda row: 1790 + row, "number", "rises from row to row"),
        ("ref", lambda row: 5 + row * row, "number", "add it to data.drop"),
        ("code", lambda row: row % 9, "number", ""),
        ("income", lambda row: 20000 + (row * 7919) % 1013, "number", ""),
        ("no", lambda row: row % 5, "number", ""),
    ],
)
def test_what_is_left_out_or_kept_on_suspicion_is_said(
    name: str,
    values: Callable[[int], int],
    kind: str,
    note: str,
    cfg: DictConfig,
    tmp_path: Path,
) -> None:
    path = csv(tmp_path, {name: [str(values(row)) for row in range(ROWS)], "other": ["1", "2"]})
    _, report = run(cfg, path)
    assert report.loc[name, "kind"] == kind
    assert note in str(report.loc[name, "note"])
    assert note or report.loc[name, "note"] == ""


def test_a_counter_of_the_rows_can_be_kept(tmp_path: Path) -> None:
    path = csv(tmp_path, {"day": [str(row + 1) for row in range(ROWS)]})
    assert "day" in run(composed(data__types={"day": "number"}), path)[0]
    assert "day" in run(composed(data__time="day"), path)[0]


@pytest.mark.parametrize(
    ("labels", "note"),
    [
        (["Yes", "yes", "YES", "no"], "'Yes', 'yes', 'YES' are different values"),
        (["a;b", "a", "b;c", "c", "a;b;c"], "'a;b' is one value, though it looks like several"),
        (["St. Louis, MO", "Austin, TX"], ""),
        (["yes", "no", "maybe"], ""),
    ],
)
def test_odd_labels_are_noted(labels: list[str], note: str, tmp_path: Path) -> None:
    path = csv(tmp_path, {"label": labels, "again": labels, "size": ["1", "2", "3"]})
    cfg = composed(data__task="classification", data__target="label")
    table, report = run(cfg, path)
    assert table["label"].nunique() == len(labels), "nothing is merged"
    assert report.loc["label", "note"] == (f"the target; {note}" if note else "the target")
    if report.loc["again", "kind"] == "category":
        assert report.loc["again", "note"] == note


@pytest.mark.parametrize(
    "labels", [["9007199254740992", "9007199254740993"], ["1e308", "-1e308"], ["1e308", "9e307"]]
)
def test_classes_that_are_huge_numbers_stay_apart(labels: list[str], tmp_path: Path) -> None:
    path = csv(tmp_path, {"label": labels, "size": ["1", "2", "3"]})
    cfg = composed(data__task="classification", data__target="label")
    assert sorted(run(cfg, path)[0]["label"].unique()) == sorted(labels)


def test_the_config_overrides_what_is_inferred(tmp_path: Path) -> None:
    types = {"zip": "category", "day": "%d/%m/%Y", "flag": "boolean", "ticket": "category"}
    cfg = composed(data__types=types, data__drop=["noise"])
    columns = {
        "zip": ["123", "456"],
        "day": ["03/04/2024", "04/04/2024"],
        "flag": ["1", "0"],
        "ticket": [f"t{row}" for row in range(ROWS)],
        "noise": ["1", "2"],
    }
    path = csv(tmp_path, columns)
    table, report = run(cfg, path)
    assert report["kind"][["zip", "day", "flag"]].tolist() == ["category", "date", "boolean"]
    assert table["day"].iloc[0] == pd.Timestamp("2024-04-03")
    assert "ticket" in table
    assert report.loc["noise", "kind"] == "dropped"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_delimiter_and_encoding_are_detected(
    delimiter: str, encoding: str, cfg: DictConfig, tmp_path: Path
) -> None:
    columns = {"Größe": ["1", "2"], "stadt": ["Köln, Süd", 'a "b"; c\n|d']}
    path = csv(tmp_path, columns, delimiter, encoding)
    table, _ = run(cfg, path)
    assert table["Größe"].dtype == "float64"
    assert table["stadt"].unique().tolist() == ["Köln, Süd", 'a "b"; c\n|d']


def test_a_parquet_file_keeps_its_types(cfg: DictConfig, tmp_path: Path) -> None:
    path = tmp_path / "raw.parquet"
    days = pd.Series(pd.date_range("2024-01-01", periods=ROWS, tz="Europe/Berlin"))
    frame = pd.DataFrame({"outcome": OUTCOMES, "count": range(3, 2 * ROWS + 3, 2), "day": days})
    frame["size"] = pd.Categorical(["s", None, "l", "l"] * 10)
    frame["flag"] = pd.array([True, False, None, True] * 10, dtype="boolean")
    frame["list"] = [[1, 2]] * ROWS
    frame.to_parquet(path)
    table, report = run(cfg, path)
    names = ["count", "day", "size", "flag", "list"]
    kinds = ["number", "date", "category", "category", "nested"]
    assert report["kind"][names].tolist() == kinds
    assert table["size"].isna().sum() == 10


def test_rows_without_an_outcome_are_left_out(
    cfg: DictConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "raw.csv"
    path.write_text("outcome,size\n1,1\n,2\n2,3\nNA,4\n1,5\n")
    table, _ = run(cfg, path)
    assert table.index.tolist() == [1, 3, 5], "rows keep the number they have in the raw file"
    assert "2 rows left out: their outcome is missing" in capsys.readouterr().out


def test_classes_stay_as_they_are_and_numbers_become_floats(tmp_path: Path) -> None:
    path = csv(tmp_path, {"size": ["1", "2", "3"]})
    assert run(composed(data__task="classification"), path)[0]["outcome"].dtype == "int64"
    assert run(composed(data__task="regression"), path)[0]["outcome"].dtype == "float64"
    path = csv(tmp_path, {"size": ["1", "2", "3"], "yes": ["yes", "no"]})
    cfg = composed(data__task="classification", data__target="yes")
    assert set(run(cfg, path)[0]["yes"]) == {"yes", "no"}


@pytest.mark.parametrize(
    ("content", "values", "message"),
    [
        ("Outcome,size\n1,1\n2,2\n", {}, "did you mean 'Outcome'?"),
        ("outcome,size,size\n1,1,1\n2,2,2\n", {}, "more than one column named 'size'"),
        ("outcome,size\n1,1\n2,2,3\n", {}, "Expected 2 columns, got 3"),
        ("outcome,size\n", {}, "no rows"),
        ("outcome,size\n1,1\n1,2\n", {}, "nothing to predict"),
        ("outcome\n1\n2\n", {}, "no column is left to learn from"),
        ("outcome,size\nlow,1\nhigh,2\n", {"data__task": "regression"}, "'low', not a number"),
        ("outcome,size\n1,a\n2,b\n", {"data__types": {"size": "number"}}, "be read as number"),
        ("outcome,size\n1,1\n2,2\n", {"data__drop": ["sise"]}, "data.drop: the raw table has no"),
    ],
)
def test_what_cannot_be_read_is_explained(
    content: str, values: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "raw.csv"
    path.write_text(content)
    with pytest.raises(LockstepError) as error:
        run(composed(**values), path)
    assert message in str(error.value)


def test_a_large_file_takes_seconds(cfg: DictConfig, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(20_000, 10))).add_prefix("x")
    frame.assign(outcome=random.integers(0, 2, 20_000)).to_csv(tmp_path / "raw.csv", index=False)
    table, report = run(cfg, tmp_path / "raw.csv")
    assert table.shape == (20_000, 11)
    assert set(report["missing"]) == {0}


DIFFICULT = {
    "plain": ["1", "2.5", "-3"],
    "marked": ["1.5", "2", "-", "unknown", *map(str, range(30))],
    "decimal_comma": ["1,5", "20,25", "-", *(f"{n},{n}" for n in range(1, 30))],
    "thousands": ["1,234.5", "12", "1.75", "23,456"],
    "either_mark": ["1.234", "2.345", "17"],
    "unit": ["5 kg", "7.5 kg", "9", "8kg", "1,250.5 kg"],
    "two_units": ["5 kg", "7 lb", "9 kg"],
    "percent": ["12 %", "7%", "3 %", "4.5 %"],
    "mostly_numbers": [*map(str, range(39)), "oops"],
    "iso": [f"2024-02-{day:02}" for day in range(1, 29)],
    "iso_and_gaps": ["2024-02-01 10:00", "2024-03-31 00:30", "", "0000-00-00"],
    "bad_day": [*(f"2024-02-{day:02}" for day in range(1, 29)), "2024-02-30"],
    "day_first": [f"{day:02}.03.2024" for day in range(1, 32)],
    "either_order": ["01/02/2024", "03/04/2024", "05/06/2024"],
    "words": ["3. März 2024", "17. Mai 2024"],
    "codes": ["0042", "1234"],
    "answer": ["yes", "No"],
    "answer_or_not": ["yes", "no", ""],
    "colours": ["red", "Red", " green ", "NA", "é"],
    "serial": [f"#{n:x}" for n in range(0, 4000, 7)],
    "digits": [repr(1 / n) for n in range(3, 40)],
}


def test_a_table_is_read_the_same_in_small_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    size = 600  # beyond 2**20 rows, a table is read, typed and written in pieces
    names = ["outcome", *DIFFICULT]
    values = {name: [part[n % len(part)] for n in range(size)] for name, part in DIFFICULT.items()}
    frame = pd.DataFrame({"outcome": [*"ab"] * (size // 2), **values})[names]
    frame.loc[[7, 599], "outcome"] = ""
    found = []
    for piece in (2**20, 64):
        folder = tmp_path / str(piece)
        folder.mkdir()
        frame.to_csv(folder / "raw.csv", index=False)
        monkeypatch.setattr(stage("parsing"), "PIECE", piece)
        monkeypatch.setattr(stage("parsing"), "BULK", piece)
        monkeypatch.setattr(stage("tables"), "GROUP", piece)
        monkeypatch.setattr(stage("reading"), "BLOCK", 128 * piece)
        found.append(run(composed(), folder / "raw.csv"))
        printed = capsys.readouterr().out.replace(folder.as_posix(), "")
        found[-1] += (printed, (folder / "schema.yaml").read_text())
        assert sorted(path.name for path in folder.iterdir()) == [
            "columns.csv",
            "raw.csv",
            "schema.yaml",
            "table.parquet",
        ]
    (table, report, *texts), (table_again, report_again, *texts_again) = found
    pd.testing.assert_frame_equal(report, report_again)
    pd.testing.assert_frame_equal(table, table_again)
    assert texts == texts_again
