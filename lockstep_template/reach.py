"""Whether the remotes of a new project answer: asked within seconds, and nobody is asked back.

To be away is ordinary, on a train or before the server is there; it is told and stops nothing.
"""

import queue
import re
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

SECONDS = 5
DVC_SECONDS = 15  # some of them are Python's, which loads the client of the remote
DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
WANTS_LOGIN = (401, 403, 407)


class UnreachableError(Exception):
    """A remote did not answer as it should; the text is the reason."""


def git(folder: Path, env: Mapping[str, str]) -> None:
    """Ask git's remote `origin` for its branch, with no prompt of git's, ssh's or a desktop's.

    Raises:
        UnreachableError: With what git says.
    """
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "SSH_ASKPASS": ""}
    if "GIT_SSH" not in env:
        ssh = env.get("GIT_SSH_COMMAND") or _core_ssh_command(folder, env) or "ssh"
        quiet["GIT_SSH_COMMAND"] = f"{ssh} -o BatchMode=yes -o ConnectTimeout={SECONDS}"
    _run(
        ["git", "-c", "credential.interactive=false", "ls-remote", "--quiet", "origin", "HEAD"],
        folder,
        {**env, **quiet},
        SECONDS,
    )


def dvc(command: list[str], address: str, folder: Path, env: Mapping[str, str]) -> None:
    """Have DVC look for the raw data in its remote.

    Args:
        command: DVC's, which only reads.
        address: Where the server speaks HTTP, or empty. It is looked at first: DVC's clients try
            an absent server for up to a minute, and those of http and webdav take it for an empty
            one.
        folder: The project.
        env: The variables to run with.

    Raises:
        UnreachableError: With what DVC says.
    """
    if address:
        try:
            _ask(address, "HEAD")
        except urllib.error.HTTPError as error:
            if error.code >= 500:
                raise UnreachableError(f"{address} answers HTTP {error.code}") from None
        except UnreachableError as error:
            reason = getattr(error.__cause__, "reason", None)
            if not isinstance(reason, ssl.SSLError):  # DVC may know the certificate
                raise
    _run(command, folder, env, DVC_SECONDS)


def mlflow(uri: str) -> str:
    """Ask an MLflow server for its health, or a database for a connection.

    Args:
        uri: `http(s)://…` or a database's.

    Returns:
        What answered.

    Raises:
        UnreachableError: Nothing did, or something else than MLflow.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        if not parts.hostname:
            return "the database has no host that could be asked"
        port = parts.port or DATABASE_PORTS[parts.scheme.partition("+")[0]]
        _within(SECONDS, lambda: _connect(str(parts.hostname), port), uri)
        return f"{parts.hostname} answers"
    base = uri.rstrip("/")
    try:
        if _ask(f"{base}/health").strip() != "OK":
            raise UnreachableError(f"{base}/health is not that of an MLflow server")
    except urllib.error.HTTPError as error:
        if error.code in WANTS_LOGIN:
            return "the server answers, and wants credentials"
        raise UnreachableError(f"{base}/health answers HTTP {error.code}") from None
    version = ""
    with suppress(urllib.error.HTTPError, UnreachableError):
        version = _ask(f"{base}/version").strip()
    return f"MLflow {version} answers" if re.fullmatch(r"[\w.+-]{1,40}", version) else "answers"


def _core_ssh_command(folder: Path, env: Mapping[str, str]) -> str:
    argv = ["git", "config", "--get", "core.sshCommand"]
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, encoding="utf-8")
    return done.stdout.strip()


def _ask(url: str, method: str = "GET") -> str:
    """The beginning of what a web server sends; an HTTPError where it answers with a failure."""
    return _within(SECONDS, lambda: _get(url, method), url)


def _get(url: str, method: str) -> str:
    asked = urllib.request.Request(url, method=method)  # noqa: S310  (http or https)
    with urllib.request.urlopen(asked, timeout=SECONDS) as answer:  # noqa: S310
        return str(answer.read(200).decode("utf-8", "replace"))


def _connect(host: str, port: int) -> str:
    socket.create_connection((host, port), SECONDS).close()
    return ""


def _within(seconds: float, ask: Callable[[], str], shown: str) -> str:
    """Ask in a thread that may be left behind: looking a name up takes no timeout."""
    answers: queue.SimpleQueue[str | Exception] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put(ask())
        except Exception as error:
            answers.put(error)

    Thread(target=work, daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise UnreachableError(f"{shown}: no answer within {seconds} seconds") from None
    if isinstance(answer, urllib.error.HTTPError):
        raise answer
    if isinstance(answer, Exception):
        reason = getattr(answer, "reason", None) or str(answer).strip() or type(answer).__name__
        raise UnreachableError(f"{shown}: {reason}") from answer
    return answer


def _run(argv: list[str], folder: Path, env: Mapping[str, str], seconds: float) -> None:
    try:
        done = subprocess.run(
            argv,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise UnreachableError(f"no answer within {seconds} seconds") from None
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR: ")]
        told = [line for line in lines if not line.lower().startswith("warning")]
        reason = (errors or told or [f"exit code {done.returncode}"])[0]
        raise UnreachableError(reason.removeprefix("ERROR: ").removeprefix("unexpected error - "))
