"""The settings in pyproject.toml under `[tool.lockstep]`."""

import tomllib
from pathlib import Path

from lockstep.workspace import PYPROJECT


def settings(workspace: Path) -> dict[str, str]:
    """The settings of a project; empty if it has none."""
    pyproject = workspace / PYPROJECT
    content = tomllib.loads(pyproject.read_text(encoding="utf-8")) if pyproject.exists() else {}
    values: dict[str, str] = content.get("tool", {}).get("lockstep", {})
    return values
