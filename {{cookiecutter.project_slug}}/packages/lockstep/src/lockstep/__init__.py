"""Keeps git, DVC, Hydra and MLflow in lockstep. `lockstep --help` shows what it can do."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lockstep.api import data, load, predictions

__all__ = ["LockstepError", "data", "load", "predictions"]

__version__ = "0.5.0"


class LockstepError(Exception):
    """A user's mistake or a missing piece: shown as its message alone, without a traceback.

    The message says what happened, why, and what to do next.
    """


def __getattr__(name: str) -> Any:
    """Import the functions for notebooks when one is first used: they need pandas and MLflow."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # by name: no room reaches a higher one through this module

    return getattr(import_module("lockstep.api"), name)
