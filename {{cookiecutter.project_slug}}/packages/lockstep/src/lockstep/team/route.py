"""Where a branch is pushed to."""

from dataclasses import dataclass
from pathlib import Path

from lockstep import LockstepError, git


class NoRemoteError(LockstepError):
    """There is nowhere to push the commits to."""


@dataclass(frozen=True)
class Route:
    """Where a branch is pushed to and pulled from.

    Attributes:
        ref: The branch's name at the remote.
        is_upstream: Whether git knows it as the branch's upstream.
    """

    branch: str
    remote: str
    ref: str
    is_upstream: bool

    @property
    def tracking(self) -> str:
        """The remote-tracking branch: `origin/main`."""
        return f"{self.remote}/{self.ref}"


def route_if_any(root: Path) -> Route | None:
    """The route of the branch; None if git has no remote, which leaves the data to be shared."""
    try:
        return find_route(root)
    except NoRemoteError:
        return None


def find_route(root: Path) -> Route:
    """The route of the branch that is checked out: to its upstream, else to `origin`.

    Raises:
        NoRemoteError: git has no remote.
        LockstepError: There is no repository, or no branch is checked out.
    """
    if git.git("rev-parse", "--git-dir", cwd=root) is None:
        raise LockstepError("this is not a git repository\ngit init")
    branch = git.branch(root)
    if branch is None:
        raise LockstepError("no branch is checked out\ngit switch BRANCH")
    remote = git.git("config", f"branch.{branch}.remote", cwd=root)
    ref = git.git("config", f"branch.{branch}.merge", cwd=root)
    if remote and ref:
        return Route(branch, remote, ref.removeprefix("refs/heads/"), is_upstream=True)
    remotes = (git.git("remote", cwd=root) or "").split()
    if not remotes:
        raise NoRemoteError("git has no remote\ngit remote add origin URL")
    return Route(branch, "origin" if "origin" in remotes else remotes[0], branch, is_upstream=False)
