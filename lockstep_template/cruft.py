"""Whether cruft is updating an existing project: then only files are rendered.

`cruft update` and `cruft diff` generate the project in temporary folders, hooks included, only to
compare the files (cruft/cruft#199). `.cruft.json` holds the answers; the data may be gone by then,
or be on a colleague's machine.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any


def is_running() -> bool:
    """Whether cruft is what generates the project."""
    return "cruft" in sys.modules


def updated_project() -> Path | None:
    """The project that `cruft update` or `cruft diff` works on; None under any other command."""
    if not is_running() or sys.argv[1:2] not in (["update"], ["diff"]):
        return None
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("--project-dir", "-p", type=Path, default=Path())
    try:
        known, _ = parser.parse_known_args(sys.argv[2:])
    except (argparse.ArgumentError, SystemExit):  # cruft itself complains about these
        return Path()
    project: Path = known.project_dir
    return project


def recorded(key: str) -> str:
    """The value that the project under update was generated with; empty where there is none."""
    project = updated_project()
    if project is None:
        return ""
    try:
        state: dict[str, Any] = json.loads((project / ".cruft.json").read_text(encoding="utf-8"))
        return str(state["context"]["cookiecutter"].get(key, ""))
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return ""
