"""What `lockstep doctor` finds of commands that were killed."""

import shlex
import time
from collections.abc import Iterator
from pathlib import Path

from lockstep import git
from lockstep.doctor.checkup import Finding
from lockstep.dvc import leftovers as dvc
from lockstep.processes import works_in
from lockstep.project import Project
from lockstep.rebuild import worktree

INSTANT = 0.2  # seconds


def leftovers(project: Project) -> Finding:
    """What stops a later command, or takes up space."""
    blocking = list(_blocking(project.root))
    other = list(_other(project.root))
    if not (blocking or other):
        return Finding("ok", "killed commands left nothing")
    text = "; ".join(text for text, _ in [*blocking, *other])
    cure = [command for _, commands in [*blocking, *other] for command in commands]
    return Finding("failed" if blocking else "warning", text, cure)


def _blocking(root: Path) -> Iterator[tuple[str, list[str]]]:
    """What stops a later command, each with the commands that clear it."""
    # Every verb removes those that it may.
    for lock in _lasting([root / path for path in dvc.stale_locks(root)]):
        path = lock.relative_to(root)
        yield f"no process holds DVC's lock {path}", [f"rm {path}"]
    locks = _lasting(git.lock_files(root))
    if locks and not works_in(git.top(root), "git"):
        names = [_shown(lock, root) for lock in locks]
        yield f"no process holds git's lock {', '.join(names)}", [f"rm {' '.join(names)}"]
    for file, has_earlier in dvc.half_written(root):
        cure = f"git checkout {shlex.quote(file)}" if has_earlier else f"rm {shlex.quote(file)}"
        yield f"{file} is not as DVC writes it", [cure, "uv run dvc repro"]
    for name in dvc.abandoned_tasks(root):
        yield (
            f"DVC's queue waits for {name}, whose worker was killed",
            [
                f"uv run dvc queue kill --force {name}",
                f"uv run dvc queue remove {name}",
            ],
        )


def _other(root: Path) -> Iterator[tuple[str, list[str]]]:
    """What only takes up space."""
    if paths := [_shown(path, root) for path in dvc.abandoned_folders(root)]:
        yield "killed experiments left copies of the project", [f"rm -r {' '.join(paths)}"]
    for tree in worktree.abandoned(root):
        yield (
            f"a killed rebuild left {tree}",
            [f"git worktree remove --force --force {_shown(tree, root)}"],
        )


def _lasting(locks: list[Path]) -> list[Path]:
    """Those that are there for more than an instant.

    The other checks use git, too, and so may another command that ends meanwhile.
    """
    before = {path: _stamp(path) for path in locks}
    if before:
        time.sleep(INSTANT)
    return [path for path, stamp in before.items() if stamp and _stamp(path) == stamp]


def _stamp(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one of this name; None if there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def _shown(path: Path, root: Path) -> str:
    """A path for a shell, relative to the project if it is in it."""
    inside = path.is_relative_to(root.resolve())
    return shlex.quote(str(path.relative_to(root.resolve()) if inside else path))
