"""Clusters of machines: the package that an engine needs, and a Ray cluster (https://docs.ray.io)."""

import importlib
import os
import socket
from typing import Any

from lockstep import LockstepError

CONNECT_SECONDS = 3.0
HERE = "local"  # Ray's name for a cluster that is started on this machine


def import_engine(module: str, extra: str) -> Any:
    """Import the package that an engine needs, which an extra of this package installs.

    Raises:
        LockstepError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise LockstepError(
            f"the engine {extra} needs the package {module}: "
            f"`uv sync --extra {extra}` (or `pip install {module}`)"
        ) from error


def import_ray() -> Any:
    """Import Ray.

    Raises:
        LockstepError: It is not installed.
    """
    # Read when Ray is imported: workers use this environment, and `uv run` in each of them would
    # create another one.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    return import_engine("ray", "ray")


def join_ray(address: str = HERE, cores: int | None = None) -> Any:
    """Join a Ray cluster, unless this process has.

    Args:
        address: `HOST:PORT`, `auto` for the cluster that this machine belongs to, or `local`, which
            starts one.
        cores: Of a cluster that is started; by default, as many as this machine has.

    Returns:
        The package `ray`.

    Raises:
        LockstepError: Ray is not installed, or the cluster cannot be joined.
    """
    ray = import_ray()
    if not ray.is_initialized():
        start = {"include_dashboard": False, "num_cpus": cores} if address == HERE else {}
        try:
            _require_reachable(address)
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", **start)
        except (OSError, RuntimeError, ValueError) as error:
            raise LockstepError(
                f"the Ray cluster at {address} cannot be joined: {error}\n"
                "start one with `ray start --head`, or name no address: then one is started on "
                "this machine"
            ) from error
    return ray


def _require_reachable(address: str) -> None:
    """Raise OSError within seconds if the cluster is down: Ray itself tries for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
