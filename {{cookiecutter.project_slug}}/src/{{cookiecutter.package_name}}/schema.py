"""schema.yaml: the rules for the typed table; inferred once, then edited by people."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from lockstep import LockstepError

HEADER = """\
# The rules for data/table.parquet; the stage `validate` stops the pipeline if it breaks them.
# This file was inferred from the data. It is yours: edit and commit it. Each column has a kind
# (number, category, boolean, date, integer), whether values may be missing and, optionally,
# min, max, the allowed values, and unique: true; and how text was read: unit, decimal, formats.
# New data are read the same way. Delete this file to infer it again.
"""
DTYPES = {
    "number": "float64",
    "category": "str",
    "boolean": "bool",
    "date": "datetime64[us]",
    "integer": "int64",
}
MANY = 20  # a column with more different values than this may have new ones
LONGEST_KEY = 1000  # YAML allows 1024 characters before a colon on the same line
OFTEN = 5  # and so may a column with a value that occurs less often than this


class Rule(BaseModel):
    """The rule for a column."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["number", "category", "boolean", "date", "integer"]
    missing: bool
    min: float | None = None
    max: float | None = None
    values: list[str] | list[int] | None = None
    unique: bool = False
    unit: str | None = None
    decimal: Literal[".", ","] | None = None
    formats: list[str] | None = None


class Schema(BaseModel):
    """The content of the file."""

    model_config = ConfigDict(extra="forbid")

    columns: dict[str, Rule]
    left_out: list[str] = []  # raw columns without information, where the data are partitions


def read_schema(path: Path) -> Schema:
    """Read the file.

    Raises:
        LockstepError: It is not valid YAML, or not a valid schema.
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
            "\n".join(
                [
                    f"{path.name} is not a valid schema:",
                    *problems,
                    f"fix these lines in {path.name}",
                ]
            )
        ) from error


def write_schema(schema: Schema, path: Path) -> None:
    """Write the file, one line per column."""
    lines = [
        f"  {_key(name)}: {_yaml(rule.model_dump(exclude_defaults=True))}"
        for name, rule in schema.columns.items()
    ]
    if schema.left_out:
        lines.append(f"left_out: {_yaml(schema.left_out)}")
    path.write_text("\n".join([HEADER + "columns:", *lines, ""]), encoding="utf-8")


class _Dumper(yaml.SafeDumper):
    """Writes a text with a line break on one line."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = None if data.isprintable() else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", data, style)


_Dumper.add_representer(str, _Dumper.represent_str)


def _key(name: str) -> str:
    text = _yaml(name)
    return text if len(text) < LONGEST_KEY else f"? {text}\n  "


def _yaml(value: Any) -> str:
    text = yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=True,
        width=float("inf"),
    )
    return str(text).removesuffix("...\n").strip()


def infer_schema(
    table: pd.DataFrame,
    target: str,
    read: Mapping[str, dict[str, Any]] | None = None,
    left_out: Iterable[str] = (),
) -> Schema:
    """A schema that accepts new data like these.

    Args:
        table: The typed table.
        target: The column to predict; unknown classes are not accepted.
        read: How the text of a column was read: its unit, decimal mark or formats.
        left_out: Columns of the raw table that the typed one does not have.
    """
    read = read or {}
    return Schema(
        columns={
            str(name): infer_rule(values, name == target, read.get(str(name), {}))
            for name, values in table.items()
        },
        left_out=list(left_out),
    )


def infer_rule(column: "pd.Series[Any]", is_target: bool, read: Mapping[str, Any]) -> Rule:
    """The rule for one of the columns; see `infer_schema`."""
    kinds = {dtype: kind for kind, dtype in DTYPES.items()}
    kind = kinds.get(str(column.dtype))
    if kind is None:
        raise LockstepError(
            f"column {column.name!r} has the dtype {column.dtype}, which no kind uses: "
            f"change ingest to write one of {', '.join(DTYPES.values())}"
        )
    rule: dict[str, Any] = {"kind": kind, "missing": bool(column.isna().any()), **read}
    if kind == "number":
        # Allow one more range on either side, but not another sign: wide enough for new data, not
        # for wrong units.
        low, high = float(column.min()), float(column.max())
        span = high - low if math.isfinite(2 * high - 2 * low) else 0.0
        digits = 2 - math.floor(math.log10(span)) if span > 0 else 2
        rule["min"] = 0.0 if 0 <= low < span else round(low - span, digits)
        rule["max"] = 0.0 if -span < high <= 0 else round(high + span, digits)
    if kind in ("category", "integer"):
        counts = column.value_counts()
        if is_target or (len(counts) <= MANY and counts.min() >= OFTEN):
            rule["values"] = sorted(counts.index.tolist())
    return Rule.model_validate(rule)
