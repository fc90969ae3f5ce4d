"""A lock that all clones of a project see: a ref of git's remote."""

import contextlib
import json
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from lockstep import LockstepError, git

REF = "refs/lockstep/retrain"
STALE_HOURS = 12  # a lock that is older was left by a process that was killed


@contextlib.contextmanager
def remote_lock(root: Path, remote: str) -> Iterator[None]:
    """Let one machine at a time retrain.

    Git creates a ref only if it is not there: `--force-with-lease` names what it must be.

    Raises:
        LockstepError: Another machine has the lock, or the remote cannot be reached.
    """
    mine = _commit(root, json.dumps({"machine": platform.node(), "time": time.time()}))
    held = git.git_or_fail("ls-remote", remote, REF, cwd=root).partition("\t")[0]
    if held:
        git.git_or_fail("fetch", "--quiet", remote, REF, cwd=root)
        holder = json.loads(git.git_or_fail("show", "-s", "--format=%B", held, cwd=root))
        if time.time() - holder["time"] < STALE_HOURS * 3600:
            raise LockstepError(
                f"{holder['machine']} is retraining\n"
                f"if that was killed: git push {remote} --delete {REF}"
            )
    lease = f"--force-with-lease={REF}:{held}"
    if git.git("push", "--quiet", "--no-verify", lease, remote, f"{mine}:{REF}", cwd=root) is None:
        raise LockstepError(f"another machine started to retrain, or {remote} cannot be reached")
    try:
        yield
    finally:
        lease = f"--force-with-lease={REF}:{mine}"
        git.git("push", "--quiet", "--no-verify", lease, remote, f":{REF}", cwd=root)


def _commit(root: Path, message: str) -> str:
    """A commit without files or parents."""
    with tempfile.TemporaryDirectory() as folder:
        env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        tree = git.git_or_fail("write-tree", cwd=root, env=env)
    return git.git_or_fail("commit-tree", tree, "-m", message, cwd=root)
