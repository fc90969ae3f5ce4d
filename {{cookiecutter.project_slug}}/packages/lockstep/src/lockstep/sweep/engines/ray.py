"""Workers that are tasks of a Ray cluster (https://docs.ray.io)."""

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lockstep import LockstepError
from lockstep.sweep.engines.base import Engine, Worker, import_engine
from lockstep.sweep.job import Job
from lockstep.sweep.worker import work
from lockstep.values import first_line

CONNECT_SECONDS = 3.0


class Ray(Engine):
    """Tasks of a Ray cluster."""

    def __init__(
        self,
        address: str | None = None,
        workers: int | None = None,
        threads: int = 1,
        host: str | None = None,
    ) -> None:
        """Choose the cluster; it is joined when its size is needed.

        Args:
            address: The address of a running cluster, or `auto`; None starts one on this machine.
            workers: By default, as many as the cluster has cores for.
            threads: How many cores each worker may use.
            host: The address at which workers reach this machine; by default, the one by which
                the cluster knows it.

        Raises:
            LockstepError: Ray is not installed.
        """
        # Read when Ray is imported: workers use this environment, and `uv run` in each of them
        # would create another one.
        os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        self._ray = import_engine("ray", "ray")
        self.threads = threads
        self._address = address
        self._workers = workers
        self._host = host

    def size(self) -> int:
        """The number of workers."""
        cores = int(self._joined().cluster_resources().get("CPU", 1))
        return self._workers or max(1, cores // self.threads)

    def host(self) -> str:
        """The address of this machine to which workers connect."""
        return self._host or str(self._joined().util.get_node_ip_address())

    def interface(self) -> str:
        """The address at which to listen; all of them if `host` was set, which may be another."""
        return "" if self._host else self.host()

    def start(self, job: Job, log: Path) -> "RayWorker":
        """Start a task; what it prints is in Ray's own logs."""
        ray = self._joined()
        # The driver replaces a worker that is lost, whatever the engine.
        task = ray.remote(num_cpus=self.threads, max_retries=0)(work)
        return RayWorker(ray, task.remote(job))

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Call a function for each item as a task; if a node dies, its tasks run on another one.

        Yields:
            The place of an item and the result of its call, as they are done.

        Raises:
            LockstepError: A call failed.
        """
        ray = self._joined()
        task = ray.remote(num_cpus=self.threads, max_retries=-1)(_call)
        shared = ray.put(function)  # it may hold a large model
        waiting = {task.remote(shared, item): place for place, item in enumerate(items)}
        while waiting:
            done, _ = ray.wait(list(waiting))
            for reference in done:
                try:
                    yield waiting.pop(reference), ray.get(reference)
                except ray.exceptions.RayError as error:
                    raise LockstepError(
                        first_line(getattr(error, "cause", None) or error)
                    ) from error

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
                    "start one with `ray start --head`, or name no address: then one is started on "
                    "this machine"
                ) from error
        return ray

    def _require_reachable(self) -> None:
        """Raise OSError within seconds if the cluster is down: Ray itself tries for minutes."""
        host, _, port = (self._address or "").removeprefix("ray://").rpartition(":")
        if port.isdigit():
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()


def _call(function: Callable[[Any], Any], item: Any) -> Any:
    return function(item)


class RayWorker(Worker):
    """A task."""

    def __init__(self, ray: Any, reference: Any) -> None:
        self._ray = ray
        self._reference = reference

    def ended(self) -> bool:
        """Whether it has ended, for any reason."""
        return bool(self._ray.wait([self._reference], timeout=0)[0])

    def failure(self) -> str | None:
        """Why it ended; None if it completed its work."""
        try:
            self._ray.get(self._reference)
        except self._ray.exceptions.RayError as error:
            # What the task raised, if it did; else what happened to its process or machine.
            return first_line(getattr(error, "cause", None) or error)
        return None

    def stop(self) -> None:
        """End it immediately."""
        self._ray.cancel(self._reference, force=True)
