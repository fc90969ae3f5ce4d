"""A loop that calls `lockstep monitor` and `lockstep retrain` when data arrive, and by the clock.

The work is done by separate processes, so that the loop stays small, and neither a failure nor
a kill of it leaves anything behind: what was not finished is found again after a restart.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstep.files import tables_in, write_whole
from lockstep.retrain.heads import Heads
from lockstep.values import counted
from lockstep.workspace import TEMPORARY

MOST_AT_ONCE = 100  # files that one call judges: a command line cannot be of any length
SHOWN = 6  # words of a command that are printed
Signature = tuple[int, int]  # size, and time of the last change


@dataclass(frozen=True)
class Plan:
    """What to look at, and how often.

    Attributes:
        folders: Where files arrive; each file is a window. A single file may be replaced, too.
        poll: Seconds between two checks of them.
        every: Seconds between two retrainings without a new file: `lockstep retrain` looks for new
            data behind imports, and for alarms, itself.
        remotes: Seconds between two checks of git's remotes: the project's, and those of imports.
        own: The remote and the branch that the project is pulled from; None if there is none.
        options: More arguments of `lockstep retrain`.
    """

    folders: Sequence[Path]
    poll: float
    every: float
    remotes: float = float("inf")
    own: tuple[str, str] | None = None
    options: Sequence[str] = ()


class Watcher:
    """Remembers which files were judged, also after a restart."""

    def __init__(
        self, root: Path, plan: Plan, call: Callable[[Sequence[str]], int] | None = None
    ) -> None:
        """Read what was judged before.

        Args:
            call: Runs a verb with its arguments and returns its exit code.
        """
        self._plan = plan
        self._call = call or _lockstep
        self._memory = root / TEMPORARY / "watch.json"
        self._judged: dict[str, list[int]] = {}
        if self._memory.exists():
            self._judged = json.loads(self._memory.read_text(encoding="utf-8"))
        self._failed: dict[str, list[int]] = {}
        self._last: dict[Path, Signature] = {}
        self._due = time.monotonic()
        self._heads = Heads(root, plan.own)
        self._ask = self._due + plan.remotes

    def run(self) -> None:
        """Look at the folders until the process is stopped."""
        while True:
            self.look()
            time.sleep(self._plan.poll)

    def look(self) -> None:
        """Judge files that have arrived and are complete; then train again, as when that is due.

        The same when a remote of git has new commits; those of the project itself are pulled first.

        A file counts as complete when it has not changed since the last look.
        """
        now = {path: sign for path in self._files() if (sign := _signature(path))}
        complete = {path: sign for path, sign in now.items() if self._last.get(path) == sign}
        self._last = now
        due = time.monotonic() >= self._due
        if due:
            self._failed.clear()
            self._heads.forget()
        known = self._judged | self._failed
        arrived = {p: list(sign) for p, sign in complete.items() if known.get(str(p)) != list(sign)}
        if arrived:
            files = list(arrived.items())
            more = " …" if len(files) > 1 else ""
            _say(f"{counted(len(files), 'new file')}: {files[0][0].as_posix()}{more}")
            for start in range(0, len(files), MOST_AT_ONCE):
                self._judge(dict(files[start : start + MOST_AT_ONCE]))
        if self._pulled() or arrived or due:
            self._call(["retrain", *self._plan.options])
            self._due = time.monotonic() + self._plan.every

    def _pulled(self) -> bool:
        """Whether a remote had something new, which was pulled if it belongs to the project."""
        if time.monotonic() < self._ask:
            return False
        news = list(self._heads.moved())
        self._ask = time.monotonic() + self._plan.remotes
        for item in news:
            _say(item.text)
        if any(item.commits for item in news) and self._call(["pull"]):
            return False  # it said why; the next try is when a retraining is due
        return any(item.commits or item.data for item in news)

    def _judge(self, arrived: dict[Path, list[int]]) -> None:
        """Judge files; one that cannot be judged is tried later, and keeps no other from it."""
        code = self._call(["monitor", *map(str, arrived)])
        if code not in (0, 1) and len(arrived) > 1:
            for path, sign in arrived.items():
                self._judge({path: sign})
            return
        of_these = {str(path): sign for path, sign in arrived.items()}
        if code not in (0, 1):
            self._failed |= of_these
            return
        self._judged |= of_these
        self._memory.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._memory, json.dumps(self._judged))

    def _files(self) -> list[Path]:
        return sorted(path for place in self._plan.folders for path in tables_in(place))


def _signature(path: Path) -> Signature | None:
    try:
        about = path.stat()
    except FileNotFoundError:  # moved away in between
        return None
    return about.st_size, about.st_mtime_ns


def _lockstep(words: Sequence[str]) -> int:
    more = f" … ({len(words)} words)" if len(words) > SHOWN else ""
    _say(f"$ lockstep {' '.join(words[:SHOWN])}{more}")
    return subprocess.run([sys.executable, "-m", "lockstep", *words], check=False).returncode


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)
