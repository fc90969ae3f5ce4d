"""Commits on their way to git's remote and from it, and the data that belong to them."""

from pathlib import Path

from lockstep import LockstepError, git
from lockstep.files import parse_yaml, tree_digest
from lockstep.project import Project
from lockstep.team.route import Route
from lockstep.values import counted
from lockstep.workspace import DVC_LOCK, DVC_YAML

NO_REMOTE = "nothing: git has no remote yet; `git remote add origin URL` adds one"


def uncommitted(project: Project) -> list[str]:
    """The files that record the state of the pipeline and its data, and are not committed."""
    pipeline = project.pipeline
    if not pipeline.locked:
        return []
    cached = {path for stage in pipeline.stages.values() for path in stage.cached}
    made = {path for stage in pipeline.locked.values() for path in stage.outs}
    paths = (f"*{DVC_LOCK}", "*.dvc", *sorted(made - cached))
    status = git.git("status", "--porcelain", "-z", "--", *paths, cwd=project.root)
    entries = {entry[3:] for entry in (status or "").split("\0") if entry}
    return sorted(entry.removeprefix(git.prefix(project.root)) for entry in entries)


def outgoing(root: Path, remote: str | None, tip: str = "HEAD") -> list[str]:
    """The commits up to `tip` that change what DVC tracks and that a remote does not have.

    Args:
        remote: None if git has none: then these are all commits.
    """
    known = ["--not", f"--remotes={remote}"] if remote else []
    commits = git.git_or_fail(
        *("rev-list", "--full-history", tip, *known),
        *("--", f"*{DVC_LOCK}", f"*{DVC_YAML}", "*.dvc"),
        cwd=root,
    )
    return commits.split()


def push_commits(root: Path, route: Route | None, *, dry_run: bool) -> str:
    """Push the branch; only count its new commits in a dry run.

    Raises:
        LockstepError: The remote has commits that are not here, refused, or cannot be reached.
    """
    if route is None:
        return NO_REMOTE
    known = ["--not", route.tracking] if _is_known(root, route) else []
    count = int(git.git_or_fail("rev-list", "--count", "HEAD", *known, cwd=root))
    if not dry_run:
        upstream = [] if route.is_upstream else ["--set-upstream"]
        command = ("push", *upstream, route.remote, f"HEAD:refs/heads/{route.ref}")
        try:
            git.git_or_fail(*command, cwd=root, env={"LC_ALL": "C"})
        except LockstepError as error:
            if "[rejected]" in str(error):
                raise LockstepError(
                    f"{route.tracking} has commits that are not here\nuv run lockstep pull"
                ) from error
            raise
    return f"{counted(count, 'commit')} to {route.tracking}"


def pull_commits(root: Path, route: Route | None) -> str:
    """Fetch the branch and fast-forward to it.

    Raises:
        LockstepError: The branches have diverged, the remote cannot be reached, or there are data
            that pulling would replace and no commit has.
    """
    if route is None:
        return NO_REMOTE
    git.git_or_fail("fetch", route.remote, cwd=root)
    if not _is_known(root, route):
        return f"{route.remote} has no branch {route.ref} yet"
    sides = f"HEAD...{route.tracking}"
    counts = git.git_or_fail("rev-list", "--left-right", "--count", sides, cwd=root)
    ours, theirs = (int(count) for count in counts.split())
    if ours and theirs:
        raise LockstepError(
            f"{route.branch} and {route.tracking} have diverged: {counted(ours, 'commit')} here, "
            f"{theirs} there\ngit rebase {route.tracking}"
        )
    _require_data_kept(root, route.tracking)
    git.git_or_fail("merge", "--ff-only", "--quiet", route.tracking, cwd=root)
    return f"{counted(theirs, 'commit')} from {route.tracking}"


def _require_data_kept(root: Path, tracking: str) -> None:
    """Refuse to pull while there are data that neither this commit nor the pulled one records."""
    from lockstep.dvc.cache import changed_data

    for path, pointer in changed_data(root).items():
        text = git.git("show", f"{tracking}:{git.prefix(root)}{pointer}", cwd=root)
        outs = (parse_yaml(text, pointer) or {}).get("outs", []) if text else []
        if tree_digest(root / path) not in [out.get("md5") for out in outs]:
            raise LockstepError(
                f"{path} has changes that are not committed, and pulling would replace them\n"
                f"keep them: uv run dvc add {path} && git commit {pointer}\n"
                f"discard them: uv run dvc checkout --force {path}"
            )


def require_commit(root: Path) -> None:
    """Refuse a repository without a commit."""
    if git.head(root) is None:
        raise LockstepError("there is no commit yet\ngit add --all && git commit")


def _is_known(root: Path, route: Route) -> bool:
    """Whether the remote had the branch when it was last fetched from or pushed to."""
    ref = f"refs/remotes/{route.tracking}"
    return git.git("rev-parse", "--verify", "--quiet", ref, cwd=root) is not None
