"""Remotes that do not answer as they should: `lockstep doctor` gives the reason within seconds."""

import re
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from unittest import mock

import pytest
from tiny import Tiny

from lockstep import LockstepError
from lockstep.doctor import servers
from lockstep.doctor.checkup import Finding, problem
from lockstep.dvc import remote
from lockstep.mlflow import runs, store
from lockstep.project import Project


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.fixture
def closed() -> Iterator[int]:
    """A port that nothing listens at."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield closed.getsockname()[1]


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


@pytest.fixture
def tiny(tiny_project: Tiny, origin: Path) -> Tiny:
    tiny_project.git("remote", "add", "origin", str(origin))
    return tiny_project


def ask_git(tiny: Tiny, url: str, **env: str) -> Finding:
    """What the doctor finds at git's remote of a URL."""
    tiny.git("remote", "set-url", "origin", url)
    with tiny.entered(**env):
        return servers.git_remote(Project(tiny.path))


def ask_dvc(tiny: Tiny, url: str) -> Finding:
    """What the doctor finds at DVC's remote of a URL."""
    config = f"[core]\n    remote = storage\n['remote \"storage\"']\n    url = {url}\n"
    tiny.write(".dvc/config", config)
    with tiny.entered():
        return servers.dvc_remote(Project(tiny.path))


def ask_mlflow(tiny: Tiny, uri: str) -> Finding:
    """What the doctor finds at MLflow's store of a URI."""
    with tiny.entered(MLFLOW_TRACKING_URI=uri):
        try:
            return servers.mlflow(Project(tiny.path))
        except LockstepError as error:
            return problem(error)


def test_silence_is_not_waited_for(
    tiny: Tiny, silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "CONNECT_SECONDS", 1)
    monkeypatch.setattr(store, "CONNECT_SECONDS", 1)
    monkeypatch.setattr(servers, "GIT_SECONDS", 1.0)
    address = f"127.0.0.1:{silent}"
    ask_dvc(tiny, "http://127.0.0.1:9/dvc")  # imports what it takes
    for ask, url in (
        (ask_mlflow, f"http://{address}"),
        (ask_dvc, f"http://{address}/dvc"),
        (ask_git, f"ssh://git@{address}/p.git"),
    ):
        start = time.monotonic()
        finding = ask(tiny, url)
        assert time.monotonic() - start < 3
        assert finding.state == "failed"
        assert re.search(r"no answer|timed out", finding.text)
        assert address in finding.text


def test_nobody_is_asked_for_a_password(tiny: Tiny, web: str, tmp_path: Path) -> None:
    """Neither in the terminal nor in a window, and SSH with the user's own command."""
    asked = tmp_path / "asked"
    for name, content in {"askpass": f"touch '{asked}'", "ssh": f"echo \"$@\" > '{asked}'"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{content}\n")
        (tmp_path / name).chmod(0o755)
    askpass = dict.fromkeys(("GIT_ASKPASS", "SSH_ASKPASS"), str(tmp_path / "askpass"))
    assert ask_git(tiny, f"{web}/401/p.git", **askpass).state == "failed"
    assert not asked.exists()
    tiny.git("config", "core.sshCommand", str(tmp_path / "ssh"))
    assert ask_git(tiny, "ssh://git@127.0.0.1/p.git").state == "failed"
    assert asked.read_text().startswith("-o BatchMode=yes -o ConnectTimeout=5 ")


def test_what_answers_need_not_be_mlflow(tiny: Tiny, web: str) -> None:
    texts = {
        "login": f"{web}/login is not an MLflow server: its /version is not a version",
        "404": f"{web}/404 answers 404 Not Found; it may not be an MLflow server",
        "401": f"{web}/401 answers 401 Unauthorized: set MLFLOW_TRACKING_USERNAME and ",
    }
    for path, text in texts.items():
        finding = ask_mlflow(tiny, f"{web}/{path}")
        assert finding.state == "failed"
        assert finding.text.startswith(text)


def test_a_server_that_fails_is_reported_before_dvc_is_asked(
    tiny: Tiny, web: str, closed: int
) -> None:
    finding = ask_dvc(tiny, f"{web}/502")
    assert (finding.state, finding.text) == (
        "failed",
        f"{web}/502 answers 502 Bad Gateway",
    )
    away = f"http://127.0.0.1:{closed}"
    assert "refused" in ask_dvc(tiny, f"{away}/dvc").text
    start = time.monotonic()
    for settings in (
        {"url": f"webdav://127.0.0.1:{closed}/dvc"},
        {"url": "s3://bucket/dvc", "endpointurl": away},
    ):
        with pytest.raises(LockstepError, match=f"^{away}.* does not answer: .*refused"):
            remote.require_server(settings)
    assert time.monotonic() - start < 5
    remote.require_server({"url": "ssh://127.0.0.1:9/dvc"})
    remote.require_server({"url": f"{web}/200".replace("://", "://ada:secret@")})
    assert ask_dvc(tiny, f"{web}/401").state == "failed", "DVC itself is asked"


def test_what_answers_need_not_speak_http(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def greet() -> None:
            with server.accept()[0] as connection:
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        for ask in (ask_mlflow, ask_dvc):
            Thread(target=greet, daemon=True).start()
            assert re.search("SSH-2|reset", ask(tiny, url).text)


def test_a_database_that_is_away_is_reported(tiny: Tiny, closed: int) -> None:
    uri = f"postgresql+psycopg://ada:secret@127.0.0.1:{closed}/mlflow"
    start = time.monotonic()
    finding = ask_mlflow(tiny, uri)
    assert time.monotonic() - start < 5
    assert finding.state == "failed"
    assert "refused" in finding.text
    assert "secret" not in finding.text


def test_a_file_that_cannot_be_downloaded_is_not_taken_for_one_that_the_run_lacks(
    tiny_published: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tiny_published.path)
    client, run = project.store.client(), project.store.find_finished(project.pipeline.state)
    assert run
    assert runs.download(client, run, "absent/file.json", tmp_path) is None
    monkeypatch.setattr(client, "download_artifacts", mock.Mock(side_effect=OSError("timed out")))
    assert runs.download(client, run, "absent/file.json", tmp_path) is None
    with pytest.raises(LockstepError, match=r"environment.json of the run .* timed out"):
        runs.download(client, run, "environment.json", tmp_path)
