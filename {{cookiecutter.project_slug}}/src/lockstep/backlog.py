"""Every state that git remembers, shown in MLflow: `lockstep publish --all`.

A state is remembered by the snapshot of its run, by a commit that has its dvc.lock, and by a DVC
experiment. Its files come from git; model, plots and reports from DVC's cache or remote. Nothing
runs again.
"""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lockstep import LockstepError, git
from lockstep.dvc_cache import fetch
from lockstep.origin import Origin, experiment_refs
from lockstep.package import Packager
from lockstep.pipeline import Pipeline, parse_yaml, project_root
from lockstep.publish import publish_record, tracking_of
from lockstep.run_record import RunRecord
from lockstep.snapshot import REFS, snapshot_of_commit
from lockstep.tracking import Store


@dataclass(frozen=True)
class Remembered:
    """A state that git remembers.

    Attributes:
        state: Its identity.
        revision: The commit that holds it.
        origin: Where it comes from.
        is_snapshot: Whether the commit is the snapshot of a run.
    """

    state: str
    revision: str
    origin: Origin
    is_snapshot: bool

    @property
    def name(self) -> str:
        """What its run is called."""
        return self.origin.name(self.state)


def publish_all(workspace: Path) -> int:
    """Fill in every run that the store lacks, the oldest first; it can be interrupted and repeated.

    Args:
        workspace: The project's folder.

    Returns:
        How many states could not be shown, because data or packages are missing; each is told.

    Raises:
        LockstepError: The store cannot be reached.
    """
    root = project_root(workspace)
    store = Store(root, tracking_of(workspace))
    store.require_reachable()
    missing = unpublished(root, store)
    left = 0
    with Packager() as packager:
        for number, item in enumerate(missing, 1):
            print(f"[{number}/{len(missing)}] {item.name}", flush=True)
            try:
                _publish(item, root, store, packager)
            except LockstepError as error:
                store.require_reachable()
                left += 1
                print(f"  not shown: {error}")
    print(f"{len(missing) - left} runs added" if missing else "every state has its run")
    return left


def unpublished(root: Path, store: Store) -> list[Remembered]:
    """The states that git remembers and the store lacks, the oldest first."""
    found: dict[str, Remembered] = {}
    for item in remembered(root):
        if item.state not in found and not store.find_finished(item.state):
            found[item.state] = item
    return sorted(found.values(), key=lambda item: item.origin.time)


def remembered(root: Path) -> Iterator[Remembered]:
    """All states that git remembers; one may come more than once, snapshots come first."""
    listed = git.git(
        "for-each-ref", "--format=%(refname)%00%(objectname)%00%(contents)%01", REFS, cwd=root
    )
    for entry in (listed or "").split("\1"):
        ref, _, rest = entry.strip("\n").partition("\0")
        revision, _, message = rest.partition("\0")
        if ref:
            yield Remembered(ref.rpartition("/")[2], revision, Origin.of_message(message), True)
    lock = f"{git.prefix(root)}dvc.lock"
    history = git.git(
        "rev-list",
        "--reverse",
        "--branches",
        "--tags",
        "--remotes",
        "HEAD",
        "--",
        f":/{lock}",
        cwd=root,
    )
    commits = [(revision, "") for revision in (history or "").splitlines()]
    experiments = [(revision, ref) for ref, revision in experiment_refs(root).items()]
    for revision, ref in [*experiments, *commits]:
        if state := _state_at(root, revision):
            yield Remembered(state, revision, Origin.of_commit(root, revision, ref), False)


def pipeline_at(root: Path, revision: str) -> Pipeline:
    """The pipeline as a commit has it.

    Raises:
        LockstepError: The commit has no dvc.yaml with stages.
    """
    return Pipeline(root, lambda name: parse_yaml(_content(root, revision, name), name))


def _state_at(root: Path, revision: str) -> str | None:
    """The state that a commit holds; None where the pipeline had not run, or was not ours."""
    try:
        return pipeline_at(root, revision).state
    except LockstepError:
        return None


def _content(root: Path, revision: str, name: str) -> str:
    return git.git("show", f"{revision}:{git.prefix(root)}{name}", cwd=root) or ""


def _publish(item: Remembered, root: Path, store: Store, packager: Packager) -> None:
    with tempfile.TemporaryDirectory() as folder:
        workspace = extract(root, item.revision, Path(folder))
        pipeline = Pipeline(workspace)
        for path in pipeline.shown:
            if not (workspace / path).exists():
                fetch(root, pipeline.written[path], workspace / path)
        snapshot = item.revision
        if not item.is_snapshot:
            snapshot = snapshot_of_commit(root, item.revision, item.origin, item.state)
        record = RunRecord(pipeline, item.origin, snapshot)
        publish_record(store, record, packager.start(pipeline))


def extract(root: Path, revision: str, folder: Path) -> Path:
    """Write the files of a commit, without touching the project's own.

    Args:
        root: The project's own folder.
        revision: The commit.
        folder: An empty one.

    Returns:
        The project's folder in there.
    """
    env = {"GIT_INDEX_FILE": str(folder / "index")}
    top = git.git_or_fail("rev-parse", "--show-toplevel", cwd=root)
    git.git_or_fail("read-tree", revision, cwd=root, env=env)
    place = f"--prefix={folder / 'files'}{os.sep}"
    git.git_or_fail("checkout-index", "--all", place, cwd=Path(top), env=env)
    return folder / "files" / git.prefix(root)
