"""Stream the metrics of a running training to MLflow: the process that `history` starts.

It reads JSON lines: `{"step": 1, "loss": 0.5}` for metrics, and `{"end": true}` when the training
has succeeded. If the input ends without the latter, the training died: the run is marked FAILED.
"""

import contextlib
import json
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep.dvc.environment import experiment_name, project_root
from lockstep.files import file_digest, read_yaml
from lockstep.history import live_record, read_live_record
from lockstep.mlflow import runs, tag
from lockstep.mlflow.front_page import CURVES, run_path
from lockstep.mlflow.store import Store
from lockstep.processes import is_running
from lockstep.values import first_line, without_secrets
from lockstep.workspace import COMPOSED, PARAMS

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

BATCH_SECONDS = 1.0  # metrics that arrive within this time are sent together


def main(arguments: list[str]) -> None:
    """Stream; or, with `--fail`, mark the live run of the workspace as FAILED."""
    workspace = Path.cwd()
    params = read_yaml(workspace / PARAMS) or {}
    store = Store(project_root(workspace), params["tracking"])
    if "--fail" in arguments:
        with contextlib.suppress(Exception):
            close_unfinished(store.client(), workspace)
        return
    # Ctrl-C also reaches this process, which has to end the run after the training's end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    try:
        _stream(lines, store, workspace)
    except Exception as error:  # no failure here may stop a training
        print(
            f"note: no more live metrics: {first_line(error)}\n"
            f"      the training continues; `lockstep publish` adds them to "
            f"{without_secrets(store.uri)}",
            file=sys.stderr,
            flush=True,
        )


def close_unfinished(client: "MlflowClient", workspace: Path) -> None:
    """Mark the run of the last live training FAILED, unless it was published; drop its record."""
    if record := read_live_record(workspace):
        run = client.get_run(record["run_id"])
        if run.info.status == "RUNNING" and tag.STATE not in run.data.tags:
            client.set_terminated(run.info.run_id, "FAILED")
    live_record(workspace).unlink(missing_ok=True)


def killed(client: "MlflowClient", experiment_id: str) -> "Iterator[Run]":
    """The runs that stayed RUNNING when a training on this machine was killed, streamer and all."""
    mine = runs.quoted(f"{socket.gethostname()} %")
    query = f"tags.`{tag.PROCESS}` LIKE {mine} and attributes.status = 'RUNNING'"
    for run in runs.search(client, experiment_id, query):
        number = int(run.data.tags[tag.PROCESS].rpartition(" ")[2])
        if not is_running(number, run.info.start_time / 1000):
            yield run


def close_killed(client: "MlflowClient", experiment_id: str) -> None:
    """Mark the runs of killed trainings FAILED."""
    for run in killed(client, experiment_id):
        client.set_terminated(run.info.run_id, "FAILED")


def adoptable_run(store: Store, workspace: Path, histories: list[Path]) -> str | None:
    """The id of the run that a live training left for `publish` to complete; None without one.

    Args:
        histories: The files of metrics with steps. The one that the training wrote must be among
            them, unchanged.
    """
    record = read_live_record(workspace)
    if record.get("uri") != store.uri:
        return None
    digests = [file_digest(path) for path in histories]
    return record["run_id"] if record.get("history") in digests else None


def _stream(lines: "queue.Queue[dict[str, Any] | None]", store: Store, workspace: Path) -> None:
    client = store.client()
    with contextlib.suppress(Exception):
        close_unfinished(client, workspace)
    experiment_id = store.experiment_id(client)
    close_killed(client, experiment_id)
    composed = read_yaml(workspace / COMPOSED) or {}
    model = composed.get("options", {}).get("model", "model")
    run_id = client.create_run(
        experiment_id,
        run_name=f"{model} · {experiment_name() or 'training'}",
        tags={tag.PROCESS: f"{socket.gethostname()} {os.getpid()}"},
    ).info.run_id
    path = live_record(workspace)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"run_id": run_id, "uri": store.uri}), encoding="utf-8")
    print(f"live metrics: {store.page(run_path(experiment_id, run_id, CURVES))}", flush=True)
    while True:
        messages = _next_messages(lines)
        now = int(time.time() * 1000)
        metrics = [
            runs.Point(name, value, now, int(message["step"]))
            for message in messages
            if message and "step" in message
            for name, value in message.items()
            if name != "step"
        ]
        runs.log(client, run_id, metrics=metrics)
        for message in messages:
            if message is None:
                client.set_terminated(run_id, "FAILED")
                live_record(workspace).unlink(missing_ok=True)
                return
            if "end" in message:
                client.delete_tag(run_id, tag.PROCESS)
                return


def _next_messages(lines: "queue.Queue[dict[str, Any] | None]") -> list[dict[str, Any] | None]:
    """The next message, and those that follow it within a second; None is the end of the input."""
    messages = [lines.get()]
    deadline = time.monotonic() + BATCH_SECONDS
    while messages[-1] is not None and (left := deadline - time.monotonic()) > 0:
        try:
            messages.append(lines.get(timeout=left))
        except queue.Empty:
            break
    return messages


def _read(lines: "queue.Queue[dict[str, Any] | None]") -> None:
    """Read the pipe without delay, so that the training never waits for a slow server."""
    for line in sys.stdin:
        lines.put(json.loads(line))
    lines.put(None)


if __name__ == "__main__":
    main(sys.argv[1:])
