"""Other processes: one for work that needs other imports than this, and whether one still runs."""

import contextlib
import importlib
import io
import multiprocessing
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from lockstep.garbage import collect_seldom
from lockstep.values import first_line

Submit = Callable[..., Future[Any]]


class ProcessError(Exception):
    """A function that failed in the other process; the message is its output and traceback."""


def is_running(number: int, started_before: float) -> bool:
    """Whether a process has this number, and had it before a moment, in seconds since 1970."""
    import psutil

    try:
        process = psutil.Process(number)
        # In a container without an init, a killed process stays as a zombie.
        ended = process.status() == psutil.STATUS_ZOMBIE
        return not ended and process.create_time() <= started_before + 1
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


def works_in(folder: Path, program: str = "") -> bool:
    """Whether a process, or one of a program, has its current folder there."""
    import psutil

    inside = folder.resolve()
    return any(
        Path(process.info["cwd"] or "").is_relative_to(inside)
        # As in `python -m PROGRAM`.
        and any(program in Path(word).name for word in (process.info["cmdline"] or [])[:3])
        for process in psutil.process_iter(["cmdline", "cwd"])
    )


@contextlib.contextmanager
def process_beside() -> Iterator[Submit]:
    """Run functions in another process; it starts with the first and ends with the `with` block.

    Yields:
        `submit(workspace, function, *arguments)`, which calls a function of a module in that
        process, with the workspace as current folder and its `src/` importable. The result is a
        future. A failure raises `ProcessError`; so does a process that died, and the next call
        then starts another one.
    """
    process = _Process()
    # One thread exchanges the messages, so calls are done in the order in which they were made.
    with ThreadPoolExecutor(1) as messenger:

        def submit(workspace: Path, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
            return messenger.submit(process.call, str(workspace.resolve()), function, arguments)

        try:
            yield submit
        finally:
            messenger.shutdown(wait=False, cancel_futures=True)
            process.end()


class _Process:
    """The other process, seen from this one. It is spawned: a fork would share open connections."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._process: multiprocessing.process.BaseProcess | None = None
        self._lock = threading.Lock()  # between the thread that calls and the one that ends
        self._ended = False

    def call(self, *request: Any) -> Any:
        """Send a request, and wait for the answer."""
        connection = self._started()
        try:
            connection.send(request)
            succeeded, result = connection.recv()
        except (EOFError, OSError) as error:
            self._kill()
            raise ProcessError("the process died; it may have run out of memory") from error
        except Exception as error:  # a result made of classes that this process lacks
            raise ProcessError(f"the result cannot be read: {first_line(error)}") from error
        if not succeeded:
            raise ProcessError(result)
        return result

    def end(self) -> None:
        """End it at once, and for good."""
        with self._lock:
            self._ended = True
            self._kill()

    def _started(self) -> Connection:
        """The connection to the process, which is started if it is not running."""
        with self._lock:
            if self._ended:
                raise ProcessError("the process has been ended")
            if not (self._process and self._process.is_alive()):
                self._connection, theirs = self._context.Pipe()
                self._process = self._context.Process(target=_serve, args=(theirs,))
                self._process.start()
                theirs.close()  # so that the end of the process is the end of the connection
            return self._connection

    def _kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.join()


def _serve(connection: Connection) -> None:
    """Answer requests until the other end closes the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    collect_seldom()
    with contextlib.suppress(EOFError, OSError):
        while True:
            workspace, function, arguments = connection.recv()
            output = io.StringIO()
            try:
                with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                    answer = True, _call(Path(workspace), function, arguments)
            except BaseException:  # whatever the project's own code raises
                answer = False, output.getvalue() + traceback.format_exc()
            try:
                connection.send(answer)
            except (AttributeError, TypeError, pickle.PicklingError):
                connection.send((False, traceback.format_exc()))


def _call(workspace: Path, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Call a function in a workspace, then unload the modules that it imported from there.

    The next workspace may hold other versions of them, and this one may be deleted.
    """
    source = workspace / "src"
    path = list(sys.path)
    sys.path.insert(0, str(source))
    importlib.invalidate_caches()
    try:
        with contextlib.chdir(workspace):
            return function(*arguments)
    finally:
        sys.path[:] = path
        for name, module in list(sys.modules.items()):
            if Path(getattr(module, "__file__", None) or "").is_relative_to(source):
                del sys.modules[name]
