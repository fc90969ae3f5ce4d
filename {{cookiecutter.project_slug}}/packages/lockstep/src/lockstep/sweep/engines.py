"""Where the workers of a sweep run. `sweep/engine=` chooses one; each starts them elsewhere.

A worker lives for many trials: what it costs to start one is paid once.
"""

import importlib
import logging
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Protocol

from lockstep import LockstepError
from lockstep.mlflow.store import CONNECT_SECONDS
from lockstep.sweep.worker import THREAD_VARIABLES, Job, work

LOOK_SECONDS = 5.0  # between two questions to Slurm


class Worker(Protocol):
    """A worker on its way."""

    def ended(self) -> bool:
        """Whether it is not at work any more."""

    def failure(self) -> str | None:
        """Why it ended, unless it had done its work."""

    def stop(self) -> None:
        """End it now."""


class Engine(Protocol):
    """Starts workers somewhere."""

    threads: int

    def size(self) -> int:
        """How many workers there are to be."""

    def start(self, job: Job, log: Path) -> Worker:
        """Start one; what it says goes into the file `log` where that is possible."""

    def close(self) -> None:
        """Let go of everything."""


class Local:
    """Processes on this machine."""

    def __init__(self, workers: int | None = None, threads: int = 1) -> None:
        """Choose their number.

        Args:
            workers: How many; by default, as many as there are cores for.
            threads: How many cores each may use.
        """
        self.threads = threads
        self._workers = workers

    def size(self) -> int:
        """How many workers there are to be."""
        return self._workers or max(1, (os.cpu_count() or 1) // self.threads)

    def start(self, job: Job, log: Path) -> "LocalWorker":
        """Start a process; it ends when this one does, however that ends."""
        return LocalWorker(job, log)

    def close(self) -> None:
        """Nothing is left to let go of."""


class LocalWorker:
    """A process."""

    def __init__(self, job: Job, log: Path) -> None:
        """Start it."""
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "lockstep.sweep.worker"],
                cwd=job.workspace,
                # Read when numerical libraries are loaded, which may be before the job is.
                env={**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(job.threads))},
                stdin=subprocess.PIPE,
                stdout=stream,
                stderr=stream,
                # Ctrl-C is for the driver, which then ends its workers.
                start_new_session=True,
            )
        assert self._process.stdin is not None
        self._process.stdin.write(job.as_json().encode() + b"\n")
        self._process.stdin.flush()

    def ended(self) -> bool:
        """Whether it is not at work any more."""
        return self._process.poll() is not None

    def failure(self) -> str | None:
        """Why it ended, unless it had done its work."""
        code = self._process.returncode
        return f"its process ended with {code}" if code else None

    def stop(self) -> None:
        """End it now."""
        self._process.kill()
        self._process.wait()


