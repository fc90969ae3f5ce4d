"""What the driver of a sweep asks of an engine, which starts its workers somewhere.

A worker scores many trials: what it costs to start one is paid once.
"""

import socket
from pathlib import Path
from typing import Protocol

from lockstep.sweep.job import Job

LOOPBACK = "127.0.0.1"
# Reserved for documentation (RFC 5737), so that it lies beyond the default route.
ELSEWHERE = "192.0.2.1"


class Worker(Protocol):
    """A worker that was started, or waits in a queue."""

    def ended(self) -> bool:
        """Whether it has ended, for any reason."""

    def failure(self) -> str | None:
        """Why it ended; None if it completed its work."""

    def stop(self) -> None:
        """End it immediately."""


class Engine(Protocol):
    """Starts workers somewhere.

    Attributes:
        threads: How many cores each worker may use.
    """

    threads: int

    def size(self) -> int:
        """The number of workers."""

    def start(self, job: Job, log: Path) -> Worker:
        """Start a worker; it prints to the file `log` where that is possible."""

    def host(self) -> str:
        """The address of this machine to which workers connect."""
        return LOOPBACK

    def interface(self) -> str:
        """The address of this machine at which to listen for them; empty for all it has."""
        return self.host()

    def close(self) -> None:
        """Release what the engine holds; it starts no more workers."""


def address_towards(host: str) -> str:
    """The address of this machine on its way to another one; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))
        except OSError:  # there is no network
            return LOOPBACK
        return str(probe.getsockname()[0])
