"""Keep the version that the source names loaded, and replace it when the source names another."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from lockstep import LockstepError
from lockstep.inference.version import About, Version
from lockstep.serve.source import Registry, RegistryAwayError
from lockstep.values import first_line

RETRY_SECONDS = 30.0  # until a version that was refused is tried again

log = logging.getLogger("lockstep.serve")


class Source(Protocol):
    """Names a version and loads it."""

    def wanted(self) -> About:
        """The version to serve now."""

    def load(self, about: About) -> Version:
        """Load it."""


class Follower:
    """The current version.

    Attributes:
        current: Replaced as a whole, so that whoever reads it once has one version.
        loaded: When it was loaded, in seconds since 1970.
        problems: What prevents to follow the source, by kind; empty if nothing does.
    """

    def __init__(self, source: Source, seconds: float) -> None:
        """Load the first version.

        Args:
            seconds: Between two checks of the source.

        Raises:
            LockstepError: There is none that can be loaded.
        """
        self.problems: dict[str, str] = {}
        self.on_swap: Callable[[Version], None] = lambda version: None
        self._source, self._seconds = source, seconds
        self._refused: tuple[About, float] | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.current = self._first()
        self.loaded = time.time()

    def start(self) -> None:
        """Follow the source in the background."""
        if isinstance(self._source, Registry):
            self._remember(self._source)
            self._thread = threading.Thread(target=self._follow, name="follower", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Do not follow it any more; a version that is just being loaded is dropped."""
        self._stop.set()

    def look(self) -> None:
        """Look at the source once, and take over what it names."""
        try:
            wanted = self._source.wanted()
        except LockstepError as error:
            if isinstance(error, RegistryAwayError):
                self._report("registry", _without(error, self.current.about))
            else:
                self._report("alias", first_line(error))
            return
        self._clear("registry", "alias")
        if wanted == self.current.about:
            self._clear("version")
            self._refused = None
            return
        if self._refused and self._refused[0] == wanted and time.time() < self._refused[1]:
            return
        try:
            newer = self._source.load(wanted)
            if differences := self.current.differences(newer):
                raise LockstepError(
                    f"its signature differs ({', '.join(differences)}): start the server again "
                    "to serve it"
                )
        except Exception as error:  # whatever is in the registry must not end the server
            self._refused = (wanted, time.time() + RETRY_SECONDS)
            kind = "" if isinstance(error, LockstepError) else f"{type(error).__name__}: "
            refused = f"{wanted} was refused, {self.current.about} goes on"
            self._report("version", f"{refused}: {kind}{first_line(error)}")
            return
        self._take(newer)

    def _take(self, newer: Version) -> None:
        if self._stop.is_set():
            return
        older, self.current, self.loaded = self.current, newer, time.time()
        self._refused = None
        self._clear("version")
        log.warning("%s replaces version %s", newer.about, older.about.version)
        self.on_swap(newer)
        if isinstance(self._source, Registry):
            self._remember(self._source)

    def _first(self) -> Version:
        try:
            return self._source.load(self._source.wanted())
        except RegistryAwayError as error:
            last = self._source.last() if isinstance(self._source, Registry) else None
            if last is None:
                raise
            self._report("registry", _without(error, last))
            return self._source.load(last)

    def _follow(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                self.look()
            except Exception as error:  # such as a library's own; the next look may succeed
                self._report("registry", f"{type(error).__name__}: {first_line(error)}")

    def _remember(self, source: Registry) -> None:
        try:
            source.remember(self.current.about)
        except OSError as error:
            self._report("copy", f"no copy of {self.current.about} is kept: {error}")
        else:
            self._clear("copy")

    def _report(self, kind: str, problem: str) -> None:
        if self.problems.get(kind) != problem:
            log.warning("%s", problem)
        self.problems = {**self.problems, kind: problem}

    def _clear(self, *kinds: str) -> None:
        if any(kind in self.problems for kind in kinds):
            self.problems = {k: v for k, v in self.problems.items() if k not in kinds}


def _without(error: RegistryAwayError, about: About) -> str:
    """What is served while the registry does not answer, at the start and later alike."""
    return f"{first_line(error)}; {about} is served from its copy"