class Ray:
    """Tasks of a Ray cluster (https://docs.ray.io)."""

    def __init__(
        self, address: str | None = None, workers: int | None = None, threads: int = 1
    ) -> None:
        """Choose the cluster; it is joined when its size is asked for.

        Args:
            address: Of a running one, or `auto`; None starts one here for this sweep.
            workers: How many; by default, as many as the cluster has cores for.
            threads: How many cores each may use.

        Raises:
            LockstepError: Ray is not installed.
        """
        # Read when Ray is imported: workers have this environment already, `uv run` in each would
        # make it anew.
        os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        self._ray = _imported("ray", "ray")
        self.threads = threads
        self._address = address
        self._workers = workers

    def size(self) -> int:
        """How many workers there are to be."""
        cores = int(self._joined().cluster_resources().get("CPU", 1))
        return self._workers or max(1, cores // self.threads)

    def start(self, job: Job, log: Path) -> "RayWorker":
        """Start a task."""
        ray = self._joined()
        # The driver replaces a worker that is lost, whatever the engine.
        task = ray.remote(num_cpus=self.threads, max_retries=0)(work)
        return RayWorker(ray, task.remote(job))

    def close(self) -> None:
        """Leave the cluster."""
        self._ray.shutdown()

    def _joined(self) -> Any:
        ray = self._ray
        if not ray.is_initialized():
            try:
                self._require_reachable()
                ray.init(
                    address=self._address or "local",
                    log_to_driver=False,
                    logging_level="ERROR",
                    **({} if self._address else {"include_dashboard": False}),
                )
            except (OSError, RuntimeError, ValueError) as error:
                raise LockstepError(
                    f"the Ray cluster at {self._address} cannot be joined: {error}\n"
                    "start one with `ray start --head`, or let sweep.engine.address be null"
                ) from error
        return ray

    def _require_reachable(self) -> None:
        """Ray itself would try for minutes to reach a cluster that is not there.

        Raises:
            OSError: Nothing listens at its address.
        """
        host, _, port = (self._address or "").removeprefix("ray://").rpartition(":")
        if port.isdigit():
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()


class RayWorker:
    """A task."""

    def __init__(self, ray: Any, reference: Any) -> None:
        """Keep hold of it."""
        self._ray = ray
        self._reference = reference

    def ended(self) -> bool:
        """Whether it is not at work any more."""
        return bool(self._ray.wait([self._reference], timeout=0)[0])

    def failure(self) -> str | None:
        """Why it ended, unless it had done its work."""
        try:
            self._ray.get(self._reference)
        except self._ray.exceptions.RayError as error:
            # What the task raised, where that is why; else what became of its process or machine.
            return str(getattr(error, "cause", None) or error).strip().splitlines()[0]
        return None

    def stop(self) -> None:
        """End it now."""
        self._ray.cancel(self._reference, force=True)


class Slurm:
    """Jobs of a Slurm cluster, through submitit (https://github.com/facebookincubator/submitit)."""

    def __init__(
        self,
        workers: int,
        threads: int = 1,
        minutes: int = 60,
        options: dict[str, Any] | None = None,
    ) -> None:
        """Choose what a job asks for.

        Args:
            workers: How many jobs.
            threads: How many cores each may use.
            minutes: How long each may run.
            options: More for `sbatch`, by the long name: {"partition": "cpu"}.

        Raises:
            LockstepError: submitit is not installed.
        """
        self._submitit = _imported("submitit", "slurm")
        logging.getLogger("submitit").setLevel(logging.ERROR)
        self.threads = threads
        self._workers = workers
        self._minutes = minutes
        self._options = dict(options or {})

    def size(self) -> int:
        """How many workers there are to be."""
        return self._workers

    def start(self, job: Job, log: Path) -> "SlurmWorker":
        """Submit a job; its log is beside `log`."""
        submitit = self._submitit
        folder = log.parent / "slurm"
        # What submitit writes there holds the storage's URL, maybe with a password.
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

    def close(self) -> None:
        """Nothing is left to let go of."""


class SlurmWorker:
    """A job."""

    def __init__(self, job: Any) -> None:
        """Keep hold of it."""
        self._job = job
        self._next_look = 0.0
        self._missed = 0

    def ended(self) -> bool:
        """Whether it is not at work any more."""
        return bool(self._job.done()) or self._is_gone()

    def failure(self) -> str | None:
        """Why it ended, unless it had done its work."""
        if not self._job.done():
            return f"Slurm has no job {self._job.job_id} any more"
        error = self._job.exception()
        return str(error).strip().splitlines()[-1] if error else None

    def stop(self) -> None:
        """End it now."""
        self._job.cancel()

    def _is_gone(self) -> bool:
        """Whether Slurm has forgotten it, though it left no result.

        Without Slurm's accounting, submitit waits for ever for a job that was killed.
        """
        if time.monotonic() > self._next_look:
            self._next_look = time.monotonic() + LOOK_SECONDS
            command = ["squeue", "--noheader", "--jobs", str(self._job.job_id)]
            asked = subprocess.run(command, capture_output=True, text=True, check=False)
            known = asked.stdout.strip() or (
                asked.returncode and "Invalid job id" not in asked.stderr
            )
            self._missed = 0 if known else self._missed + 1
        # The file with its result may take a moment to be seen here.
        return self._missed > 1


def _imported(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise LockstepError(
            f"sweep/engine={extra} needs the package {module}: "
            f"`uv sync --extra {extra}` (or `pip install {module}`)"
        ) from error
