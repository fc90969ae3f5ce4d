"""How a sweep's driver and its workers communicate: JSON over TCP, after a handshake with a key.

The key is random and lives as long as the driver. Messages are not encrypted.
"""

import json
import os
import queue
import secrets
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

from lockstep import LockstepError
from lockstep.sweep.job import Address

BACKLOG = 128  # connections that wait to be accepted
RETRY_SECONDS = 0.1  # after a connection that could not be accepted


def send(connection: Connection, message: Any) -> None:
    """Send plain values.

    Raises:
        OSError: The connection is broken.
    """
    connection.send_bytes(json.dumps(message).encode())


def receive(connection: Connection) -> Any:
    """Wait for plain values.

    Raises:
        EOFError: The other end closed the connection.
        OSError: The connection is broken.
    """
    return json.loads(connection.recv_bytes())


class Reception:
    """The driver's end, to which workers connect at its `address`."""

    def __init__(self, host: str, serve: Callable[[Connection], None]) -> None:
        """Listen on a free port; `serve` talks to each worker, in a thread."""
        key = secrets.token_hex(32)
        self._listener = Listener((host, 0), backlog=BACKLOG, authkey=key.encode())
        _, port, *_ = self._listener.address
        self.address = Address(host, int(port), key)
        self._serve = serve
        self._closed = False
        _start_thread(self._accept)

    def close(self) -> None:
        """Accept no more workers."""
        self._closed = True
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection = self._listener.accept()
            except Exception:  # whatever a process without the key sent
                time.sleep(RETRY_SECONDS)
            else:
                _start_thread(self._serve, connection)


class Driver:
    """The worker's end. The process ends at once when the driver closes the connection."""

    def __init__(self, address: Address) -> None:
        """Connect.

        Raises:
            LockstepError: The driver cannot be reached.
        """
        where = (address.host, address.port)
        try:
            self._connection = Client(where, authkey=address.key.encode())
        except (OSError, EOFError) as error:
            raise LockstepError(f"the driver of the sweep is not at {where}: {error}") from error
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        _start_thread(self._listen)

    def ask(self, message: Any) -> Any:
        """Send plain values and wait for the answer."""
        send(self._connection, message)
        return self._answers.get()

    def _listen(self) -> None:
        try:
            answer: Any = True
            while answer is not None:  # the last one
                answer = receive(self._connection)
                self._answers.put(answer)
        except (EOFError, OSError):
            os._exit(1)  # in the middle of a trial, whose score is no longer needed


def _start_thread(function: Callable[..., None], *arguments: Any) -> None:
    threading.Thread(target=function, args=arguments, daemon=True).start()
