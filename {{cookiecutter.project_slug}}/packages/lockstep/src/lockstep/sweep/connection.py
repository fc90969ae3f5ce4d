"""How a sweep's driver and its workers communicate: JSON over TCP, after a handshake with a key.

The key is random and lives as long as the driver. Messages are not encrypted.
"""

import contextlib
import json
import os
import queue
import secrets
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import (
    Client,
    Connection,
    Listener,
    answer_challenge,
    deliver_challenge,
)
from typing import Any

from lockstep import LockstepError
from lockstep.sweep.job import Address

BACKLOG = 128  # connections that wait to be accepted
RETRY_SECONDS = 0.1  # after a connection that could not be accepted
HANDSHAKE_SECONDS = 10.0  # for each message of the handshake
CLOSE_SECONDS = 5.0  # for the threads that serve workers to end


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

    def __init__(self, host: str, interface: str, serve: Callable[[Connection], None]) -> None:
        """Listen on a free port.

        Args:
            host: Where workers reach this machine.
            interface: The address to listen at; empty for all that this machine has.
            serve: Talks to a worker, in a thread.
        """
        self._listener = Listener((interface, 0), backlog=BACKLOG)
        _, port, *_ = self._listener.address
        self.address = Address(host, int(port), secrets.token_hex(32))
        self._serve = serve
        self._closed = False
        self._served: dict[threading.Thread, socket.socket] = {}
        _start_thread(self._accept)

    def close(self) -> None:
        """Accept no more workers, break all connections, and wait for the threads that serve."""
        self._closed = True
        self._listener.close()
        served = dict(self._served)
        for stream in served.values():
            with contextlib.suppress(OSError):  # it is closed
                stream.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + CLOSE_SECONDS
        for thread in served:
            thread.join(max(0, deadline - time.monotonic()))

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection = self._listener.accept()
            except OSError:
                time.sleep(RETRY_SECONDS)
            else:
                _start_thread(self._welcome, connection)

    def _welcome(self, connection: Connection) -> None:
        """Serve a worker that has the key."""
        thread = threading.current_thread()
        with (
            connection,
            socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as stream,
        ):
            self._served[thread] = stream
            with contextlib.suppress(OSError):  # it is broken already
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            try:
                if not self._closed and self._has_key(connection):
                    self._serve(connection)
            finally:
                del self._served[thread]

    def _has_key(self, connection: Connection) -> bool:
        handshake, key = _handshake(connection), self.address.key.encode()
        try:
            deliver_challenge(handshake, key)
            answer_challenge(handshake, key)
        except Exception:  # whatever a process without the key sent
            return False
        return True


class Driver:
    """The worker's end. The process ends at once when the driver closes the connection."""

    def __init__(self, address: Address) -> None:
        """Connect.

        Raises:
            LockstepError: The driver cannot be reached.
        """
        where = (address.host, address.port)
        try:
            self._connection = Client(where)
            answer_challenge(_handshake(self._connection), address.key.encode())
            deliver_challenge(_handshake(self._connection), address.key.encode())
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


class _Handshake:
    """A connection whose other end has to answer soon."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.send_bytes = connection.send_bytes

    def recv_bytes(self, size: int) -> bytes:
        """Receive a message.

        Raises:
            TimeoutError: None came.
        """
        if not self._connection.poll(HANDSHAKE_SECONDS):
            raise TimeoutError(f"no answer within {HANDSHAKE_SECONDS:.0f} s")
        return self._connection.recv_bytes(size)


def _handshake(connection: Connection) -> Any:
    """A connection for the functions of the standard library, which would wait for ever."""
    return _Handshake(connection)


def _start_thread(function: Callable[..., None], *arguments: Any) -> None:
    threading.Thread(target=function, args=arguments, daemon=True).start()
