"""Leaks: what makes a test easier than the use is named, what is as usual is not."""

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest
from omegaconf import DictConfig
from stages import composed, stage

ROWS = 400
CLASSES = {"data__task": "classification"}
NUMBERS = {"data__task": "regression", "split__strategy": "random"}
DROP = "if it is not known when the model is used, add it to data.drop"


@pytest.fixture
def rows() -> pd.DataFrame:
    """Rows without a leak: the outcome depends on two columns, and on luck."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(ROWS, 3)), columns=["a", "b", "noise"])
    frame["kind"] = random.choice(["red", "green", "blue"], ROWS)
    frame["outcome"] = 50 + 10 * frame["a"] + frame["b"] + 3 * random.normal(size=ROWS)
    frame.index = pd.RangeIndex(1, ROWS + 1, name="row")
    return frame


def found(table: pd.DataFrame, cfg: DictConfig, is_test: Any = None) -> list[str]:
    """The warnings, without what they all start with."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "table.parquet")
        table.to_parquet(path)
        rows = stage("tables").Table(path)
        if is_test is None:
            is_test = stage("split").choose_test_rows(rows, cfg.data, cfg.split)
        warnings: list[str] = stage("leaks").leaks(rows, ~is_test, is_test, cfg.data, cfg.split)
    assert all(text.startswith("leak: ") for text in warnings)
    return [text.removeprefix("leak: ") for text in warnings]


def as_classes(rows: pd.DataFrame) -> pd.DataFrame:
    names = np.where(rows["outcome"] > 50, "high", "low")
    return rows.assign(outcome=pd.Series(names, rows.index, dtype="str"))


def test_a_table_without_leaks_has_no_warning(rows: pd.DataFrame) -> None:
    assert found(rows, composed(**NUMBERS)) == []
    assert found(as_classes(rows), composed(**CLASSES, split__strategy="stratified")) == []


@pytest.mark.parametrize(
    "leak",
    [
        lambda rows: rows["outcome"],
        lambda rows: 32 + 1.8 * rows["outcome"],
        lambda rows: np.log(rows["outcome"].clip(lower=1)),
        lambda rows: rows["outcome"] + 1.5 * np.sin(37 * rows["outcome"]),
    ],
)
def test_a_number_that_gives_the_target_away_is_named(leak: Any, rows: pd.DataFrame) -> None:
    (warning,) = found(rows.assign(leak=leak), composed(**NUMBERS))
    assert re.fullmatch(rf"'leak' alone explains (9\d\.\d|100.0)% of 'outcome': {DROP}", warning)


@pytest.mark.parametrize(
    "leak",
    [
        lambda rows: rows["outcome"],
        lambda rows: rows["outcome"] == "high",
        lambda rows: rows["a"].where(rows["outcome"] == "high"),
        lambda rows: rows["outcome"].map({"high": "paid", "low": "due"}),
    ],
)
def test_a_column_that_gives_the_class_away_is_named(leak: Any, rows: pd.DataFrame) -> None:
    expected = [f"'leak' alone predicts 'outcome': {DROP}"]
    assert found(as_classes(rows).assign(leak=leak), composed(**CLASSES)) == expected


def test_columns_that_add_up_to_the_target_are_named(rows: pd.DataFrame) -> None:
    random = np.random.default_rng(1)
    casual = pd.Series(random.integers(0, 90, ROWS), rows.index).astype("float64")
    registered = pd.Series(random.integers(0, 200, ROWS), rows.index).astype("float64")
    table = rows.assign(casual=casual, registered=registered)
    added = table.assign(outcome=casual + registered)
    cfg = composed(**NUMBERS)
    assert found(added, cfg) == [f"'outcome' is a sum of 'casual', 'registered': {DROP}"]
    more = table.assign(outcome=casual + 5 * registered)
    assert found(more, cfg) == [f"'outcome' is a sum of 'casual', 'registered': {DROP}"]
    price = pd.Series(random.uniform(1, 50, ROWS), rows.index)
    total = ((registered + 1) * price).round(2)
    sold = table.assign(registered=registered + 1, price=price, outcome=total)
    assert found(sold, cfg) == [f"'outcome' is a product of 'registered', 'price': {DROP}"]


