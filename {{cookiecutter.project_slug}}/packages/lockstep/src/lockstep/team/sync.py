"""`lockstep push` and `lockstep pull`: git, DVC and MLflow in the order that leaves nothing behind.

Each step may be repeated and finds what it did before, so an interrupted action is simply run
again. Experiments stay on this machine unless asked for: they are drafts, and a run in MLflow says
by itself how to have it back.
"""

import os
from collections.abc import Callable
from pathlib import Path

from lockstep import LockstepError, git
from lockstep.dvc.experiments import experiment_refs
from lockstep.dvc.pipeline import Pipeline
from lockstep.files import file_digest
from lockstep.mlflow.store import store_of
from lockstep.mlflow.uri import database_of
from lockstep.team.route import Route, find_route
from lockstep.values import counted, without_secrets

PUSH = "uv run lockstep push"
# By name, what does the step and says in one line what it did.
Steps = dict[str, Callable[[], str]]


def push(root: Path, *, experiments: bool = False, dry_run: bool = False) -> None:
    """Bring the data, then the commits, then the runs to where others find them.

    Args:
        root: The project.
        experiments: DVC's experiments, too, with their data.
        dry_run: Only say what would be done.

    Raises:
        LockstepError: The pipeline's record is not committed, there is nowhere to push to, or a
            step failed.
    """
    way = find_route(root)
    if left := uncommitted(root):
        paths = " ".join(left)
        raise LockstepError(
            f"not committed yet, so others would not have this state: {', '.join(left)}\n"
            f"git add {paths} && git commit"
        )
    from lockstep.dvc.remote import push_data

    def data() -> str:
        revisions = outgoing(root, way.remote)
        revisions += experiment_refs(root).values() if experiments else []
        count, place = push_data(root, revisions, dry_run=dry_run)
        return f"{counted(count, 'file')} to {place}"

    def drafts() -> str:
        refs = list(experiment_refs(root))
        if refs and not dry_run:
            # `dvc exp push` takes neither git's settings for SSH nor its agent.
            git.git_or_fail("push", way.remote, *refs, cwd=root)
        return f"{counted(len(refs), 'experiment')} to {way.remote}"

    steps: Steps = {"data": data, "git": lambda: _push_commits(root, way, dry_run=dry_run)}
    if experiments:
        steps["experiments"] = drafts
    steps["runs"] = lambda: _publish(root, dry_run=dry_run)
    _take(steps, f"{PUSH} --experiments" if experiments else PUSH)


def push_outgoing_data(root: Path) -> None:
    """Push the data of the commits that `git push` is about to send: the pre-push hook.

    Raises:
        LockstepError: They cannot be pushed.
    """
    from lockstep.dvc.remote import push_data

    # https://pre-commit.com/#pre-push: the first push of a repository names a branch alone.
    names = ("PRE_COMMIT_TO_REF", "PRE_COMMIT_LOCAL_BRANCH")
    tip = next((os.environ[name] for name in names if os.environ.get(name)), "HEAD")
    remote = os.environ.get("PRE_COMMIT_REMOTE_NAME") or "origin"
    count, place = push_data(root, outgoing(root, remote, tip))
    print(f"data  {counted(count, 'file')} to {place}")


def pull(root: Path) -> None:
    """Bring the commits and the data of others here.

    Raises:
        LockstepError: There is nowhere to pull from, the branches have diverged, or a step failed.
    """
    way = find_route(root)
    from lockstep.dvc.remote import pull_data

    locked = _digest(root / "uv.lock")

    def environment() -> str:
        changed = _digest(root / "uv.lock") != locked
        return "uv.lock has changed: run `uv sync`" if changed else "uv.lock has not changed"

    def data() -> str:
        count = pull_data(root)
        paths = [f"{count[kind]} {kind}" for kind in ("added", "modified", "deleted")]
        return f"{', '.join(paths)}; {counted(count['fetched'], 'file')} fetched"

    steps: Steps = {
        "git": lambda: _pull_commits(root, way),
        "environment": environment,
        "data": data,
    }
    _take(steps, "uv run lockstep pull")


