"""Keeps git, DVC, Hydra and MLflow in lockstep. `lockstep --help` shows what it can do."""

__version__ = "0.5.0"


class LockstepError(Exception):
    """A user's mistake or a missing piece: shown as its message alone, without a traceback.

    The message says what happened, why, and what to do next.
    """
