"""A second version: it answers a share of the requests, or each one besides, for the log only."""

import asyncio
import time

from lockstep.inference.columns import Values
from lockstep.serve.batcher import Answer, Batcher, BusyError
from lockstep.serve.follower import Follower
from lockstep.serve.log import PredictionLog
from lockstep.serve.metrics import Metrics
from lockstep.serve.records import Entry

MOST_WAITING = 200  # requests; beyond that the shadow leaves out what it cannot keep up with


class Challenger:
    """The version beside the champion."""

    def __init__(self, follower: Follower, max_rows: int) -> None:
        self.follower = follower
        self._batcher = Batcher(max_rows, MOST_WAITING)
        self._tasks: set[asyncio.Task[None]] = set()
        self._batches: asyncio.Task[None] | None = None

    def start(self, kept: PredictionLog | None, metrics: Metrics) -> None:
        """Follow its alias, and predict.

        Args:
            kept: The log that gets the answers of `shadow`.
            metrics: Those of the server.
        """
        self._kept, self._metrics = kept, metrics
        self.follower.start()
        self._batches = asyncio.create_task(self._batcher.run())

    def stop(self) -> None:
        """Predict no more."""
        self.follower.stop()
        for task in [*self._tasks, self._batches]:
            if task:
                task.cancel()

    def shadow(self, request: str, values: Values, answer: Answer) -> None:
        """Predict the same rows later, without anybody waiting for it."""
        task = asyncio.create_task(self._predict(request, values, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _predict(self, request: str, values: Values, answer: Answer) -> None:
        version = self.follower.current
        if version.about == answer.version.about:
            return
        try:
            # Checked again: its columns may differ from the champion's.
            rows = len(answer.predictions)
            own = version.columns.of_lists(values, rows=rows)
            shadow = await self._batcher.predict(version, own, rows)
        except BusyError:
            self._metrics.error("shadow_busy")
            return
        except Exception:
            self._metrics.error("shadow")
            return
        for ours, theirs in zip(answer.predictions, shadow.predictions, strict=True):
            self._metrics.shadow(agrees=ours == theirs)
        if self._kept:
            self._kept.add(Entry(request, time.time(), "shadow", version, own, *shadow[1:]))
