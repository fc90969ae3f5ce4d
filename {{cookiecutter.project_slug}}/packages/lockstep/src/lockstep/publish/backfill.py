"""Every state that git remembers, shown in MLflow: `lockstep publish --all`.

A state is remembered by the snapshot of its run, by a commit that has its dvc.lock, and by a DVC
experiment. Its files come from git; model, plots and reports from DVC's cache or remote. Nothing
runs again.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lockstep import LockstepError, git
from lockstep.dvc.cache import fetch
from lockstep.dvc.environment import project_root
from lockstep.dvc.experiments import experiment_refs
from lockstep.dvc.pipeline import Pipeline
from lockstep.files import parse_yaml
from lockstep.mlflow.package import Packager
from lockstep.mlflow.store import Store, StoreError, store_of
from lockstep.publish.publish import publish_record
from lockstep.record.provenance import Origin
from lockstep.record.run_record import RunRecord
from lockstep.record.snapshot import REFS, snapshot_of_commit


@dataclass(frozen=True)
class Remembered:
    """A state that git remembers.

    Attributes:
        root: The project's own folder.
        state: Its identity.
        revision: The commit that holds it.
        ref: That of the snapshot or of the DVC experiment; empty for a commit of some branch.
    """

    root: Path
    state: str
    revision: str
    ref: str

    @property
    def is_snapshot(self) -> bool:
        """Whether the commit is the snapshot of a run."""
        return self.ref.startswith(f"{REFS}/")

    @cached_property
    def origin(self) -> Origin:
        """Where it comes from."""
        if self.is_snapshot:
            message = git.git_or_fail("show", "-s", "--format=%B", self.revision, cwd=self.root)
            return Origin.of_message(message)
        return Origin.of_commit(self.root, self.revision, self.ref)

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
        StoreError: The store cannot be reached, or takes nothing.
    """
    root = project_root(workspace)
    store = store_of(workspace)
    store.require_reachable()
    missing = unpublished(root, store)
    left = 0
    with Packager() as packager:
        for number, item in enumerate(missing, 1):
            print(f"[{number}/{len(missing)}] {item.name}", flush=True)
            try:
                _publish(item, root, store, packager)
            except StoreError:  # it would meet all the others, too
                raise
            except LockstepError as error:
                left += 1
                print(f"  not shown: {error}")
    print(f"{len(missing) - left} runs added" if missing else "every state has its run")
    return left


def unpublished(root: Path, store: Store) -> list[Remembered]:
    """The states that git remembers and the store lacks, the oldest first."""
    found: dict[str, Remembered] = {}
    published = store.finished()
    for item in remembered(root):
        if item.state not in found and item.state not in published:
            found[item.state] = item
    return sorted(found.values(), key=lambda item: item.origin.time)


def remembered(root: Path) -> Iterator[Remembered]:
    """All states that git remembers; one may come more than once, snapshots come first."""
    listed = git.git("for-each-ref", "--format=%(objectname) %(refname)", REFS, cwd=root) or ""
    for line in listed.splitlines():
        revision, _, ref = line.partition(" ")
        yield Remembered(root, ref.rpartition("/")[2], revision, ref)
    everywhere = ("--branches", "--tags", "--remotes", "HEAD")
    lock = f":/{git.prefix(root)}dvc.lock"
    history = git.git("rev-list", "--reverse", *everywhere, "--", lock, cwd=root) or ""
    experiments = {commit: ref for ref, commit in experiment_refs(root).items()}
    for revision in [*experiments, *history.splitlines()]:
        with contextlib.suppress(LockstepError):  # the pipeline had not run, or was not ours
            state = pipeline_at(root, revision).state
            yield Remembered(root, state, revision, experiments.get(revision, ""))


def pipeline_at(root: Path, revision: str) -> Pipeline:
    """The pipeline as a commit has it.

    Raises:
        LockstepError: The commit has no dvc.yaml with stages.
    """
    place = f"{revision}:{git.prefix(root)}"

    def read(name: str) -> Any:
        return parse_yaml(git.git("show", f"{place}{name}", cwd=root) or "", name)

    return Pipeline(root, read)


def _publish(item: Remembered, root: Path, store: Store, packager: Packager) -> None:
    with tempfile.TemporaryDirectory() as folder:
        workspace = git.extract(root, item.revision, Path(folder))
        pipeline = Pipeline(workspace)
        for path in pipeline.published_paths:
            if not (workspace / path).exists():
                try:
                    fetch(root, pipeline.written[path], workspace / path)
                except LockstepError as error:
                    raise LockstepError(f"{path}: {error}") from error
        snapshot = item.revision
        if not item.is_snapshot:
            snapshot = snapshot_of_commit(root, item.revision, item.origin, item.state)
        record = RunRecord(pipeline, item.origin, snapshot)
        # What was made long ago is judged when somebody wants to promote it.
        publish_record(store, record, packager.start(pipeline), gate=False)
