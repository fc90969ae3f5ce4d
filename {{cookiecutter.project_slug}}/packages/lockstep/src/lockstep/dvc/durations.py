"""How long the stages took, and where: DVC does not record it, `lockstep run` does.

The time stays with what the stage wrote, so a stage that DVC skips or restores has the time that it
took when it ran.
"""

import contextlib
import itertools
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lockstep.dvc.environment import project_root, stage_name
from lockstep.dvc.lock import LockedStage
from lockstep.files import tree_digest
from lockstep.workspace import TEMPORARY

FILE = TEMPORARY / "durations.jsonl"
PAUSE = 60.0  # seconds between two stages that do not belong to the same `dvc repro`


@dataclass(frozen=True)
class Duration:
    """How long a stage took, in seconds, and when it ended, in seconds since 1970.

    Attributes:
        place: Where it ran, if not on this machine alone.
    """

    seconds: float
    ended: float
    place: str = ""


_place = ""


def ran_at(place: str) -> None:
    """Record where the running stage does its work, if not on this machine alone."""
    global _place
    _place = place


@contextlib.contextmanager
def measured(paths: Iterable[Path]) -> Iterator[None]:
    """Record how long the running stage takes, if DVC started it.

    Args:
        paths: Of what it reads and writes.
    """
    started, clock = time.time(), time.perf_counter()
    yield
    seconds = time.perf_counter() - clock
    written = [path for path in paths if path.exists() and path.stat().st_mtime >= started - 1]
    if (stage := stage_name()) and written:
        mark = min(written, key=lambda path: (path.is_dir(), path.stat().st_size))
        entry = {"stage": stage, "md5": tree_digest(mark), "seconds": round(seconds, 3)}
        entry |= {"ended": round(time.time(), 3), "place": _place}
        file = project_root(Path.cwd()) / FILE
        with contextlib.suppress(OSError):  # a note, which no stage fails for
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(entry) + "\n")


def durations(root: Path, stages: Mapping[str, LockedStage]) -> dict[str, Duration]:
    """How long each stage took; a stage of which that is unknown is left out."""
    try:
        lines = (root / FILE).read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        with contextlib.suppress(ValueError, KeyError):
            entry = json.loads(line)
            stage = stages.get(entry["stage"])
            if stage and entry["md5"] in stage.outs.values():
                seconds, ended = float(entry["seconds"]), float(entry["ended"])
                found[stage.name] = Duration(seconds, ended, entry.get("place", ""))
    return {name: found[name] for name in stages if name in found}


def last_session(durations: Iterable[Duration]) -> float:
    """The seconds that the stages took together that ran last, without a pause between them."""
    ordered = sorted(durations, key=lambda one: one.ended, reverse=True)
    total = sum(one.seconds for one in ordered[:1])
    for later, earlier in itertools.pairwise(ordered):
        if later.ended - later.seconds - earlier.ended > PAUSE:
            break
        total += earlier.seconds
    return total
