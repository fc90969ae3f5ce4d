"""What `lockstep doctor` finds of commands that were killed."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from lockstep import git
from lockstep.doctor.checkup import Finding
from lockstep.dvc import leftovers as dvc
from lockstep.processes import works_in
from lockstep.project import Project
from lockstep.rebuild import worktree


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
    for path in dvc.stale_locks(root):  # which every verb removes, where it may
        yield f"no process holds DVC's lock {path}", [f"rm {path}"]
    locks = git.lock_files(root)
    if locks and not works_in(git.top(root), "git"):
        names = [_shown(path, root) for path in locks]
        yield f"no process holds git's lock {', '.join(names)}", [f"rm {' '.join(names)}"]
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


def _shown(path: Path, root: Path) -> str:
    """A path for a shell, relative to the project if it is in it."""
    inside = path.is_relative_to(root.resolve())
    return shlex.quote(str(path.relative_to(root.resolve()) if inside else path))
