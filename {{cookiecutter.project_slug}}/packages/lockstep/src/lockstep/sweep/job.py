"""What a worker of a sweep is started with."""

import json
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

# They keep numerical libraries, and joblib's `n_jobs=-1`, from using all cores in each worker.
THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
    *("VECLIB_MAXIMUM_THREADS", "LOKY_MAX_CPU_COUNT"),
)


class Address(NamedTuple):
    """Where a worker reaches its driver, and the key for the handshake."""

    host: str
    port: int
    key: str


@dataclass(frozen=True)
class Job:
    """What a worker has to know.

    Attributes:
        plan: A `Plan` as JSON-like values.
        folder: The sweep's; it holds a copy of conf/ as it was when the sweep started.
        worker: The worker's name.
        threads: How many cores the worker may use.
    """

    workspace: str
    plan: dict[str, Any]
    folder: str
    driver: Address
    worker: str
    threads: int

    def as_json(self) -> str:
        """The job as text, for another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """The job in a text that `as_json` wrote."""
        values = json.loads(text)
        return cls(**{**values, "driver": Address(*values["driver"])})
