"""Read data/table: one Parquet file or, for raw data in a folder, one for each partition."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd

MANIFEST = "_partitions.json"  # what `lockstep map` writes


def read_table(path: Path) -> pd.DataFrame:
    """Read all rows.

    Args:
        path: data/table.parquet; or the folder data/table, with a file for each partition.

    Returns:
        The rows, indexed by row number; those of a folder by partition and row number.
    """
    if path.is_file():
        return pd.read_parquet(path)
    parts = {
        name: pd.read_parquet(path / entry["out"])
        for name, entry in manifest(path).items()
        if "problem" not in entry
    }
    return pd.concat(parts, names=["partition", "row"])


def manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """What is known about each partition, in their order: md5, out, facts, problem."""
    entries = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return {name: entries[name] for name in sorted(entries, key=in_order)}


def in_order(name: str) -> list[Any]:
    """A key to sort names by, with numbers as numbers: part-2 comes before part-10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
