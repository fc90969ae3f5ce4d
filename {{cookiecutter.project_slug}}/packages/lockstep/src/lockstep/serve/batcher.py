"""Predict for the requests that wait at the same time at once: many rows cost what one row costs.

There is no timer: a batch is what arrived while the one before it was predicted.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

from lockstep.inference.columns import Values
from lockstep.inference.version import Version

TURNS = 4  # of the event loop, which a request needs from its socket to the queue


class BusyError(Exception):
    """Too many requests wait."""


class Answer(NamedTuple):
    """The answer to one request, as JSON takes it; the version is the one that gave it."""

    version: Version
    predictions: list[Any]
    probabilities: list[list[float]] | None


@dataclass(frozen=True)
class _Job:
    version: Version
    values: Values
    rows: int
    answer: "asyncio.Future[Answer]"


class Batcher:
    """A queue of requests, and the thread that predicts for them."""

    def __init__(self, most_rows: int, most_waiting: int) -> None:
        """Set the limits.

        Args:
            most_rows: Of a batch.
            most_waiting: Requests in the queue.
        """
        self._most_rows, self._most_waiting = most_rows, most_waiting
        self._jobs: deque[_Job] = deque()
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "predict")

    async def predict(self, version: Version, values: Values, rows: int) -> Answer:
        """Wait for the answer to a request.

        Args:
            version: The one that checked the values, and therefore predicts.

        Raises:
            BusyError: Too many requests wait.
            Exception: What the model raised for these rows.
        """
        if len(self._jobs) >= self._most_waiting:
            raise BusyError
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._jobs.append(_Job(version, values, rows, answer))
        self._wake.set()
        return await answer

    async def run(self) -> None:
        """Predict until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            await self._gathered()
            batch = self._next_batch()
            if not self._jobs:
                self._wake.clear()
            if not batch:
                continue
            answers = await loop.run_in_executor(self._thread, _answered, batch)
            for job, answer in zip(batch, answers, strict=True):
                if job.answer.done():  # the client gave up
                    continue
                if isinstance(answer, Exception):
                    job.answer.set_exception(answer)
                else:
                    job.answer.set_result(answer)

    async def _gathered(self) -> None:
        """Let requests arrive that are on their way: clients that were just answered ask again.

        Otherwise two halves of the clients would take turns, in batches of half the size.
        """
        waiting = quiet = 0
        while quiet < TURNS:
            await asyncio.sleep(0)
            quiet = quiet + 1 if len(self._jobs) == waiting else 0
            waiting = len(self._jobs)

    def _next_batch(self) -> list[_Job]:
        """The requests that wait for the same version, as far as their rows fit."""
        batch: list[_Job] = []
        rows = 0
        while self._jobs:
            job = self._jobs[0]
            if batch and (job.version is not batch[0].version or rows + job.rows > self._most_rows):
                break
            self._jobs.popleft()
            if not job.answer.done():
                batch.append(job)
                rows += job.rows
        return batch


def _answered(batch: Sequence[_Job]) -> list[Answer | Exception]:
    """The answer to each request; one that the model refuses does not fail the others."""
    version = batch[0].version
    values = {
        name: [value for job in batch for value in job.values[name]]
        for name in version.columns.names
    }
    try:
        predictions, probabilities = version.predict(values)
        predicted = predictions.tolist() if hasattr(predictions, "tolist") else [*predictions]
        shares = None if probabilities is None else probabilities.tolist()
    except Exception as error:
        if len(batch) == 1:
            return [error]
        return [answer for job in batch for answer in _answered([job])]
    answers: list[Answer | Exception] = []
    start = 0
    for job in batch:
        end = start + job.rows
        answers.append(Answer(version, predicted[start:end], shares and shares[start:end]))
        start = end
    return answers
