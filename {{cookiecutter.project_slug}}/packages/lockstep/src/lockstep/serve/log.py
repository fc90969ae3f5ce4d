"""The prediction log: what was asked and answered, as Parquet files by day, and true values.

    predictions/answers/date=2026-11-28/120501-3f2a.parquet   one row for each predicted row
    predictions/feedback/date=2026-11-29/080000-9b1c.parquet  true values that came later

The columns are those of the model, and `_request`, `_row`, `_time`, `_model`, `_version`, `_run`,
`_commit`, `_role`, `_prediction`, `_probability.CLASS`. Files are written every few seconds in the
background and appear complete; a process that is killed loses what it has not written yet.
"""

import logging
import os
import threading
import uuid
from collections import deque
from datetime import UTC, datetime
from typing import Any

from lockstep.serve.records import (
    ANSWERS,
    FEEDBACK,
    Entry,
    TrueValue,
    answers_table,
    feedback_table,
    filesystem,
    share_of,
)
from lockstep.serve.settings import LogSettings
from lockstep.values import first_line

MOST_ROWS = 200_000  # that wait to be written; more are dropped and counted
MERGED = 60  # small files of a day that become one

log = logging.getLogger("lockstep.serve")


class PredictionLog:
    """Keeps answers and true values; adding one costs an append."""

    def __init__(self, settings: LogSettings) -> None:
        """Open the place.

        Raises:
            OSError: It cannot be written to.
        """
        self.settings = settings
        self.dropped = 0
        self.problem = ""
        self._files, self._root = filesystem(settings.place)
        self._files.create_dir(self._root, recursive=True)
        self._answers: deque[Entry] = deque()
        self._truths: deque[TrueValue] = deque()
        self._waiting = 0
        self._small: dict[str, list[str]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)

    def start(self) -> None:
        """Write in the background."""
        self._thread.start()

    def close(self) -> None:
        """Write the rest."""
        self._stop.set()
        self._thread.join()
        self.flush()

    def add(self, entry: Entry) -> None:
        """Keep an answer, unless it is not in the sample or too much waits."""
        if self.settings.sample < 1 and share_of(entry.request) >= self.settings.sample:
            return
        if self._waiting >= MOST_ROWS:
            self.dropped += len(entry.predictions)
            return
        self._waiting += len(entry.predictions)
        self._answers.append(entry)

    def learn(self, truth: TrueValue) -> None:
        """Keep a true value."""
        self._truths.append(truth)

    def flush(self) -> None:
        """Write what waits; what cannot be written is dropped, counted and said."""
        answers = [self._answers.popleft() for _ in range(len(self._answers))]
        truths = [self._truths.popleft() for _ in range(len(self._truths))]
        self._waiting -= sum(len(entry.predictions) for entry in answers)
        try:
            if answers:
                self._write(ANSWERS, answers_table(answers, self.settings.drop))
            if truths:
                self._write(FEEDBACK, feedback_table(truths))
        except Exception as error:  # a full disk must not stop the answers
            self.dropped += sum(len(entry.predictions) for entry in answers) + len(truths)
            problem = f"the prediction log cannot be written: {first_line(error)}"
            if problem != self.problem:
                log.error("%s", problem)
            self.problem = problem
        else:
            if answers or truths:
                self.problem = ""

    def _run(self) -> None:
        while not self._stop.wait(self.settings.seconds):
            self.flush()

    def _write(self, kind: str, table: Any) -> None:
        day = f"{self._root}/{kind}/date={datetime.now(UTC):%Y-%m-%d}"
        small = self._small.setdefault(day, [])
        small.append(self._write_file(day, table))
        if len(small) >= MERGED:
            self._small.pop(day)
            try:
                self._merge(day, small)
            except Exception as error:  # they stay as they are
                log.warning("small files of the prediction log are not merged: %s", error)

    def _merge(self, day: str, small: list[str]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        tables = [pq.read_table(name, filesystem=self._files, partitioning=None) for name in small]
        self._write_file(day, pa.concat_tables(tables, promote_options="permissive"))
        for name in small:  # a reader that sees both drops the duplicates
            self._files.delete_file(name)

    def _write_file(self, day: str, table: Any) -> str:
        import pyarrow.parquet as pq

        name = f"{datetime.now(UTC):%H%M%S}-{os.getpid()}-{uuid.uuid4().hex[:8]}.parquet"
        self._files.create_dir(day, recursive=True)
        draft, final = f"{day}/.{name}", f"{day}/{name}"
        pq.write_table(table, draft, filesystem=self._files, compression="zstd")
        self._files.move(draft, final)
        return final
