"""Metrics of a training loop: a file of them, and live curves in MLflow with `tracking.live`."""

import contextlib
import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol

from lockstep.files import file_digest, read_yaml
from lockstep.workspace import PARAMS, TEMPORARY

# How long the end of a training waits for the last live metrics to arrive; `publish` adds those
# that do not.
FLUSH_SECONDS = 15.0
# 0 keeps a training from streaming even with `tracking.live`; `reproduce` sets it.
LIVE_VARIABLE = "LOCKSTEP_LIVE"
STREAMER = (sys.executable, "-m", "lockstep.mlflow.live")


class Log(Protocol):
    """Logs the metrics of one step."""

    def __call__(self, step: int, **metrics: float) -> None:
        """Log metrics by name."""


@contextlib.contextmanager
def history(path: Path) -> Iterator[Log]:
    """Keep the metrics of a training loop.

    With `tracking.live=true` they also appear in MLflow while the training runs, in a run that
    `publish` completes. A separate process streams them: the training neither waits for a server
    nor fails with it, and if the training dies, however that happens, the run is marked FAILED.

    Args:
        path: The CSV file to write: a column `step` and one for each metric.

    Example:
        with history(path) as log:
            for epoch in range(10):
                log(step=epoch, loss=0.1)
    """
    rows: list[dict[str, float]] = []
    streamer = _Streamer(Path.cwd()) if _is_live(Path.cwd()) else None

    def log(step: int, **metrics: float) -> None:
        row = {"step": step, **{name: float(value) for name, value in metrics.items()}}
        rows.append(row)
        if streamer:
            streamer.send(row)

    try:
        yield log
    except BaseException:
        if streamer:
            streamer.close()
        raise
    _write(path, rows)
    if streamer:
        streamer.send({"end": True})
        streamer.close()
        _mark_complete(Path.cwd(), path)


def read_history(path: Path) -> list[tuple[str, float, int]]:
    """The metrics in a file that `history` wrote, or in any CSV file with a column `step`.

    Returns:
        Name, value and step of each; an empty list if the file has no column `step`.
    """
    with path.open(newline="", encoding="utf-8") as stream:
        rows = csv.DictReader(stream)
        if "step" not in (rows.fieldnames or []):
            return []
        return [
            (name, float(value), int(float(row["step"])))
            for row in rows
            for name, value in row.items()
            if name != "step" and value
        ]


def live_record(workspace: Path) -> Path:
    """The file that records which run the last live training of a workspace streamed to."""
    return workspace / TEMPORARY / "live.json"


def read_live_record(workspace: Path) -> dict[str, str]:
    """The record of the last live training; empty if there was none.

    Returns:
        `run_id` and `uri` of its run, and `history`, the digest of its file, if it ended well.
    """
    try:
        record: dict[str, str] = json.loads(live_record(workspace).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record


def fail_live_run(workspace: Path) -> None:
    """Mark the live run of a workspace FAILED, because a stage failed after the training."""
    if live_record(workspace).exists():
        subprocess.run([*STREAMER, "--fail"], cwd=workspace, check=False)


def _mark_complete(workspace: Path, history_file: Path) -> None:
    if record := read_live_record(workspace):
        record["history"] = file_digest(history_file)
        live_record(workspace).write_text(json.dumps(record), encoding="utf-8")


def _is_live(workspace: Path) -> bool:
    if os.environ.get(LIVE_VARIABLE) == "0":
        return False
    params = read_yaml(workspace / PARAMS) or {}
    return bool(params.get("tracking", {}).get("live"))


def _write(path: Path, rows: list[dict[str, float]]) -> None:
    names = list(dict.fromkeys(["step", *(name for row in rows for name in row)]))
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


class _Streamer:
    """The process that streams; it does not outlive this one."""

    def __init__(self, workspace: Path) -> None:
        self._process = subprocess.Popen(
            STREAMER, cwd=workspace, stdin=subprocess.PIPE, text=True, encoding="utf-8"
        )
        assert self._process.stdin is not None
        self._stdin: IO[str] = self._process.stdin

    def send(self, message: dict[str, Any]) -> None:
        """Pass a message on; if the streamer is gone, the training goes on without it."""
        with contextlib.suppress(OSError, ValueError):
            self._stdin.write(json.dumps(message) + "\n")
            self._stdin.flush()

    def close(self) -> None:
        """Let it finish, for up to `FLUSH_SECONDS`."""
        with contextlib.suppress(OSError):
            self._stdin.close()
        try:
            self._process.wait(FLUSH_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
