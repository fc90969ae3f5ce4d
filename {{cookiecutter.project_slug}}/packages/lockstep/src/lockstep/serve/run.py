"""Run the server: one process, or several that share an address."""

import ipaddress
import logging
import socket
from pathlib import Path

from lockstep import LockstepError
from lockstep.serve.settings import TOKEN, LogSettings, Settings
from lockstep.serve.source import Folder, Registry

BACKLOG = 2048


def listening(settings: Settings, *, no_token: bool) -> socket.socket:
    """The socket of the server's address.

    Raises:
        LockstepError: Others could ask without a token, or the address is in use.
    """
    if not (_is_loopback(settings.host) or settings.token or no_token):
        raise LockstepError(
            f"everybody who reaches {settings.host} could ask: set {TOKEN}, which clients send as "
            "`Authorization: Bearer TOKEN`, or add --no-token"
        )
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((settings.host, settings.port))
    except OSError as error:
        bound.close()
        raise LockstepError(
            f"{settings.host}:{settings.port} cannot be used ({error}): choose another --port"
        ) from error
    return bound


def serve(
    source: Folder | Registry,
    settings: Settings,
    bound: socket.socket,
    log: LogSettings | None = None,
    second: Registry | None = None,
) -> None:
    """Load the first version, and answer until the process gets a signal to stop.

    Args:
        log: How answers are kept, if they are.
        second: The challenger, if there is one.

    Raises:
        LockstepError: There is no version that can be served.
        OSError: The log cannot be written to.
    """
    import uvicorn

    from lockstep.serve.app import Service
    from lockstep.serve.challenger import Challenger
    from lockstep.serve.follower import Follower
    from lockstep.serve.log import PredictionLog

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    follower = Follower(source, settings.poll)
    kept = PredictionLog(log) if log else None
    challenger = (
        Challenger(Follower(second, settings.poll), settings.batch_rows) if second else None
    )
    bound.listen(BACKLOG)  # from now on clients wait instead of being refused
    host, port = bound.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    print(
        f"{follower.current.about} ({source}) at {address}; {address}/docs shows how to ask",
        flush=True,
    )
    config = uvicorn.Config(
        Service(follower, settings, kept, challenger).app(),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=int(settings.timeout),
        backlog=BACKLOG,
        server_header=False,
    )
    uvicorn.Server(config).run(sockets=[bound])


def copies_folder(root: Path, temporary: Path) -> Path:
    """Where copies of served versions are kept."""
    return root / (temporary if (root / temporary.parts[0]).is_dir() else ".lockstep") / "serve"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
