"""split: deterministic, and according to its strategy; what gives the target away is named."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Compose

from lockstep import LockstepError

from {{ cookiecutter.package_name }} import split


@pytest.fixture
def grouped(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(
        patient=(table.index % 12).astype("str"),
        day=[float(row // 7) for row in range(len(table))],
        kind=["common" if row % 6 else "rare" for row in range(len(table))],
    )


def split_rows(rows: Any, data: Any, options: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows to train on, and those to test on."""
    is_test = split.choose_test_rows(rows, data, options)
    return rows[~is_test], rows[is_test]


@pytest.mark.parametrize("strategy", ["random", "stratified", "group", "time"])
def test_a_split_is_repeatable_and_complete(
    strategy: str, composed: Compose, grouped: pd.DataFrame
) -> None:
    cfg = composed(
        split__strategy=strategy,
        split__test_size=0.25,
        data__group="patient",
        data__time="day",
        data__target="kind",
        data__task="classification",
    )
    train, test = split_rows(grouped, cfg.data, cfg.split)
    again, _ = split_rows(grouped, cfg.data, cfg.split)
    assert train.index.equals(again.index)
    assert train.index.union(test.index).equals(grouped.index)
    assert train.index.intersection(test.index).empty
    assert len(test) == pytest.approx(0.25 * len(grouped), rel=0.2)


def test_another_seed_draws_other_rows(composed: Compose, table: pd.DataFrame) -> None:
    cfgs = [composed(split__strategy="random", split__seed=seed) for seed in (1, 2)]
    first, second = (split_rows(table, cfg.data, cfg.split)[1] for cfg in cfgs)
    assert not first.index.equals(second.index)


def test_stratified_keeps_the_shares(composed: Compose, grouped: pd.DataFrame) -> None:
    cfg = composed(split__strategy="stratified", data__target="kind", data__task="classification")
    for part in split_rows(grouped, cfg.data, cfg.split):
        assert (part["kind"] == "rare").mean() == pytest.approx(1 / 6, abs=0.01)


def test_some_of_the_rows_train_the_model(
    composed: Compose, table: pd.DataFrame, tmp_path: Path
) -> None:
    table.to_parquet(tmp_path / "table.parquet")
    paths = [tmp_path / name for name in ("train.parquet", "test.parquet", "report.json")]
    split.main(composed(split__strategy="random"), tmp_path / "table.parquet", *paths)
    train, test = map(pd.read_parquet, paths[:2])
    cfg = composed(split__strategy="random", split__train_rows=10)
    split.main(cfg, tmp_path / "table.parquet", *paths)
    some, same = map(pd.read_parquet, paths[:2])
    assert len(some) == 10
    assert set(some.index) < set(train.index)
    assert same.equals(test)


def test_groups_stay_together(composed: Compose, grouped: pd.DataFrame) -> None:
    cfg = composed(split__strategy="group", data__group="patient")
    train, test = split_rows(grouped, cfg.data, cfg.split)
    assert set(train["patient"]).isdisjoint(test["patient"])


def test_the_last_rows_test_what_came_before(composed: Compose, grouped: pd.DataFrame) -> None:
    cfg = composed(split__strategy="time", data__time="day")
    shuffled = grouped.sample(frac=1, random_state=0)
    train, test = split_rows(shuffled, cfg.data, cfg.split)
    assert train["day"].max() < test["day"].min()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"split__strategy": "group"}, "-S data.group=COLUMN"),
        ({"split__strategy": "time"}, "-S data.time=COLUMN"),
        ({"split__strategy": "time", "data__time": "weight"}, "missing in"),
        ({"split__strategy": "time", "data__time": "same"}, "no rows to train on"),
        ({"split__strategy": "group", "data__group": "same"}, "change split.test_size"),
        ({"split__strategy": "stratified", "data__task": "regression"}, "use split=random"),
        ({"split__strategy": "stratified", "data__target": "one"}, "one row of 'a'"),
        ({"split__strategy": "stratified", "data__target": "one"}, "set data.task: regression"),
        ({"split__strategy": "random", "split__test_size": 0.999999}, "split.test_size"),
    ],
)
def test_what_cannot_be_split_is_explained(
    values: dict[str, object], message: str, composed: Compose, grouped: pd.DataFrame
) -> None:
    cfg = composed(**{"data__task": "classification", **values})
    rows = grouped.assign(same="x", one=["a", *["b"] * (len(grouped) - 1)])
    with pytest.raises(LockstepError) as error:
        split_rows(rows, cfg.data, cfg.split)
    assert message in str(error.value)


def test_a_leak_is_a_warning_and_kept(
    composed: Compose, table: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = composed(split__strategy="random")
    names = ("table.parquet", "train.parquet", "test.parquet", "split.json")
    undated, warnings = table.drop(columns="sold"), []
    for rows in (undated, undated.assign(leak=table["outcome"])):
        rows.to_parquet(tmp_path / "table.parquet")
        split.main(cfg, *(tmp_path / name for name in names))
        report = json.loads((tmp_path / "split.json").read_text(encoding="utf-8"))
        assert report["train"] + report["test"] == len(table)
        warnings.append([text for text in report["warnings"] if "'leak'" in text])
    assert (warnings[0], len(warnings[1])) == ([], 1)
    assert f"warning: {warnings[1][0]}\n" in capsys.readouterr().out
