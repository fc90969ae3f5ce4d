"""The worktree of a rebuild, beside the project; those of killed rebuilds are removed."""

import contextlib
import os
import shlex
import shutil
from pathlib import Path

from filelock import FileLock, Timeout

from lockstep import LockstepError, git
from lockstep.workspace import TEMPORARY, lock_file

CLAIM = "worktree-"  # a file of this name is locked while the rebuild runs


class Worktree:
    """A worktree with a commit; `git` keeps the list of them.

    Attributes:
        path: Its top folder.
        removal: How to remove it, for messages.
    """

    def __init__(self, root: Path, name: str, revision: str) -> None:
        """Create it.

        Args:
            root: The project.
            name: The name of its folder, which is made beside the repository.

        Raises:
            LockstepError: The folder exists, or another process rebuilds the same at the moment.
        """
        self._root = root
        self.path = git.top(root).parent / name
        # DVC looks for the worktree of a submodule in .git/modules, so that gets a clone.
        self._clone = bool(git.git("rev-parse", "--show-superproject-working-tree", cwd=root))
        command = "rm -r" if self._clone else "git worktree remove --force"
        self.removal = f"remove it with `{command} {shlex.quote(str(self.path))}`"
        self._claim = FileLock(lock_file(root, f"{CLAIM}{name}"))
        try:
            self._claim.acquire(timeout=0)
        except Timeout as error:
            raise LockstepError(f"another process is rebuilding it in {self.path}") from error
        try:
            if self.path.exists():
                raise LockstepError(f"{self.path} already exists\n{self.removal}")
            self._check_out(revision)
        except LockstepError:
            self.release()
            raise
        except BaseException:  # Ctrl-C
            self.remove()
            raise

    def _check_out(self, revision: str) -> None:
        # Hooks are for the user's own checkouts.
        quiet, detached = ("-c", f"core.hooksPath={os.devnull}"), ("--quiet", "--detach")
        if self._clone:
            clone = ("clone", "--quiet", "--shared", "--no-checkout", str(git.top(self._root)))
            git.git_or_fail(*quiet, *clone, str(self.path), cwd=self._root)
            git.git_or_fail(*quiet, "checkout", *detached, revision, cwd=self.path)
        else:
            add = ("worktree", "add", *detached, str(self.path), revision)
            git.git_or_fail(*quiet, *add, cwd=self._root)

    def remove(self) -> None:
        """Remove it with everything in it."""
        _remove(self._root, self.path)
        self.release()

    def release(self) -> None:
        """Leave it to the user, if it still exists."""
        self._claim.release()
        Path(self._claim.lock_file).unlink(missing_ok=True)


def abandoned(root: Path) -> list[Path]:
    """The worktrees of rebuilds that were killed."""
    claims = sorted((root / TEMPORARY).glob(f"{CLAIM}*.lock"))
    return [git.top(root).parent / _name(claim) for claim in claims if not _is_held(claim)]


def clear_abandoned(root: Path) -> None:
    """Remove the worktrees of rebuilds that were killed."""
    for path in abandoned(root):
        if path.exists():
            print(f"note: removing {path}, which a killed rebuild left", flush=True)
        _remove(root, path)
        lock_file(root, f"{CLAIM}{path.name}").unlink(missing_ok=True)


def _name(claim: Path) -> str:
    return claim.name.removeprefix(CLAIM).removesuffix(".lock")


def _is_held(claim: Path) -> bool:
    try:
        with FileLock(claim).acquire(timeout=0):
            return False
    except Timeout:
        return True


def _remove(root: Path, path: Path) -> None:
    # Git locks a worktree while it is made: one --force is for changed files, two are for that.
    git.git("worktree", "remove", "--force", "--force", str(path), cwd=root)
    with contextlib.suppress(OSError):  # where files were held open
        shutil.rmtree(path)
    git.git("worktree", "unlock", str(path), cwd=root)
    git.git("worktree", "prune", cwd=root)
