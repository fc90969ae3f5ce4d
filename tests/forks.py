"""Runs commands in processes that have imported everything, so that one costs little.

A process of its own imports MLflow, DVC and the glue once, then forks for each command. It speaks
JSON lines: a request has the command and when to send it a signal, the answer how it ended.
"""

import contextlib
import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

PATIENCE = 600.0  # seconds for a command to end, which takes few even on a busy machine


@dataclass(frozen=True)
class Ending:
    """How a command ended.

    Attributes:
        code: Its exit code; the negative number of the signal that ended it.
    """

    code: int
    seconds: float
    output: str


class Forks:
    """The process that forks.

    Attributes:
        env: More variables for the commands.
    """

    def __init__(self, env: Mapping[str, str], log: Path) -> None:
        self._log, self.env = log, dict[str, str]()
        self._server = subprocess.Popen(
            [sys.executable, __file__], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def run(
        self,
        folder: Path,
        *command: str,
        kill: tuple[signal.Signals, float] | None = None,
    ) -> Ending:
        """Run `lockstep ...` or `dvc ...` in a folder.

        Args:
            kill: The signal that the command and all its processes get, and after how many seconds.
        """
        (ending,) = self._ask(folder, [command], kill)
        return ending

    def at_once(self, folder: Path, *commands: Sequence[str]) -> list[Ending]:
        """Run several in a folder at the same time."""
        return self._ask(folder, commands)

    def _ask(
        self,
        folder: Path,
        commands: Sequence[Sequence[str]],
        kill: tuple[signal.Signals, float] | None = None,
    ) -> list[Ending]:
        logs = [f"{self._log}-{number}" for number in range(len(commands))]
        jobs = [
            {"command": command, "folder": str(folder), "log": log, "env": self.env}
            for command, log in zip(commands, logs, strict=True)
        ]
        stdin, stdout = self._server.stdin, self._server.stdout
        assert stdin
        assert stdout
        stdin.write(json.dumps({"jobs": jobs, "kill": kill}) + "\n")
        stdin.flush()
        return [
            Ending(code, seconds, Path(log).read_text(encoding="utf-8", errors="replace"))
            for (code, seconds), log in zip(json.loads(stdout.readline()), logs, strict=True)
        ]

    def end(self) -> None:
        """End it."""
        self._server.communicate()


@contextlib.contextmanager
def forks(env: Mapping[str, str], log: Path) -> Iterator[Forks]:
    """The process that forks; it ends with the `with` block.

    Args:
        env: The environment of all commands.
        log: Files for the output of the last commands begin like this.
    """
    made = Forks(env, log)
    try:
        yield made
    finally:
        made.end()


def serve(requests: IO[str], answers: IO[str]) -> None:
    """Answer requests until there are no more."""
    import dvc.cli
    import tiny

    from lockstep.mlflow.environment import configure_mlflow

    configure_mlflow()  # MLflow reads its environment when it is imported
    import lockstep.cli
    import lockstep.gate.comparison
    import lockstep.mlflow.package

    if sys.platform == "linux":  # adopt the processes of those that are killed, to see their end
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    # A stand-in for another process would start with the imports that this one has made.
    for module in (lockstep.mlflow.package, lockstep.gate.comparison):
        module.process_beside = tiny.in_this_process  # type: ignore[attr-defined]
    programs = {"lockstep": lockstep.cli.main, "dvc": dvc.cli.main}
    for line in requests:
        request = json.loads(line)
        print(json.dumps(_answer(request, programs)), file=answers, flush=True)
        for job in request["jobs"]:
            _learn(Path(job["log"] + ".modules"))


def _answer(request: dict[str, Any], programs: dict[str, Any]) -> list[tuple[int, float]]:
    started = time.monotonic()
    number, delay = request["kill"] or (signal.SIGKILL, PATIENCE)
    children = [_fork(job, programs) for job in request["jobs"]]
    endings = []
    for child in children:
        code = _wait(child, started + delay)
        if code is None:
            try:
                os.killpg(child, number)
            except ProcessLookupError:  # it has not made its group yet
                os.kill(child, number)
            code = _wait(child, started + delay + PATIENCE)
        endings.append((-signal.SIGALRM if code is None else code, time.monotonic() - started))
    for child in children:
        _wait_for_all(child)
    return endings


def _fork(job: dict[str, Any], programs: dict[str, Any]) -> int:
    child = os.fork()
    if child == 0:
        _be(job, programs)
    return child


def _be(job: dict[str, Any], programs: dict[str, Any]) -> None:
    """Become the command; does not return."""
    code = 1
    try:
        os.setsid()
        os.environ.update(job["env"])
        os.chdir(job["folder"])
        log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        program, *words = job["command"]
        code = int(programs[program](words) or 0)
    except SystemExit as error:
        code = int(error.code or 0)
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        _teach(Path(job["log"] + ".modules"))
        os._exit(code)


def _teach(path: Path) -> None:
    """Tell the process that forks what was imported here, so that the next one has it already."""
    names = [name for name in sys.modules if name.partition(".")[0] not in ("toy", "__main__")]
    path.write_text("\n".join(names))


def _learn(path: Path) -> None:
    names = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    for name in names:
        if name not in sys.modules:
            with contextlib.suppress(Exception):  # a module that is no file
                importlib.import_module(name)


def _wait(child: int, deadline: float) -> int | None:
    """The exit code of a child; None if it has not ended by then."""
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None


def _wait_for_all(group: int) -> None:
    """Wait until no process of a group is left."""
    deadline = time.monotonic() + PATIENCE
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            os.killpg(group, 0)
            time.sleep(0.002)
        raise SystemExit("a command left processes that do not end")


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an import prints is no answer
    serve(sys.stdin, answers)
