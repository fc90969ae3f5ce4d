"""Workers that are tasks of a Ray cluster (https://docs.ray.io)."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lockstep import LockstepError
from lockstep.cluster import HERE, import_ray, join_ray
from lockstep.sweep.engines.base import Engine, Worker
from lockstep.sweep.job import Job
from lockstep.sweep.worker import work
from lockstep.values import first_line


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
        self._ray = import_ray()
        self.threads = threads
        self._address = address or HERE
        self._workers = workers
        self._host = host

    def size(self) -> int:
        """The number of workers."""
        cores = int(join_ray(self._address).cluster_resources().get("CPU", 1))
        return self._workers or max(1, cores // self.threads)

    def host(self) -> str:
        """The address of this machine to which workers connect."""
        return self._host or str(join_ray(self._address).util.get_node_ip_address())

    def interface(self) -> str:
        """The address at which to listen; all of them if `host` was set, which may be another."""
        return "" if self._host else self.host()

    def start(self, job: Job, log: Path) -> "RayWorker":
        """Start a task; what it prints is in Ray's own logs."""
        ray = join_ray(self._address)
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
        ray = join_ray(self._address)
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
