"""Run the server: one process, or several that share an address."""

import dataclasses
import functools
import ipaddress
import logging
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep import LockstepError
from lockstep.serve.settings import TOKEN, LogSettings, Settings
from lockstep.serve.source import Folder, Registry

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette

    from lockstep.serve.follower import Follower

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
    except (OSError, OverflowError) as error:
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
        LockstepError: There is no version that can be served, or the log cannot be written to.
    """
    import uvicorn

    from lockstep.serve.follower import Follower

    follower = Follower(source, settings.poll)
    app = _app(follower, settings, log, second)
    bound.listen(BACKLOG)  # from now on clients wait instead of being refused
    host, port = bound.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    print(
        f"{follower.current.about} ({source}) at {address}; {address}/docs shows how to ask",
        flush=True,
    )
    if settings.workers == 1:
        uvicorn.Server(_config(app, settings)).run(sockets=[bound])
        return
    from uvicorn.supervisors import Multiprocess

    # Each makes its own, and one that ends is replaced.
    parts = dataclasses.replace(source), settings, log, second and dataclasses.replace(second)
    config = _config(functools.partial(_app_of_worker, *parts), settings, factory=True)
    Multiprocess(config, [bound]).run()


def _app_of_worker(
    source: Folder | Registry, settings: Settings, log: LogSettings | None, second: Registry | None
) -> "Starlette":
    from lockstep.serve.follower import Follower

    return _app(Follower(source, settings.poll), settings, log, second)


def _app(
    follower: "Follower", settings: Settings, log: LogSettings | None, second: Registry | None
) -> "Starlette":
    from lockstep.serve.app import Service
    from lockstep.serve.challenger import Challenger
    from lockstep.serve.follower import Follower
    from lockstep.serve.log import PredictionLog

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # the follower says once what is away
    kept = PredictionLog(log) if log else None
    challenger = Challenger(Follower(second, settings.poll), settings.max_rows) if second else None
    return Service(follower, settings, kept, challenger).app()


def _config(app: Any, settings: Settings, *, factory: bool = False) -> "uvicorn.Config":
    import uvicorn

    return uvicorn.Config(
        app,
        factory=factory,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=int(settings.timeout),
        backlog=BACKLOG,
        server_header=False,
        workers=settings.workers,
    )


def copies_folder(root: Path, temporary: Path) -> Path:
    """Where copies of served versions are kept."""
    return root / (temporary if (root / temporary.parts[0]).is_dir() else ".lockstep") / "serve"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
