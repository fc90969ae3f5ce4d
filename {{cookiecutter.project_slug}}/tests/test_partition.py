"""Raw data in several files: each is read as the whole, and what does not fit is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Compose
from omegaconf import OmegaConf

from lockstep import LockstepError
from lockstep.partitions.mapping import Options, map_partitions

from {{ cookiecutter.package_name }}.split import choose_test_rows
from {{ cookiecutter.package_name }}.tables import read_table

MODULE = "{{ cookiecutter.package_name }}.partition"
DVC = """
stages:
  ingest: {cmd: lockstep map ..., deps: [raw], params: [data]}
"""
Ingest = Callable[..., pd.DataFrame]


@pytest.fixture
def ingest(
    table: pd.DataFrame, composed: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Ingest:
    """Writes the small table in three files, changed as asked, and reads them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STAGE", "ingest")
    Path("dvc.yaml").write_text(DVC)
    for number, rows in enumerate(np.array_split(np.arange(len(table)), 3), start=8):
        write(f"{number}.csv", table.iloc[rows])

    def ingested(**values: Any) -> pd.DataFrame:
        cfg = composed(**values)
        Path("params.yaml").write_text(OmegaConf.to_yaml(cfg))
        paths = [Path("schema.yaml")]
        map_partitions(MODULE, Path("raw"), Path("table"), paths, Options(".parquet"))
        return read_table(Path("table"))

    return ingested


def write(name: str, rows: pd.DataFrame) -> None:
    """Write a raw file."""
    (Path("raw") / name).parent.mkdir(parents=True, exist_ok=True)
    rows.to_csv(Path("raw") / name, index=False)


def raw(name: str) -> pd.DataFrame:
    """A raw file, as text."""
    return pd.read_csv(Path("raw") / name, dtype="str")


def test_all_files_together_are_the_table(ingest: Ingest, table: pd.DataFrame) -> None:
    found = ingest()
    assert list(found.index.get_level_values("partition").unique()) == ["8.csv", "9.csv", "10.csv"]
    pd.testing.assert_frame_equal(found.reset_index(drop=True), table.reset_index(drop=True))


def test_a_file_is_read_as_the_whole_even_if_it_shows_less(
    ingest: Ingest, table: pd.DataFrame
) -> None:
    ingest()
    few = table.tail(2).assign(is_new=True, weight=None, colour="red", size=7)
    write("11.csv", few)
    added = pd.DataFrame(ingest().loc["11.csv"])
    assert list(added.dtypes) == list(table.dtypes)
    assert added["weight"].isna().all()


def test_a_new_column_is_refused_until_it_is_dropped(ingest: Ingest) -> None:
    ingest()
    write("11.csv", raw("10.csv").assign(wind=3))
    with pytest.raises(LockstepError, match=r"(?s)11\.csv.*wind is new: add it to data\.drop"):
        ingest()
    assert "wind" not in ingest(data__drop=["wind"])


def test_a_missing_column_is_refused_unless_it_is_optional_or_renamed(ingest: Ingest) -> None:
    ingest()
    rows = raw("10.csv")
    write("11.csv", rows.drop(columns="weight"))
    with pytest.raises(LockstepError, match=r"(?s)11\.csv.*weight is missing"):
        ingest()
    assert ingest(data__optional=["weight"]).loc["11.csv"]["weight"].isna().all()
    write("11.csv", rows.rename(columns={"weight": "mass"}))
    found = ingest(data__rename={"mass": "weight"})
    assert found.loc["11.csv"]["weight"].notna().any()


@pytest.mark.parametrize(("column", "value"), [("size", "big"), ("is_new", "7"), ("sold", "soon")])
def test_a_column_of_another_type_is_refused(ingest: Ingest, column: str, value: str) -> None:
    ingest()
    write("11.csv", raw("10.csv").assign(**{column: value}))
    with pytest.raises(LockstepError, match=rf"(?s)11\.csv.*{column}"):
        ingest()


def test_differences_are_found_before_there_is_a_schema(ingest: Ingest) -> None:
    rows = raw("10.csv")
    write("10.csv", rows.assign(wind=3))
    with pytest.raises(LockstepError, match=r"10\.csv has a column 'wind', .* missing in 8\.csv"):
        ingest()
    write("10.csv", rows.assign(size="large"))
    with pytest.raises(LockstepError, match=r"'size' is a number in 8\.csv, 9\.csv, but not in 10"):
        ingest()


def test_names_of_folders_are_columns(ingest: Ingest) -> None:
    for number in (8, 9, 10):
        Path(f"raw/year={2000 + number}").mkdir()
        Path(f"raw/{number}.csv").rename(f"raw/year={2000 + number}/part.csv")
    found = ingest()
    assert set(found["year"]) == {2008, 2009, 2010}


def test_a_misspelt_name_in_the_config_is_refused(ingest: Ingest) -> None:
    ingest()
    with pytest.raises(LockstepError, match=r"data\.types.*did you mean 'colour'"):
        ingest(data__types={"color": "category"})


def test_the_last_partitions_test_what_came_before(ingest: Ingest, composed: Compose) -> None:
    rows = ingest()
    cfg = composed(split__strategy="partitions", split__test_size=1)
    is_test = choose_test_rows(rows, cfg.data, cfg.split)
    train, test = rows[~is_test], rows[is_test]
    assert set(test.index.get_level_values("partition")) == {"10.csv"}
    assert len(train) + len(test) == len(rows)
    cfg = composed(split__strategy="partitions", split__test_size=3)
    with pytest.raises(LockstepError, match="none of the 3 partitions to train on"):
        choose_test_rows(rows, cfg.data, cfg.split)


def test_rows_that_came_late_train_the_model(ingest: Ingest, composed: Compose) -> None:
    rows = ingest()
    rows["sold"] = np.arange(len(rows), dtype="float64")  # in the order of the files
    late = rows.index[-1]
    rows.loc[late, "sold"] = 0.5
    cfg = composed(split__strategy="partitions", split__test_size=1, data__time="sold")
    is_test = choose_test_rows(rows, cfg.data, cfg.split)
    train, test = rows[~is_test], rows[is_test]
    assert late in train.index
    assert len(test) == 39
    assert test["sold"].min() > train["sold"].max()
