"""The results of windows as files: what a DVC stage keeps, and `dvc plots` draws."""

import json
from collections.abc import Sequence
from pathlib import Path

from lockstep.monitor.history import PAGE, metrics_of
from lockstep.monitor.result import Result
from lockstep.values import slug

WINDOWS = "windows.json"


def write(folder: Path, results: Sequence[Result], page: str) -> None:
    """Write a file for each window, a table of all for `dvc plots`, and the page.

    Args:
        results: The oldest first.
        page: The HTML page about the newest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for result in results:
        file = folder / f"{slug(result['window'])}.json"
        file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        about = {"window": result["window"], "verdict": result["verdict"]}
        rows.append(about | dict(metrics_of(result)))
    (folder / WINDOWS).write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    (folder / PAGE).write_text(page, encoding="utf-8")
