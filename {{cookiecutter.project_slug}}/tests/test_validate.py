"""validate: data like the first pass, other data stop the pipeline."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Compose
from omegaconf import DictConfig

from lockstep import LockstepError

from {{ cookiecutter.package_name }} import validate
from {{ cookiecutter.package_name }}.schema import (
    infer_schema,
    write_schema,
)


def run(cfg: DictConfig, table: pd.DataFrame, folder: Path) -> str:
    """The error message of the stage, or an empty string."""
    table.to_parquet(folder / "table.parquet")
    try:
        validate.main(cfg, folder / "table.parquet", folder / "schema.yaml", folder / "report.json")
    except LockstepError as error:
        return str(error)
    return ""


@pytest.fixture
def inferred(cfg: DictConfig, table: pd.DataFrame, tmp_path: Path) -> Path:
    """A folder with the schema that was inferred from the small table."""
    write_schema(infer_schema(table, cfg.data.target), tmp_path / "schema.yaml")
    assert run(cfg, table, tmp_path) == ""
    return tmp_path


def report(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return content


def test_the_schema_is_kept(cfg: DictConfig, table: pd.DataFrame, inferred: Path) -> None:
    schema = inferred / "schema.yaml"
    line = "colour: {kind: category, missing: true, values: [blue, green, red]}"
    assert line in schema.read_text()
    edited = schema.read_text().replace("red]", "red, pink]")
    schema.write_text(edited)
    table.loc[5, "colour"] = "pink"
    assert run(cfg, table, inferred) == ""
    assert schema.read_text() == edited
    assert report(inferred) == {"rows": len(table), "violations": 0, "problems": []}


def test_new_data_like_the_first_pass(cfg: DictConfig, table: pd.DataFrame, inferred: Path) -> None:
    span = table["size"].max() - table["size"].min()
    table.loc[1, "size"] = table["size"].max() + span / 2
    table.loc[2, "weight"] = None
    table["sold"] += pd.Timedelta(days=400)
    assert run(cfg, table, inferred) == ""


def test_a_violation_shows_the_rows(cfg: DictConfig, table: pd.DataFrame, inferred: Path) -> None:
    table.loc[[7, 9], "size"] = [999.0, -999.0]
    table.loc[8, "colour"] = "purple"
    message = run(cfg, table, inferred)
    assert "size: over max" in message
    assert "row 7: 999.0" in message
    assert "colour: not among the allowed values in 1 row (row 8: purple)" in message
    assert "edit schema.yaml" in message
    violations = [(problem["row"], problem["value"]) for problem in report(inferred)["problems"]]
    assert sorted(violations) == [(7, 999.0), (8, "purple"), (9, -999.0)]


def test_at_most_ten_rows_are_shown(cfg: DictConfig, table: pd.DataFrame, inferred: Path) -> None:
    table["size"] = 999.0
    message = run(cfg, table, inferred)
    assert f"in {len(table)} rows" in message
    assert len(message.splitlines()) < 20


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.assign(extra=1.0), "extra: new: add it to the schema"),
        (lambda table: table.drop(columns="weight"), "weight: not in the table"),
        (lambda table: table.assign(size="10"), "size: is category, not number"),
        (lambda table: table.assign(size=table["size"].shift()), "size: missing in 1 row (row 1)"),
    ],
)
def test_other_columns_are_named(
    change: Callable[[pd.DataFrame], pd.DataFrame],
    message: str,
    cfg: DictConfig,
    table: pd.DataFrame,
    inferred: Path,
) -> None:
    assert message in run(cfg, change(table), inferred)


def test_a_column_left_out_by_the_config_may_be_missing(
    composed: Compose, table: pd.DataFrame, inferred: Path
) -> None:
    cfg = composed(data__drop=["weight"])
    assert run(cfg, table.drop(columns="weight"), inferred) == ""


def test_the_target_of_before_and_the_new_one_need_no_other_schema(
    cfg: DictConfig, table: pd.DataFrame, tmp_path: Path
) -> None:
    table = table.assign(code=(table.index % 3).astype("int64"))
    write_schema(infer_schema(table, cfg.data.target), tmp_path / "schema.yaml")
    assert run(cfg, table, tmp_path) == ""
    assert "code: {kind: integer" in (tmp_path / "schema.yaml").read_text()
    assert run(cfg, table.assign(code=table["code"].astype("float64")), tmp_path) == ""
    table.loc[5, "code"] = 7
    assert "code: not among the allowed values in 1 row (row 5: 7" in run(cfg, table, tmp_path)


@pytest.mark.parametrize("rule", ["{kind: numbr, missing: false}", "{kind: number}", "7"])
def test_a_mistake_in_the_schema_is_named(
    rule: str, cfg: DictConfig, table: pd.DataFrame, inferred: Path
) -> None:
    (inferred / "schema.yaml").write_text(f"columns:\n  size: {rule}\n")
    assert "columns.size" in run(cfg, table, inferred)


def test_rules_that_people_add_are_kept(
    cfg: DictConfig, table: pd.DataFrame, inferred: Path
) -> None:
    schema = inferred / "schema.yaml"
    rule = "is_new: {kind: boolean, missing: false"
    schema.write_text(schema.read_text().replace(rule, f"{rule}, unique: true"))
    assert "is_new: not unique" in run(cfg, table, inferred)
