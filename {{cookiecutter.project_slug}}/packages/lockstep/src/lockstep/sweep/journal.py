"""The journal of a sweep: a file to which Optuna appends one line after another.

Importing this imports Optuna, so it is imported where a journal is opened.
"""

import os
from pathlib import Path
from typing import IO, Any

from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

BLOCK = 4096  # bytes


class Journal(JournalFileBackend):
    """A journal that a full disk or a killed process does not make unreadable.

    Both leave an incomplete line, which Optuna ignores until another one follows it.
    """

    def __init__(self, path: str) -> None:
        # The other kind of lock is a symlink, which not every user of Windows may create.
        self._line_lock = JournalFileOpenLock(path)
        self._path = Path(path)
        super().__init__(path, self._line_lock)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines, in place of an incomplete one."""
        with self._path.open("rb+") as stream:
            if _end_of_lines(stream) < stream.seek(0, os.SEEK_END):
                self._line_lock.acquire()  # another process may be in the middle of that line
                try:
                    stream.truncate(_end_of_lines(stream))
                finally:
                    self._line_lock.release()
        super().append_logs(logs)


def _end_of_lines(stream: IO[bytes]) -> int:
    """How many bytes of a file are complete lines."""
    end = stream.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - BLOCK)
        stream.seek(start)
        newline = stream.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
