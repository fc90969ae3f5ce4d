"""schema.yaml: what the typed table has to look like; inferred once, then edited by people."""

import math
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from lockstep import LockstepError

HEADER = """\
# What data/table.parquet has to look like; the stage `validate` stops where it does not.
# Written once, from the data; from then on yours to edit and to commit. For each column: its kind
# (number, category, boolean, date, integer), whether values may be missing and, where it helps,
# min, max, the allowed values, and unique: true. Delete this file to have it written anew.
"""
DTYPES = {
    "number": "float64",
    "category": "str",
    "boolean": "bool",
    "date": "datetime64[us]",
    "integer": "int64",
}
MANY = 20  # a column with more different values than this may get new ones
OFTEN = 5  # so may one with a value that occurs less often than this


class Rule(BaseModel):
    """What is said of a column."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["number", "category", "boolean", "date", "integer"]
    missing: bool
    min: float | None = None
    max: float | None = None
    values: list[str] | list[int] | None = None
    unique: bool = False


class Schema(BaseModel):
    """What the file holds."""

    model_config = ConfigDict(extra="forbid")

    columns: dict[str, Rule]


def read_schema(path: Path) -> Schema:
    """Read the file.

    Raises:
        LockstepError: It does not say what it should.
    """
    try:
        return Schema.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise LockstepError(f"{path.name} is not valid YAML: {error}") from error
    except ValidationError as error:
        problems = [
            f"  {'.'.join(map(str, item['loc']))}: {item['msg']}"
            for item in error.errors(include_url=False)
        ]
        raise LockstepError(
            "\n".join([f"{path.name} has lines that say nothing known:", *problems, "mend them"])
        ) from error


def write_schema(schema: Schema, path: Path) -> None:
    """Write the file, a line for each column."""
    lines = [
        f"  {_yaml(name)}: {_yaml(rule.model_dump(exclude_defaults=True))}"
        for name, rule in schema.columns.items()
    ]
    path.write_text("\n".join([HEADER + "columns:", *lines, ""]), encoding="utf-8")


def _yaml(value: Any) -> str:
    text = yaml.safe_dump(
        value, sort_keys=False, allow_unicode=True, default_flow_style=True, width=float("inf")
    )
    return str(text).removesuffix("...\n").strip()


def infer_schema(table: pd.DataFrame, target: str) -> Schema:
    """A schema that lets in new data like these.

    Args:
        table: The typed table.
        target: Its column to predict; a class that was never seen is not let in.
    """
    return Schema(
        columns={str(name): _rule(values, name == target) for name, values in table.items()}
    )


def _rule(column: "pd.Series[Any]", is_target: bool) -> Rule:
    kinds = {dtype: kind for kind, dtype in DTYPES.items()}
    kind = kinds.get(str(column.dtype))
    if kind is None:
        raise LockstepError(
            f"column {column.name!r} of the table has the dtype {column.dtype}, which no kind has: "
            f"let ingest write one of {', '.join(DTYPES.values())}"
        )
    rule: dict[str, Any] = {"kind": kind, "missing": bool(column.isna().any())}
    if kind == "number":
        # A whole range beyond what was seen: far enough for new data, near enough for wrong units.
        low, high = column.min(), column.max()
        digits = 2 - math.floor(math.log10(high - low)) if high > low else 2
        rule["min"] = round(2 * low - high, digits)
        rule["max"] = round(2 * high - low, digits)
    if kind in ("category", "integer"):
        counts = column.value_counts()
        if is_target or (len(counts) <= MANY and counts.min() >= OFTEN):
            rule["values"] = sorted(counts.index.tolist())
    return Rule.model_validate(rule)
