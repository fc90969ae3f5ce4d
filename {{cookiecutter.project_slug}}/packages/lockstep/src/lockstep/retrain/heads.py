"""The branches at git's remotes that new data come by: the project's own, and those of imports."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lockstep import LockstepError, git
from lockstep.files import read_yaml

SECONDS = 20.0  # that a remote may take to answer


class News(NamedTuple):
    """What a remote said.

    Attributes:
        text: What to print.
        commits: Whether the project's own branch has commits to pull.
        data: Whether there may be new data behind an import.
    """

    text: str
    commits: bool = False
    data: bool = False


class Heads:
    """Asks the remotes where their branches are, and remembers what they said.

    Args:
        own: The remote and the branch that the project is pulled from; None if there is none.
    """

    def __init__(self, root: Path, own: tuple[str, str] | None) -> None:
        self._root = root
        self._own = own
        self._seen: dict[tuple[str, str], str] = {}

    def forget(self) -> None:
        """Say what is still new once more."""
        self._seen.clear()

    def moved(self) -> Iterator[News]:
        """What the project does not have, and was not said before."""
        if self._own:
            remote, branch = self._own
            yield from self._asked(remote, f"refs/heads/{branch}", None)
        for url, ref, locked in imports(self._root):
            yield from self._asked(url, ref, locked)

    def _asked(self, remote: str, ref: str, locked: str | None) -> Iterator[News]:
        """Compare a branch with the commit behind an import; without one, with this branch."""
        try:
            said = git.ask_remote(self._root, remote, SECONDS, ref)
            own = locked is None
            news = News(f"{remote} has new commits", commits=own, data=not own)
        except (LockstepError, TimeoutError, OSError) as error:
            said = f"{remote} cannot be asked for new commits: {error}"
            news = News(said)
        known = self._seen.get((remote, ref)) == said
        self._seen[remote, ref] = said
        if said and not known and not self._has(said, locked):
            yield news

    def _has(self, commit: str, locked: str | None) -> bool:
        if locked is not None:
            return commit == locked
        return git.git("merge-base", "--is-ancestor", commit, "HEAD", cwd=self._root) is not None


def imports(root: Path) -> Iterator[tuple[str, str, str]]:
    """The repositories behind `dvc import`: URL, ref, and the commit whose data the project has."""
    for name in (git.git("ls-files", "*.dvc", cwd=root) or "").splitlines():
        for dep in (read_yaml(root / name) or {}).get("deps", []):
            if repo := dep.get("repo"):
                ref = f"refs/heads/{repo['rev']}" if repo.get("rev") else "HEAD"
                yield repo["url"], ref, repo.get("rev_lock", "")
