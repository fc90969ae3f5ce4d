"""Refuses answers that no project can be built from, before a file is written."""

import json
import sys

PROBLEMS: list[str] = json.loads(r"""{{ cookiecutter | problems | tojson }}""")

if PROBLEMS:
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    print("\nThese answers cannot be used:", file=sys.stderr)
    for problem in PROBLEMS:
        print(f"  {problem}", file=sys.stderr)
    sys.exit(1)
