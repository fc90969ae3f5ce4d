"""`lockstep serve` under load: champions change, versions break, the tracking server is killed.

Some swaps by default; `make load` makes a hundred, and measures the memory.
"""

import concurrent.futures
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import psutil
import pytest
from servers import Server, Servers, mlflow
from serving import Client, until
from tiny import Tiny

from lockstep.mlflow.registry import set_alias
from lockstep.project import Project

CONNECTIONS = 16
PAUSE = 0.03  # seconds between two requests of a client: a tracking server must start beside them
LEAST_SECONDS = 0.6  # for each swap
LONG = 50  # swaps, from which on the memory shows if it grows
BODIES: list[tuple[str, Any, str, int, int]] = [  # path, body, media type, status, rows
    ("/predict", {"rows": [{"x": 10}]}, "application/json", 200, 1),
    ("/predict", {"rows": [{"x": n} for n in range(50)]}, "application/json", 200, 50),
    ("/invocations", {"dataframe_records": [{"x": 10}]}, "application/json", 200, 1),
    ("/invocations", b"x\n10\n11\n", "text/csv", 200, 2),
    ("/predict", {"rows": [{"x": "ten"}]}, "application/json", 422, 0),
]


class Answer:
    """An answer, and between which times it was asked for."""

    def __init__(self, client: Client, number: int) -> None:
        path, body, media, self.expected, self.rows = BODIES[number % len(BODIES)]
        self.id = f"r{number}"
        self.start = time.monotonic()
        answer = client.post(path, body, media, **{"x-request-id": self.id})
        self.end = time.monotonic()
        self.status, self.text = answer.status, answer.text
        self.version = answer.headers.get("x-model-version")


class Load:
    """Clients that ask all the time."""

    def __init__(self, client: Client) -> None:
        self.answers: list[Answer] = []
        self._client, self._numbers = client, count()
        self._stop = threading.Event()

    @contextlib.contextmanager
    def running(self) -> Iterator["Load"]:
        """Ask until the end; what a client could not send or read is raised."""
        with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
            asking = [pool.submit(self._ask) for _ in range(CONNECTIONS)]
            try:
                yield self
            finally:
                self._stop.set()
            for each in asking:
                each.result()

    def go_on(self) -> None:
        """Wait for more answers."""
        wanted = len(self.answers) + 2 * CONNECTIONS
        until(lambda: len(self.answers) > wanted)

    def _ask(self) -> None:
        while not self._stop.is_set():
            self.answers.append(Answer(self._client, next(self._numbers)))
            time.sleep(PAUSE)


class Champions:
    """The alias in the registry, and since when which version may answer."""

    def __init__(self, project: Project, client: Client) -> None:
        self._project, self._client = project, client
        # Since when the alias names a version, and since when the server answers with it alone.
        self._held: list[tuple[float, str, bool]] = [(0.0, "1", True)]

    def point(self, version: str) -> None:
        """Move the alias."""
        set_alias(self._project.store.client(), "toy", "champion", version)

    def move(self, version: str) -> None:
        """Move the alias, and wait until the server answers with its version."""
        self._held.append((time.monotonic(), version, False))
        self.point(version)
        until(lambda: self._client.get("/version").json["version"] == version)
        self._held.append((time.monotonic(), version, True))

    def allowed(self, answer: Answer) -> set[str]:
        """The champion that was settled before the request, and those since."""
        settled = [at for at, (since, _, done) in enumerate(self._held)
                   if done and since <= answer.start]  # fmt: skip
        return {name for since, name, _ in self._held[settled[-1] :] if since <= answer.end}


def broken_version(project: Project) -> str:
    """Register a version whose model cannot be read; its number."""
    client = project.store.client()
    good = client.get_model_version("toy", "2")
    assert good.run_id
    client.log_text(good.run_id, "flavors: {sklearn: {}}\n", "broken/MLmodel")
    place = f"{client.get_run(good.run_id).info.artifact_uri}/broken"
    return str(client.create_model_version("toy", place, good.run_id).version)


def problems(client: Client) -> dict[str, str]:
    found: dict[str, str] = client.get("/ready").json["problems"]
    return found


@contextlib.contextmanager
def command(project: Tiny, log: Path) -> Iterator[tuple[Client, psutil.Process]]:
    """The server as a process, which must end by itself when it is told to."""
    words = ["serve", "--port", "0", "--poll", "0.1", "--allow-code", "--log", str(log)]
    process = subprocess.Popen(
        [sys.executable, "-m", "lockstep", *words], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        address = process.stdout.readline().split(";")[0]
        yield Client(int(address.rpartition(":")[2])), psutil.Process(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def registry(
    servers: Servers, tiny_rivals: Tiny, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Project, Server]]:
    """A project with two versions on a tracking server, in its folder."""
    place: Any = SimpleNamespace(
        bin=Path(sys.executable).parent, environment={"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    store = f"sqlite:///{tiny_rivals.path / 'mlflow.db'}"
    artifacts = tiny_rivals.path / "mlartifacts"
    server = mlflow(
        servers, place, "--backend-store-uri", store, "--artifacts-destination", str(artifacts)
    )
    servers.add(server)
    with tiny_rivals.entered(MLFLOW_TRACKING_URI=server.url):
        yield Project(tiny_rivals.path), server


def test_no_request_is_lost_or_answered_by_another_version_while_all_changes(
    registry: tuple[Project, Server],
    tiny_rivals: Tiny,
    tmp_path: Path,
    pytestconfig: pytest.Config,
) -> None:
    project, tracking = registry
    swaps = pytestconfig.getoption("swaps")
    broken = broken_version(project)
    memory: list[float] = []
    with command(tiny_rivals, tmp_path / "log") as (client, process):
        champions = Champions(project, client)
        with Load(client).running() as load:
            for swap in range(swaps):
                begin = time.monotonic()
                champions.move(str(2 - swap % 2))
                load.go_on()
                if swap % 3 == 1:
                    champions.point(broken)
                    until(lambda: f"version {broken} was refused" in str(problems(client)))
                    load.go_on()
                if swap % max(swaps // 2, 1) == 2:
                    tracking.stop(signal.SIGKILL)
                    until(lambda: "registry" in problems(client))
                    load.go_on()
                    tracking.start()
                memory.append(process.memory_info().rss / 1e6)
                time.sleep(max(0.0, begin + LEAST_SECONDS - time.monotonic()))
    assert len(load.answers) > CONNECTIONS * swaps
    wrong = [(each.status, each.text) for each in load.answers if each.status != each.expected]
    assert not wrong
    answered = [each for each in load.answers if each.status == 200]
    strange = [(each.version, each.start) for each in answered
               if each.version not in champions.allowed(each)]  # fmt: skip
    assert not strange
    kept = pd.concat(map(pd.read_parquet, (tmp_path / "log/answers").glob("*/*.parquet")))
    assert kept.groupby("_request").size().to_dict() == {each.id: each.rows for each in answered}
    print(json.dumps({"answers": len(load.answers), "megabytes": [round(each) for each in memory]}))
    if swaps >= LONG:
        # The last two fifths: what grows only when the tracking server dies has grown by then.
        fifth = swaps // 5
        early, late = memory[-2 * fifth : -fifth], memory[-fifth:]
        assert statistics.median(late) < 1.03 * statistics.median(early), memory
