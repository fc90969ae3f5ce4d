"""What a killed DVC leaves in .dvc/tmp, and what of it stops a later command."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep import LockstepError, git
from lockstep.dvc.cache import repo_of
from lockstep.files import NotYamlError, read_yaml
from lockstep.processes import is_running, works_in
from lockstep.workspace import DVC_LOCK

if TYPE_CHECKING:
    from dvc.repo.experiments.queue.celery import LocalCeleryQueue

TMP = Path(".dvc", "tmp")  # of DVC itself
COPIES = TMP / "exps"  # of the project, and the queue's files


def clear_locks(root: Path) -> list[Path]:
    """Remove the lock files that no running process wrote, and that would stop DVC for good.

    Returns:
        The removed files, relative to the project.
    """
    return [path for path in stale_locks(root) if _cleared(root.resolve(), path)]


def stale_locks(root: Path) -> list[Path]:
    """The files of DVC's locks that are half written, or whose processes have ended.

    A DVC that is killed while it writes such a file leaves it empty; every later one then fails
    (https://github.com/treeverse/dvc/issues/7615). One that is killed while it holds a lock is
    found out by the next, unless another process has got its number in the meantime.
    """
    paths = (folder / "rwlock" for folder in (TMP, COPIES))
    return [path for path in paths if _is_stale(root / path)]


def half_written(root: Path) -> list[tuple[str, bool]]:
    """The dvc.lock and .dvc files that DVC refuses, each with whether git has an earlier one.

    DVC writes them in place; one that is killed leaves a part, often an empty file.
    """
    patterns = ("--", DVC_LOCK, f"*/{DVC_LOCK}", "*.dvc")
    tracked = git.git("ls-files", "-z", *patterns, cwd=root) or ""
    others = git.git("ls-files", "-z", "--others", "--exclude-standard", *patterns, cwd=root) or ""
    earlier = tracked.split("\0")
    return [
        (name, name in earlier)
        for name in sorted({*earlier, *others.split("\0")})
        if (root / name).is_file() and not _is_whole(root / name)
    ]


def abandoned_tasks(root: Path) -> list[str]:
    """The names of the experiments that DVC's queue takes for running, and no worker works on.

    `dvc exp run --run-all` would wait for them for ever.
    """
    if not (root / COPIES / "celery").is_dir():
        return []
    queue: LocalCeleryQueue = repo_of(root.resolve()).experiments.celery_queue
    active = [entry.name or entry.stash_rev[:7] for entry in queue.iter_active()]
    workers = (root / COPIES / "celery").glob("*.pid")
    return [] if any(_is_working(path) for path in workers) else active


def abandoned_folders(root: Path) -> list[Path]:
    """The temporary copies of the project that killed experiments left, if none is running."""
    places = (root / COPIES, root / COPIES / "standalone")
    found = [path for place in places for path in place.glob("tmp*") if path.is_dir()]
    if not found or works_in(root / COPIES) or works_in(root, "dvc"):
        return []
    return [path.relative_to(root) for path in found]


def _cleared(root: Path, path: Path) -> bool:
    from dvc.lock import LockError, make_lock

    kind = repo_of(root).config["core"].get("hardlink_lock", False)
    guard = make_lock(f"{root / path}.lock", str(root / path.parent), hardlink_lock=kind)
    with contextlib.suppress(LockError, OSError), guard:  # unless DVC is writing it
        if _is_stale(root / path):
            (root / path).unlink()
            return True
    return False


def _is_whole(path: Path) -> bool:
    from dvc.dvcfile import Lockfile, SingleStageFile
    from dvc.utils.strictyaml import YAMLValidationError

    try:
        content = read_yaml(path)
        if path.name == DVC_LOCK:
            Lockfile.validate(content)
            return True
        SingleStageFile.validate(content)
        return bool(content.get("outs"))
    except (YAMLValidationError, NotYamlError):
        return False
    except (LockstepError, OSError):  # a merge conflict, or it was removed just now
        return True


def _is_stale(path: Path) -> bool:
    try:
        text, written = path.read_text(encoding="utf-8"), path.stat().st_mtime
    except OSError:
        return False
    try:
        numbers = list(_holders(json.loads(text)))
    except (ValueError, TypeError, KeyError, AttributeError):
        return True
    return bool(numbers) and not any(is_running(number, written) for number in numbers)


def _holders(lock: dict[str, Any]) -> Iterator[int]:
    """The numbers of the processes that hold a lock (dvc/rwlock.py has the format)."""
    for holder in lock.get("write", {}).values():
        yield holder["pid"]
    for holders in lock.get("read", {}).values():
        yield from (holder["pid"] for holder in holders)


def _is_working(pid_file: Path) -> bool:
    try:
        return is_running(int(pid_file.read_text()), pid_file.stat().st_mtime)
    except (OSError, ValueError):
        return False
