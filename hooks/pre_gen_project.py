"""Refuses bad answers and lost work before a file is written."""

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

PROBLEMS: list[str] = json.loads(r"""{{ cookiecutter | problems | tojson }}""")


def uncommitted() -> list[str]:
    """The files of an existing project whose current content is not in git."""
    if not Path(".git").exists():
        return []
    with suppress(OSError):
        done = subprocess.run(
            ["git", "status", "--porcelain"], capture_output=True, encoding="utf-8"
        )
        return [line[3:] for line in done.stdout.splitlines()]
    return []


def refuse(reason: str, lines: list[str]) -> None:
    """Print why nothing is generated, and stop."""
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    print("\n  ".join((f"\n{reason}", *lines)), file=sys.stderr)
    sys.exit(1)


if PROBLEMS:
    refuse("These answers cannot be used:", PROBLEMS)
if files := uncommitted():
    cure = "commit them first; afterwards, `git diff` shows what the template would change"
    refuse("These files of the project are not committed and would be overwritten:", [*files, cure])
