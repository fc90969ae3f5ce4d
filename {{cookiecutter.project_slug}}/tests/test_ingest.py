"""ingest: any CSV or Parquet file becomes a typed table."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Compose
from omegaconf import DictConfig

from lockstep import LockstepError

from {{ cookiecutter.package_name }} import ingest

ROWS = 40
OUTCOMES = [str(1 + row % 2) for row in range(ROWS)]  # classes and numbers alike


def run(cfg: DictConfig, raw: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table, and the report by column."""
    table, columns = raw.with_name("table.parquet"), raw.with_name("columns.csv")
    ingest.main(cfg, raw, table, columns, raw.with_name("schema.yaml"))
    return pd.read_parquet(table), pd.read_csv(columns, index_col="column", na_filter=False)


def csv(folder: Path, columns: dict[str, list[str]]) -> Path:
    """A CSV file with an outcome and the columns given, a value of these being repeated."""
    repeated = {
        name: [values[row % len(values)] for row in range(ROWS)] for name, values in columns.items()
    }
    path = folder / "raw.csv"
    pd.DataFrame({"outcome": OUTCOMES, **repeated}).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("values", "kind", "first"),
    [
        ([" 7 ", "na", ""], "number", 7.0),
        (["$1,200", "$3"], "number", 1200.0),
        (["red", "green", ""], "category", "red"),
        (["yes", "No"], "boolean", True),
        (["2024-02-01", "2024-03-31", ""], "date", pd.Timestamp("2024-02-01")),
    ],
)
def test_kinds_are_inferred(
    values: list[str], kind: str, first: object, cfg: DictConfig, tmp_path: Path
) -> None:
    table, report = run(cfg, csv(tmp_path, {"column": values}))
    assert report.loc["column", "kind"] == kind, report
    assert table["column"].iloc[0] == first


def test_columns_without_information_are_left_out_with_a_note(
    cfg: DictConfig, tmp_path: Path
) -> None:
    ids = [str(row * row) for row in range(ROWS)]
    path = csv(tmp_path, {"empty": ["", "na"], "customer_id": ids, "other": ["1", "2", "3"]})
    table, report = run(cfg, path)
    assert report["kind"][["empty", "customer_id"]].tolist() == ["empty", "id"]
    assert all(note.startswith("left out: ") for note in report["note"][["empty", "customer_id"]])
    assert list(table) == ["outcome", "other"]


def test_the_config_overrides_what_is_inferred(composed: Compose, tmp_path: Path) -> None:
    types = {"zip": "category", "day": "%d/%m/%Y", "flag": "boolean"}
    cfg = composed(data__types=types, data__drop=["noise"])
    columns = {
        "zip": ["123", "456"],
        "day": ["03/04/2024", "04/04/2024"],
        "flag": ["1", "0"],
        "noise": ["1", "2"],
    }
    table, report = run(cfg, csv(tmp_path, columns))
    assert report["kind"][["zip", "day", "flag"]].tolist() == ["category", "date", "boolean"]
    assert table["day"].iloc[0] == pd.Timestamp("2024-04-03")
    assert report.loc["noise", "kind"] == "dropped"


def test_a_parquet_file_keeps_its_types(cfg: DictConfig, tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=ROWS)
    frame = pd.DataFrame({"outcome": OUTCOMES, "count": range(3, 2 * ROWS + 3, 2), "day": days})
    frame["size"] = pd.Categorical(["s", None, "l", "l"] * 10)
    frame.to_parquet(tmp_path / "raw.parquet")
    table, report = run(cfg, tmp_path / "raw.parquet")
    assert report["kind"][["count", "day", "size"]].tolist() == ["number", "date", "category"]
    assert table["size"].isna().sum() == 10


def test_rows_without_an_outcome_are_left_out(
    cfg: DictConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "raw.csv"
    path.write_text("outcome,size\n1,1\n,2\n2,3\nNA,4\n1,5\n")
    table, _ = run(cfg, path)
    assert table.index.tolist() == [1, 3, 5], "rows keep the number they have in the raw file"
    assert "2 rows left out: their outcome is missing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "values", "message"),
    [
        ("Outcome,size\n1,1\n2,2\n", {}, "did you mean 'Outcome'?"),
        ("outcome,size\n1,1\n1,2\n", {}, "nothing to predict"),
        ("outcome,size\n1,a\n2,b\n", {"data__types": {"size": "number"}}, "be read as number"),
    ],
)
def test_what_cannot_be_read_is_explained(
    content: str, values: dict[str, Any], message: str, composed: Compose, tmp_path: Path
) -> None:
    path = tmp_path / "raw.csv"
    path.write_text(content)
    with pytest.raises(LockstepError) as error:
        run(composed(**values), path)
    assert message in str(error.value)
