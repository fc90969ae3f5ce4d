"""The prediction log: what was asked and answered, and true values that came later.

In a folder or an object store, it is Parquet files by day:

    predictions/answers/date=2026-11-28/120501-3f2a.parquet   one row for each predicted row
    predictions/feedback/date=2026-11-29/080000-9b1c.parquet  true values that came later

The columns are those of the model, and `_request`, `_row`, `_time`, `_model`, `_version`, `_run`,
`_commit`, `_role`, `_prediction`, `_probability.CLASS`. In a database, it is the tables
`lockstep_answers` and `lockstep_feedback`, with the columns of the model as JSON.

Rows are written every few seconds in the background, and a file appears complete; a process that is
killed loses what it has not written yet.
"""

import logging
import threading
from collections import deque

from lockstep.serve.places import place_of
from lockstep.serve.records import Entry, TrueValue, answers_table, feedback_table, share_of
from lockstep.serve.settings import ANSWERS, FEEDBACK, LogSettings
from lockstep.values import first_line

MOST_ROWS = 200_000  # that wait to be written; more are dropped and counted

log = logging.getLogger("lockstep.serve")


class PredictionLog:
    """Keeps answers and true values; adding one costs an append."""

    def __init__(self, settings: LogSettings) -> None:
        """Open the place.

        Raises:
            LockstepError: It cannot be written to.
        """
        self.settings = settings
        self.dropped = 0
        self.problem = ""
        self._place = place_of(settings.place)
        self._place.open()
        self._answers: deque[Entry] = deque()
        self._truths: deque[TrueValue] = deque()
        self._waiting = 0
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
                self._place.write(ANSWERS, answers_table(answers, self.settings.drop))
            if truths:
                self._place.write(FEEDBACK, feedback_table(truths))
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
