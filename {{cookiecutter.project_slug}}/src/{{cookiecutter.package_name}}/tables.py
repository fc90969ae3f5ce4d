"""Read data/table: one Parquet file or, for raw data in a folder, one for each partition."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

MANIFEST = "_partitions.json"  # what `lockstep map` writes


def read_table(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read all rows, or some of the columns.

    Args:
        path: data/table.parquet; or the folder data/table, with a file for each partition.
        columns: Their names; None for all.

    Returns:
        The rows, indexed by row number; those of a folder by partition and row number.
    """
    if path.is_file():
        return pd.read_parquet(path, columns=columns)
    parts = {
        name: pd.read_parquet(path / entry["out"], columns=columns)
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
