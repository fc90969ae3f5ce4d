"""The exact code behind a run: a git commit of the working tree, and a bundle that carries it.

The commit's parent is the one that the work started from. A separate ref, refs/lockstep/<state>,
keeps it; index, branch and stash do not change.
"""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from lockstep import LockstepError, git
from lockstep.dvc.pipeline import Pipeline
from lockstep.files import tree_digest
from lockstep.project import Project
from lockstep.record.provenance import Origin

REFS = "refs/lockstep"
BUNDLE = "snapshot.bundle"
# Git requires an author and a committer; who made the run is in the message.
IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "lockstep"), ("EMAIL", "lockstep@localhost"))
}


def snapshot_of_workspace(
    project: Project, origin: Origin, limit: float, left_out: Iterable[str] = ()
) -> tuple[str | None, list[str]]:
    """Commit the files of a workspace: the tracked ones, and the untracked ones not ignored.

    A file that was edited after its stage had read it is committed as in `origin.commit`, if that
    is what the stage read.

    Args:
        project: The repository of its root gets the commit.
        limit: The size limit of a file, in megabytes.
        left_out: Untracked files that it must not contain, from the repository's top folder.

    Returns:
        The commit, None without git; and the code that differs from what the stages read.

    Raises:
        LockstepError: A file is larger than the limit, or git fails.
    """
    pipeline, workspace, root = project.pipeline, project.workspace, project.root
    objects = git.git("rev-parse", "--git-path", "objects", cwd=root)
    if objects is None:
        return None, []
    _refuse_large_files(workspace, limit)
    with tempfile.TemporaryDirectory() as folder:
        env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        if workspace.resolve() == root.resolve():
            index = root / git.git_or_fail("rev-parse", "--git-path", "index", cwd=root)
            if index.exists():  # with it, git need not read every file again
                shutil.copyfile(index, env["GIT_INDEX_FILE"])
        else:  # the copy's own objects are deleted with it
            env["GIT_OBJECT_DIRECTORY"] = str(root / objects)
            git.git_or_fail("read-tree", origin.commit or "HEAD", cwd=workspace, env=env)
        add = ("-c", "core.safecrlf=false", "add", "--all", "--", ":/")
        without = (f":(top,literal,exclude){name}" for name in left_out)
        git.git_or_fail(*add, *without, cwd=workspace, env=env)
        lost = _restore_edited(pipeline, root, origin.commit, env)
        tree = git.git_or_fail("write-tree", cwd=workspace, env=env)
        return _commit(root, tree, origin.commit, origin, pipeline.state, env), lost


def snapshot_of_commit(root: Path, revision: str, origin: Origin, state: str) -> str:
    """Take a snapshot of a commit, which becomes its parent; return the snapshot's commit."""
    return _commit(root, f"{revision}^{{tree}}", revision, origin, state, {})


def write_bundle(root: Path, state: str, path: Path) -> None:
    """Write the bundle of a state's snapshot.

    It contains the commits that no remote has, as far as this clone knows; in a repository without
    remotes, only the snapshot.
    """
    ref = f"{REFS}/{state}"
    exclude: list[str] = []
    if git.git("for-each-ref", "refs/remotes", cwd=root):
        exclude = ["--not", "--remotes"]
    elif git.git("rev-parse", "--verify", "--quiet", f"{ref}^", cwd=root):
        exclude = ["--not", f"{ref}^"]
    git.git_or_fail("bundle", "create", "--quiet", str(path), ref, *exclude, cwd=root)


def unbundle(root: Path, state: str, bundle: Path) -> None:
    """Fetch a snapshot from its bundle into the project's repository.

    Raises:
        LockstepError: The repository lacks the commit that the snapshot builds on.
    """
    if git.git("bundle", "verify", "--quiet", str(bundle), cwd=root) is None:
        heads = bundle.read_bytes().split(b"\n\n", 1)[0].decode(errors="replace").splitlines()
        needed = [line[1:].split()[0] for line in heads if line.startswith("-")]
        raise LockstepError(
            f"the run's code builds on the commit {', '.join(needed)}, which this clone lacks\n"
            "ask the author of the run to push it, then run `git fetch --all`"
        )
    ref = f"{REFS}/{state}"
    git.git_or_fail("fetch", "--quiet", "--no-tags", str(bundle), f"+{ref}:{ref}", cwd=root)


def _refuse_large_files(workspace: Path, limit: float) -> None:
    listed = git.git_or_fail(
        "ls-files", "--others", "--modified", "--exclude-standard", "-z", cwd=workspace
    )
    for name in filter(None, listed.split("\0")):
        path = workspace / name
        size = path.lstat().st_size / 1e6 if path.is_file() else 0
        if size > limit:
            raise LockstepError(
                f"{name} ({size:.0f} MB) is too large for the run's snapshot of the code, whose "
                f"limit is {limit:g} MB per file; nothing was published\n"
                f"track it with DVC, `uv run dvc add {name}`; or list it in .gitignore; or raise "
                "tracking.snapshot_limit in conf/. Then run `uv run dvc repro` again"
            )


def _restore_edited(
    pipeline: Pipeline, root: Path, commit: str | None, env: dict[str, str]
) -> list[str]:
    """Reset edited code in the index to a commit, if that is what its stage read.

    Returns:
        The edited code that is in no commit as its stage read it.
    """
    edited = pipeline.edited_code()
    if not edited or not commit:
        return edited
    with tempfile.TemporaryDirectory() as folder:
        before = git.extract(root, commit, Path(folder))
        kept = [path for path in edited if tree_digest(before / path) == pipeline.code[path]]
    if kept:
        reset = ("reset", "--quiet", commit, "--", *kept)
        git.git_or_fail(*reset, cwd=pipeline.workspace, env=env)
    return [path for path in edited if path not in kept]


def _commit(
    root: Path, tree: str, parent: str | None, origin: Origin, state: str, env: dict[str, str]
) -> str:
    moment = f"{origin.time // 1000} +0000"
    env = {**env, **IDENTITY, "GIT_AUTHOR_DATE": moment, "GIT_COMMITTER_DATE": moment}
    parents = ["-p", parent] if parent else []
    commit = git.git_or_fail(
        "commit-tree", tree, *parents, "-m", origin.message(origin.label(state)), cwd=root, env=env
    )
    git.git_or_fail("update-ref", f"{REFS}/{state}", commit, cwd=root)
    return commit
