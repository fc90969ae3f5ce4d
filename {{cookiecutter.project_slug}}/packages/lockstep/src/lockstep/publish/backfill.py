"""Publish every state that git keeps and MLflow lacks: `lockstep publish --all`.

Git keeps a state as the snapshot of its run, as a commit that contains its dvc.lock, or as a DVC
experiment. Its files come from git; model, plots and reports from DVC's cache or remote. No stage
runs again.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lockstep import LockstepError, git
from lockstep.dvc.cache import fetch_missing
from lockstep.dvc.experiments import experiment_refs
from lockstep.dvc.history import pipeline_at
from lockstep.files import parse_yaml
from lockstep.mlflow.live import close_killed
from lockstep.mlflow.package import model_packager
from lockstep.mlflow.store import StoreError
from lockstep.mlflow.whole import has_files, registered_states
from lockstep.project import Project
from lockstep.publish.publish import publish_record
from lockstep.record.provenance import Origin
from lockstep.record.run_record import RunRecord
from lockstep.record.snapshot import REFS, snapshot_of_commit
from lockstep.values import counted
from lockstep.workspace import DVC_LOCK, PARAMS

AT_ONCE = 8  # states that are looked up


@dataclass(frozen=True)
class KnownState:
    """A state that git keeps.

    Attributes:
        revision: The commit that contains it.
        ref: The ref of the snapshot or of the DVC experiment; empty for a commit on a branch.
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
        """What its run is called, after the model."""
        return self.origin.label(self.state)

    @cached_property
    def model(self) -> str | None:
        """The name that its config gives to the registered model."""
        place = f"{self.revision}:{git.prefix(self.root)}{PARAMS}"
        params = parse_yaml(git.git("show", place, cwd=self.root) or "", PARAMS) or {}
        return (params.get("registry") or {}).get("name")

    def snapshot(self) -> str:
        """The commit of its snapshot, which is taken unless there is one."""
        if self.is_snapshot:
            return self.revision
        return snapshot_of_commit(self.root, self.revision, self.origin, self.state)


def publish_all(project: Project, *, ask_server: bool = False) -> int:
    """Publish every run that the store lacks, the oldest first; it can be interrupted and repeated.

    Args:
        ask_server: Whether to ask a server for the files of each run.

    Returns:
        The number of states that could not be published because data or packages are missing;
        each is reported.

    Raises:
        StoreError: The store cannot be reached, or cannot be written to.
    """
    if project.store.exists():
        with project.store.errors_explained():
            client = project.store.client()
            close_killed(client, project.store.experiment_id(client))
    missing = unpublished(project, ask_server=ask_server)
    failures = 0
    with model_packager() as package:
        for number, known in enumerate(missing, 1):
            print(f"[{number}/{len(missing)}] {known.name}", flush=True)
            try:
                with _restored(known) as restored:
                    model = package(restored.pipeline, restored.packages)
                    record = RunRecord(restored, known.origin, known.snapshot())
                    # An old model is judged when somebody wants to promote it.
                    publish_record(project, record, model, gate=False)
            except StoreError:  # no other state could be published, either
                raise
            except LockstepError as error:
                failures += 1
                print(f"  not published: {error}")
    added = len(missing) - failures
    print(f"{counted(added, 'run')} added" if missing else "every state has its run")
    return failures


def unpublished(project: Project, *, ask_server: bool = False) -> list[KnownState]:
    """The states that git keeps and the store lacks, or has no longer whole; the oldest first.

    Args:
        ask_server: Whether to ask a server for the files of each run.
    """
    published, registered = project.store.finished(), registered_states(project.store)
    client = project.store.client() if ask_server and published else None
    states: dict[str, KnownState] = {}
    for known in _known_states(project.root):
        states.setdefault(known.state, known)

    def lacks(known: KnownState) -> bool:
        run_id = published.get(known.state)
        model = known.model if project.pipeline.models() else None
        if run_id is None or not has_files(
            project.store, run_id, models=model is not None, client=client
        ):
            return True
        return model is not None and (model, known.state) not in registered

    with ThreadPoolExecutor(AT_ONCE) as pool:  # a server takes its time for each
        lacking = pool.map(lacks, states.values())
        missing = [
            known for known, lacks_it in zip(states.values(), lacking, strict=True) if lacks_it
        ]
    return sorted(missing, key=lambda known: known.origin.time)


def unpublished_experiments(project: Project) -> list[str]:
    """The names of the DVC experiments that the store lacks."""
    published = project.store.finished()
    return [known.name for known in _experiments(project.root) if known.state not in published]


def _known_states(root: Path) -> Iterator[KnownState]:
    """All states that git keeps; one may come more than once, snapshots come first."""
    snapshots = git.git("for-each-ref", "--format=%(objectname) %(refname)", REFS, cwd=root) or ""
    for line in snapshots.splitlines():
        revision, _, ref = line.partition(" ")
        yield KnownState(root, ref.rpartition("/")[2], revision, ref)
    everywhere = ("--branches", "--tags", "--remotes", "HEAD")
    lock = f":/{git.prefix(root)}{DVC_LOCK}"
    history = git.git("rev-list", "--reverse", *everywhere, "--", lock, cwd=root) or ""
    yield from _experiments(root)
    yield from _states_at(root, dict.fromkeys(history.splitlines(), ""))


def _experiments(root: Path) -> Iterator[KnownState]:
    yield from _states_at(root, {commit: ref for ref, commit in experiment_refs(root).items()})


def _states_at(root: Path, revisions: dict[str, str]) -> Iterator[KnownState]:
    """The states of commits, each with its ref."""
    for revision, ref in revisions.items():
        with contextlib.suppress(LockstepError):  # the pipeline had not run, or was not Lockstep's
            yield KnownState(root, pipeline_at(root, revision).state, revision, ref)


@contextlib.contextmanager
def _restored(known: KnownState) -> Iterator[Project]:
    """The files of a state in a temporary folder, with those that DVC keeps."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        project = Project(git.extract(known.root, known.revision, Path(folder)))
        outs = project.pipeline.outs_at(*project.pipeline.published_paths)
        fetch_missing(known.root, outs, project.workspace)
        yield project
