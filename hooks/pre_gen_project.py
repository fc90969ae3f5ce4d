"""Refuses, before a file is written, what no project can be built from and what would lose work."""

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

PROBLEMS: list[str] = json.loads(r"""{{ cookiecutter | problems | tojson }}""")


def uncommitted() -> list[str]:
    """The files of a project that is there already and whose last version git does not have."""
    if not Path(".git").exists():
        return []
    with suppress(OSError):
        done = subprocess.run(
            ["git", "status", "--porcelain"], capture_output=True, encoding="utf-8"
        )
        return [line[3:] for line in done.stdout.splitlines()]
    return []


def refuse(why: str, lines: list[str]) -> None:
    """Say why nothing is generated."""
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    print("\n  ".join((f"\n{why}", *lines)), file=sys.stderr)
    sys.exit(1)


if PROBLEMS:
    refuse("These answers cannot be used:", PROBLEMS)
if changed := uncommitted():
    cure = "commit them first: `git diff` then shows what the template would change"
    refuse("Files of the project would be overwritten that are not committed:", [*changed, cure])