def uncommitted(root: Path) -> list[str]:
    """The files that record the state of the pipeline and its data, and are not committed."""
    if not (root / "dvc.lock").exists():
        return []
    outs = [out for stage in Pipeline(root).locked.values() for out in stage.outs]
    status = git.git("status", "--porcelain", "-z", "--", "dvc.lock", "*.dvc", *outs, cwd=root)
    entries = {entry[3:] for entry in (status or "").split("\0") if entry}
    return sorted(entry.removeprefix(git.prefix(root)) for entry in entries)


def outgoing(root: Path, remote: str, tip: str = "HEAD") -> list[str]:
    """The commits below `tip` that change the record of data and that a remote does not have."""
    found = git.git_or_fail(
        *("rev-list", "--full-history", tip, "--not", f"--remotes={remote}"),
        *("--", "dvc.lock", "dvc.yaml", "*.dvc"),
        cwd=root,
    )
    return found.split()


def _push_commits(root: Path, way: Route, *, dry_run: bool) -> str:
    known = ["--not", way.tracking] if _is_known(root, way) else []
    new = git.git_or_fail("rev-list", "--count", "HEAD", *known, cwd=root)
    if not dry_run:
        upstream = [] if way.is_upstream else ["--set-upstream"]
        command = ("push", *upstream, way.remote, f"HEAD:refs/heads/{way.ref}")
        try:
            git.git_or_fail(*command, cwd=root, env={"LC_ALL": "C"})
        except LockstepError as error:
            if "[rejected]" in str(error):
                raise LockstepError(
                    f"{way.tracking} has commits that are not here\nuv run lockstep pull"
                ) from error
            raise
    return f"{counted(int(new), 'commit')} to {way.tracking}"


def _pull_commits(root: Path, way: Route) -> str:
    git.git_or_fail("fetch", way.remote, cwd=root)
    if not _is_known(root, way):
        return f"{way.remote} has no branch {way.ref} yet"
    counts = git.git_or_fail(
        "rev-list", "--left-right", "--count", f"HEAD...{way.tracking}", cwd=root
    )
    here, there = (int(count) for count in counts.split())
    if here and there:
        raise LockstepError(
            f"{way.branch} and {way.tracking} have parted: {counted(here, 'commit')} here, "
            f"{there} there\ngit rebase {way.tracking}"
        )
    git.git_or_fail("merge", "--ff-only", "--quiet", way.tracking, cwd=root)
    return f"{counted(there, 'commit')} from {way.tracking}"


def _is_known(root: Path, way: Route) -> bool:
    """Whether the branch is there at the remote, as far as this repository has heard."""
    ref = f"refs/remotes/{way.tracking}"
    return git.git("rev-parse", "--verify", "--quiet", ref, cwd=root) is not None


def _publish(root: Path, *, dry_run: bool) -> str:
    if not (root / "dvc.lock").exists():
        return "none yet: the pipeline has not run"
    store = store_of(root)
    if database_of(store.uri):
        return "they stay on this machine; a server in conf/tracking/ would share them"
    place = without_secrets(store.uri)
    from lockstep.publish.backfill import publish_all, unpublished

    if dry_run:
        store.require_reachable()
        return f"{counted(len(unpublished(root, store)), 'run')} to {place}"
    if left := publish_all(root):
        raise LockstepError(f"{counted(left, 'state')} could not be shown in {place}, see above")
    return f"every state has its run in {place}"


def _take(steps: Steps, command: str) -> None:
    """Take the steps in order, a line each; say where it stopped and what goes on."""
    width = max(len(name) for name in steps)
    done: list[str] = []
    for name, take in steps.items():
        left = ", ".join(other for other in steps if other not in done)
        try:
            print(f"{name:{width}}  {take()}", flush=True)
        except LockstepError as error:
            raise LockstepError(
                f"{name}: {error}\n"
                f"done: {', '.join(done) or 'nothing'}; left: {left}\n"
                f"then go on with: {command}"
            ) from error
        except KeyboardInterrupt:
            print(f"\ninterrupted; left: {left}\ngo on with: {command}", flush=True)
            raise
        done.append(name)


def _digest(path: Path) -> str | None:
    return file_digest(path) if path.exists() else None
