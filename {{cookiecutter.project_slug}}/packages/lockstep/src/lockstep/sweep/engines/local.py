"""Workers that are processes on this machine."""

import os
import subprocess
import sys
from pathlib import Path

from lockstep.sweep.engines.base import Engine, Worker
from lockstep.sweep.job import THREAD_VARIABLES, Job


class Local(Engine):
    """Processes on this machine."""

    def __init__(self, workers: int | None = None, threads: int = 1) -> None:
        """Choose the number of workers.

        Args:
            workers: By default, as many as there are cores for.
            threads: How many cores each worker may use.
        """
        self.threads = threads
        self._workers = workers

    def size(self) -> int:
        """The number of workers."""
        return self._workers or max(1, (os.cpu_count() or 1) // self.threads)

    def start(self, job: Job, log: Path) -> "LocalWorker":
        """Start a process."""
        return LocalWorker(job, log)


class LocalWorker(Worker):
    """A process."""

    def __init__(self, job: Job, log: Path) -> None:
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "lockstep.sweep.worker"],
                cwd=job.workspace,
                # Numerical libraries read them when they are loaded, maybe before the job is read.
                env={**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(job.threads))},
                stdin=subprocess.PIPE,
                stdout=stream,
                stderr=stream,
                # Ctrl-C is for the driver, which then stops its workers.
                start_new_session=True,
            )
        # The job holds a key, which others could read on a command line.
        assert self._process.stdin is not None
        with self._process.stdin as stdin:
            stdin.write(job.as_json().encode() + b"\n")

    def ended(self) -> bool:
        """Whether it has ended, for any reason."""
        return self._process.poll() is not None

    def failure(self) -> str | None:
        """Why it ended; None if it completed its work."""
        code = self._process.returncode
        return f"its process ended with {code}" if code else None

    def stop(self) -> None:
        """End it immediately."""
        self._process.kill()
        self._process.wait()
