"""Read new data as the stage `ingest` does, and check them as `validate` does.

`lockstep monitor` calls this module, which `[tool.lockstep]` in pyproject.toml names.
"""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pandas as pd

from lockstep import LockstepError

from .cells import is_missing
from .ingest import mark_missing
from .kinds import as_text, finite, read_numbers
from .parsing import BOOLEANS, to_dates
from .reading import read_raw
from .schema import Rule, read_schema
from .validate import check

SCHEMA = Path("schema.yaml")


def read(file: Path, cfg: Any) -> tuple[pd.DataFrame, dict[str, int]]:
    """Read a raw file by the rules in schema.yaml.

    Args:
        file: In any format that the raw data may have.
        cfg: The config, with its section `data`.

    Returns:
        The columns that have a rule, typed; and for each of them, the number of values that are not
        of its kind, which are missing in the table.
    """
    raw, decimals = read_raw(file, cfg.data)
    columns, unreadable = {}, {}
    for name, rule in read_schema(SCHEMA).columns.items():
        if name in raw:
            given = mark_missing(raw[name], cfg.data.missing)
            columns[name] = values = _read(given, rule, decimals)
            lost = given[values.isna()].dropna()
            unreadable[name] = sum(not is_missing(str(value)) for value in lost)
    return pd.DataFrame(columns, index=raw.index), unreadable


def problems(rows: pd.DataFrame, cfg: Any) -> dict[str, dict[str, int]]:
    """How many of the rows break the rules in schema.yaml: column -> problem -> rows."""
    rules = {name: rule for name, rule in read_schema(SCHEMA).columns.items() if name in rows}
    # The true values of some rows may not be known yet.
    if target := rules.get(cfg.data.target):
        rules[cfg.data.target] = target.model_copy(update={"missing": True})
    found = check(rows[list(rules)], rules).dropna(subset="row")
    counts: dict[str, dict[str, int]] = defaultdict(Counter)
    for column, problem in zip(found["column"], found["problem"], strict=True):
        counts[column][problem] += 1
    return dict(counts)


def _read(values: "pd.Series[Any]", rule: Rule, decimals: str) -> "pd.Series[Any]":
    if values.isna().all():
        return values
    text = as_text(values)
    if rule.kind in ("number", "integer"):
        try:
            return finite(read_numbers(text, decimals, rule)[0])
        except LockstepError:  # another unit: none of the values is what it says
            return pd.Series(float("nan"), values.index)
    if rule.kind == "boolean":
        words = {word: word == pair[0] for pair in BOOLEANS for word in pair}
        return text.str.lower().map(words)
    if rule.kind == "date":
        return to_dates(text, rule.formats or ()).values
    return text
