"""The config group `retrain`."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """When a model is trained again, and what follows.

    Attributes:
        reasons: `data`, `alarm` or both.
        per_day: The most retrainings within 24 hours.
        pause: Hours between two of them.
        feedback: The log of `lockstep serve` whose true values become raw data; None for none.
        push: Whether the result is pushed.
    """

    reasons: Sequence[str]
    per_day: int
    pause: float
    feedback: str | None
    push: bool
