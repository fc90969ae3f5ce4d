"""Asking remotes that do not answer as they should: the reason comes within seconds."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from lockstep_template import reach

GIT = ["git", "-c", "init.defaultBranch=main", "init", "--quiet"]


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.fixture
def web() -> Iterator[str]:
    """A web server whose paths say what it answers: a status, or a text."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            first = self.path.split("/")[1]
            self.send_response(int(first) if first.isdigit() else 200)
            self.end_headers()
            self.wfile.write(first.encode())

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *args: Any) -> None: ...

    served = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    Thread(target=served.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{served.server_address[1]}"
    served.shutdown()
    served.server_close()


def test_silence_is_not_waited_for(
    silent: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "SECONDS", 1)
    subprocess.run(GIT, cwd=tmp_path, check=True)
    origin = ["git", "remote", "add", "origin", f"ssh://git@127.0.0.1:{silent}/p.git"]
    subprocess.run(origin, cwd=tmp_path, check=True)
    url = f"http://127.0.0.1:{silent}"
    for ask in (
        lambda: reach.mlflow(url),
        lambda: reach.dvc(["dvc"], url, tmp_path, os.environ),
        lambda: reach.git(tmp_path, os.environ),
    ):
        start = time.monotonic()
        with pytest.raises(reach.UnreachableError, match=r"no answer|timed out"):
            ask()
        assert time.monotonic() - start < 3


def test_what_answers_need_not_be_mlflow(web: str) -> None:
    with pytest.raises(reach.UnreachableError, match="/login/health is not that of an MLflow"):
        reach.mlflow(f"{web}/login")
    with pytest.raises(reach.UnreachableError, match="/404/health answers HTTP 404"):
        reach.mlflow(f"{web}/404")
    assert reach.mlflow(f"{web}/401") == "the server answers, and wants credentials"


def test_a_web_server_that_fails_is_told_before_dvc_is_asked(web: str, tmp_path: Path) -> None:
    with pytest.raises(reach.UnreachableError, match="answers HTTP 502"):
        reach.dvc(["never-run"], f"{web}/502", tmp_path, os.environ)
    says = ["git", "no-such-command"]
    with pytest.raises(reach.UnreachableError, match="'no-such-command' is not a git command"):
        reach.dvc(says, f"{web}/401", tmp_path, os.environ)


def test_what_answers_need_not_speak_http(tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def greet() -> None:
            with server.accept()[0] as connection:
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        for ask in (
            lambda: reach.mlflow(url),
            lambda: reach.dvc(["never-run"], url, tmp_path, os.environ),
        ):
            Thread(target=greet, daemon=True).start()
            with pytest.raises(reach.UnreachableError, match=r"SSH-2|reset"):
                ask()


def test_a_database_that_is_away_is_told() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(reach.UnreachableError, match="refused"):
            reach.mlflow(f"postgresql+psycopg://127.0.0.1:{port}/mlflow")
