"""incoming: new data are read as the pipeline reads them, and checked by its rules."""

from pathlib import Path

import pandas as pd
import pytest
import yaml
from omegaconf import DictConfig
from stages import stage

RULES = {
    "paid": {"kind": "boolean", "missing": False},
    "price": {"kind": "number", "missing": False, "min": 0, "max": 10, "unit": "€", "decimal": ","},
    "day": {"kind": "date", "missing": False, "formats": ["%d.%m.%Y"]},
    "kind": {"kind": "category", "missing": True, "values": ["a", "b"]},
}


@pytest.fixture(autouse=True)
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "schema.yaml").write_text(
        yaml.safe_dump({"columns": RULES}, sort_keys=False), encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)


def test_a_raw_file_is_read_by_the_rules(cfg: DictConfig) -> None:
    text = "paid;price;day;kind;more\nno;1,50 €;24.12.2025;a;1\nno;?;25.12.2025;;2\n"
    Path("new.csv").write_text(text, encoding="utf-8")
    rows, unreadable = stage("incoming").read(Path("new.csv"), cfg)
    assert rows["paid"].tolist() == [False, False], "one word of the two is enough"
    assert rows["price"].iloc[0] == 1.5
    assert rows["price"].isna().tolist() == [False, True]
    assert rows["day"].iloc[1] == pd.Timestamp("2025-12-25")
    assert list(rows) == list(RULES), "without columns that have no rule"
    assert not any(unreadable.values())


def test_what_cannot_be_read_is_counted(cfg: DictConfig) -> None:
    Path("new.csv").write_text("paid;price\nmaybe;1,50 $\nyes;2,00 $\n", encoding="utf-8")
    _, unreadable = stage("incoming").read(Path("new.csv"), cfg)
    assert unreadable == {"paid": 1, "price": 2}


def test_broken_rules_are_counted(cfg: DictConfig) -> None:
    rows = pd.DataFrame({"price": [1.0, 11.0, None], "kind": ["a", "c", None]})
    found = stage("incoming").problems(rows, cfg)
    assert found == {
        "price": {"over max 10": 1, "missing": 1},
        "kind": {"not among the allowed values": 1},
    }
