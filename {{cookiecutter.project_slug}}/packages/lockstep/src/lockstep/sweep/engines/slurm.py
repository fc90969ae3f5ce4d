"""Workers that are jobs of a Slurm cluster, through submitit.

https://github.com/facebookincubator/submitit
"""

import logging
import subprocess
import time
from pathlib import Path
from typing import Any

from lockstep import LockstepError
from lockstep.cluster import import_engine
from lockstep.sweep.engines.base import ELSEWHERE, Engine, Worker, address_towards
from lockstep.sweep.job import Job
from lockstep.sweep.worker import work

LOOK_SECONDS = 5.0  # between two questions to Slurm


class Slurm(Engine):
    """Jobs of a Slurm cluster."""

    def __init__(
        self,
        workers: int,
        threads: int = 1,
        minutes: int = 60,
        options: dict[str, Any] | None = None,
        host: str | None = None,
    ) -> None:
        """Choose what a job asks for.

        Args:
            workers: The number of jobs.
            threads: How many cores each job may use.
            minutes: How long each job may run.
            options: More options of `sbatch`, by their long names: {"partition": "cpu"}.
            host: The address at which jobs reach this machine; by default, the one that it has
                on its default route.

        Raises:
            LockstepError: submitit is not installed.
        """
        self._submitit = import_engine("submitit", "slurm")
        logging.getLogger("submitit").setLevel(logging.ERROR)
        self.threads = threads
        self._workers = workers
        self._minutes = minutes
        self._options = dict(options or {})
        self._host = host

    def size(self) -> int:
        """The number of workers."""
        return self._workers

    def host(self) -> str:
        """The address of this machine to which workers connect."""
        return self._host or address_towards(ELSEWHERE)

    def interface(self) -> str:
        """The address at which to listen; all of them if `host` was set, which may be another."""
        return "" if self._host else self.host()

    def start(self, job: Job, log: Path) -> "SlurmWorker":
        """Submit a job; its log is in the folder `slurm` beside `log`.

        Raises:
            LockstepError: Slurm does not take it.
        """
        submitit = self._submitit
        folder = log.parent / "slurm"
        # What submitit writes there holds the key of the driver.
        folder.mkdir(mode=0o700, exist_ok=True)
        try:
            executor = submitit.AutoExecutor(folder=folder, cluster="slurm")
            executor.update_parameters(
                name="lockstep",
                cpus_per_task=self.threads,
                timeout_min=self._minutes,
                slurm_additional_parameters=self._options,
            )
            return SlurmWorker(executor.submit(work, job))
        except (RuntimeError, OSError, submitit.core.utils.FailedJobError) as error:
            raise LockstepError(f"Slurm does not take the job: {error}") from error


class SlurmWorker(Worker):
    """A job."""

    def __init__(self, job: Any) -> None:
        self._job = job
        self._next_look = 0.0
        self._missed = 0

    def ended(self) -> bool:
        """Whether it has ended, for any reason."""
        return bool(self._job.done()) or self._is_gone()

    def failure(self) -> str | None:
        """Why it ended; None if it completed its work."""
        if not self._job.done():
            return f"Slurm does not know the job {self._job.job_id} any more"
        error = self._job.exception()
        if error is None:
            return None
        # The last line of a worker's traceback says what was raised.
        return str(error).strip().rpartition("\n")[2] or type(error).__name__

    def stop(self) -> None:
        """End it immediately."""
        self._job.cancel()

    def _is_gone(self) -> bool:
        """Whether Slurm has forgotten it although it left no result.

        Without Slurm's accounting, submitit would wait forever for a job that was killed.
        """
        if time.monotonic() > self._next_look:
            self._next_look = time.monotonic() + LOOK_SECONDS
            command = ["squeue", "--noheader", "--jobs", str(self._job.job_id)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            known = done.stdout.strip() or (done.returncode and "Invalid job id" not in done.stderr)
            self._missed = 0 if known else self._missed + 1
        # The file with its result may appear here a moment later.
        return self._missed > 1
