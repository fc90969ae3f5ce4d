"""How long the stages took: DVC does not record it, `lockstep run` does.

The time stays with what the stage wrote, so a stage that DVC skips or restores has the time that it
took when it ran.
"""

import contextlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from lockstep.dvc.environment import project_root, stage_name
from lockstep.dvc.lock import LockedStage
from lockstep.files import tree_digest
from lockstep.workspace import TEMPORARY

FILE = TEMPORARY / "durations.jsonl"


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
        file = project_root(Path.cwd()) / FILE
        with contextlib.suppress(OSError):  # a note, which no stage fails for
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(entry) + "\n")


def durations(root: Path, stages: Mapping[str, LockedStage]) -> dict[str, float]:
    """The seconds that each stage took; a stage whose time is unknown is left out."""
    try:
        lines = (root / FILE).read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    seconds = {}
    for line in lines:
        with contextlib.suppress(ValueError, KeyError):
            entry = json.loads(line)
            stage = stages.get(entry["stage"])
            if stage and entry["md5"] in stage.outs.values():
                seconds[stage.name] = float(entry["seconds"])
    return {name: seconds[name] for name in stages if name in seconds}