def test_rows_on_both_sides_are_counted(rows: pd.DataFrame) -> None:
    table = pd.concat([rows, rows.head(100)], ignore_index=True)
    (warning,) = found(table, composed(**NUMBERS))
    assert "of 100 test rows are also among the training rows" in warning
    few = pd.DataFrame({"kind": rows["kind"], "outcome": as_classes(rows)["outcome"]})
    assert found(few, composed(**CLASSES)) == [], "rows of few values repeat by nature"


@pytest.mark.parametrize(
    ("subject", "time", "subjects", "times"),
    [
        ("chick", "Time", range(50), range(0, 24, 2)),
        ("tree", "age", "vwxyz", (118, 484, 664, 1004, 1231, 1372, 1582)),
    ],
)
def test_a_subject_on_both_sides_of_a_random_split_is_named(
    subject: str, time: str, subjects: Any, times: Any
) -> None:
    random = np.random.default_rng(0)
    pairs = [(each, float(when)) for each in subjects for when in times]
    table = pd.DataFrame(pairs, columns=[subject, time])
    table["outcome"] = table[time] + random.normal(100, 20, len(table))
    (warning,) = found(table, composed(**NUMBERS))
    assert f"rows of the same {subject!r} are on both sides of split=random" in warning
    assert f"use split=group with data.group={subject}" in warning
    cfg = composed(**NUMBERS | {"split__strategy": "group"}, data__group=subject)
    assert found(table, cfg) == []


def test_rows_of_each_hour_of_each_day_are_in_time() -> None:
    random = np.random.default_rng(0)
    pairs = [(float(day), float(hour)) for day in range(60) for hour in range(24)]
    table = pd.DataFrame(pairs, columns=["day", "hr"])
    table["outcome"] = random.normal(100, 20, len(table))
    (warning,) = found(table, composed(**NUMBERS))
    assert "use split=time with data.time=day" in warning


def test_a_subject_is_known_by_its_name(rows: pd.DataFrame) -> None:
    patients = (pd.Series(rows.index, rows.index) % 80).astype("str")
    (warning,) = found(rows.assign(patient_id=patients), composed(**NUMBERS))
    assert "data.group=patient_id" in warning
    shops = (pd.Series(rows.index, rows.index) % 4).astype("str")
    assert found(rows.assign(shop_id=shops), composed(**NUMBERS)) == []


def test_a_random_split_of_rows_with_a_time_is_named(rows: pd.DataFrame) -> None:
    days = pd.date_range("2024-01-01", periods=ROWS).astype("datetime64[us]")
    table = rows.assign(day=days)
    (warning,) = found(table, composed(**NUMBERS))
    assert "use split=time with data.time=day" in warning
    cfg = composed(**NUMBERS | {"split__strategy": "time"}, data__time="day")
    assert found(table, cfg) == []


@pytest.mark.parametrize("size", [1, 2, 5, 30])
def test_small_tables_are_not_judged(size: int, rows: pd.DataFrame) -> None:
    cfg = composed(**NUMBERS)
    few = rows.head(size).assign(leak=rows["outcome"])
    assert found(few, cfg, np.zeros(size, dtype=bool)) == []


def test_extreme_values_are_no_obstacle(rows: pd.DataFrame) -> None:
    table = rows.assign(wide=np.where(rows["a"] > 0, 1e308, -1e308), empty=np.nan)
    table["outcome"] = np.where(rows["a"] > 0, 1e308, rows["outcome"])
    assert any("'wide' alone" in text for text in found(table, composed(**NUMBERS)))


def test_the_stage_keeps_its_warnings(
    rows: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows.assign(leak=rows["outcome"]).to_parquet(tmp_path / "table.parquet")
    names = ("table.parquet", "train.parquet", "test.parquet", "split.json")
    stage("split").main(composed(**NUMBERS), *(tmp_path / name for name in names))
    report = json.loads((tmp_path / "split.json").read_text(encoding="utf-8"))
    assert (report["train"], report["test"]) == (320, 80)
    assert f"warning: {report['warnings'][0]}\n" in capsys.readouterr().out
