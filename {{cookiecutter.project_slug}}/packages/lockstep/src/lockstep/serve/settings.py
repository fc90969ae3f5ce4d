"""How the server is set: options of the command, each with an environment variable."""

import os
from collections.abc import Collection
from dataclasses import dataclass

PREFIX = "LOCKSTEP_SERVE_"
TOKEN = f"{PREFIX}TOKEN"
# The two parts of a log, and how the columns with the probability of each class begin.
ANSWERS, FEEDBACK = "answers", "feedback"
PROBABILITY = "_probability."


@dataclass(frozen=True)
class Settings:
    """The limits and the address of a server.

    Attributes:
        poll: Seconds between two checks of the alias.
        max_rows: Rows of a request, and of all that are predicted at once.
        max_body: Bytes of a body.
        max_waiting: Requests that wait.
        timeout: Seconds until a request is given up.
        refuse_unknown: Whether columns that the model does not take are refused, not ignored.
        workers: Processes; each has its own copy of the model.
        split: The share of the requests that the challenger answers.
        token: What clients must send; empty if everybody may ask.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    poll: float = 1.0
    max_rows: int = 10_000
    max_body: int = 10_000_000
    max_waiting: int = 1000
    timeout: float = 30.0
    refuse_unknown: bool = False
    workers: int = 1
    split: float = 0.0
    token: str = ""


@dataclass(frozen=True)
class LogSettings:
    """What is kept.

    Attributes:
        place: A folder, or a URL such as s3://bucket/predictions.
        drop: Columns that are left out, for privacy.
        sample: The share of requests.
        seconds: Between two files: what a killed process loses.
    """

    place: str
    drop: Collection[str] = ()
    sample: float = 1.0
    seconds: float = 2.0


def from_environment(name: str, default: str) -> str:
    """The value of the variable of an option."""
    return os.environ.get(PREFIX + name.upper().replace("-", "_"), default)
