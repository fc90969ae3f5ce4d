"""`lockstep retrain`: one cycle of new data, training, gate and promotion."""

import contextlib
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from lockstep import LockstepError, git
from lockstep.champion.alias import CHAMPION
from lockstep.monitor.notify import notify
from lockstep.project import Project
from lockstep.retrain.cycle import Outcome, keep, offer, train
from lockstep.retrain.reasons import bring_in_new_data, reasons
from lockstep.retrain.remote_lock import remote_lock
from lockstep.team.route import find_route
from lockstep.workspace import one_at_a_time

EXAMPLE = "lockstep retrain"
BUSY = "another `lockstep retrain` is running in this project: wait for it, or stop it"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument("--force", action="store_true", help="train again without a reason, too")
    parser.add_argument("--reason", help="why; recorded with the run")


def run(arguments: Namespace) -> int:
    """Run one cycle.

    Returns:
        0 if there is nothing to do, a new champion, or a branch for a person; 1 if the gate did
        not pass.
    """
    project = Project(Path.cwd())
    with one_at_a_time(project.root, "retrain", BUSY), _alone(project):
        _require_clean(project)
        pointers = bring_in_new_data(project)
        try:
            with project.store.errors_explained():
                client = project.store.client()
                found = list(reasons(project, client))
                if arguments.force or arguments.reason:
                    found.append(arguments.reason or "asked for")
                if not found:
                    print("nothing to do: no new data, and no alarm (--force trains anyway)")
                    return 0
                print(f"training again: {', '.join(found)}", flush=True)
                outcome = train(project, client, ", ".join(found))
        finally:
            if pointers:  # what they name stays in DVC's cache
                git.git_or_fail("checkout", "--quiet", "HEAD", "--", *pointers, cwd=project.root)
        return _conclude(project, outcome)


def _alone(project: Project) -> contextlib.AbstractContextManager[None]:
    """Keep other clones of the project from retraining, where git has a remote."""
    try:
        remote = find_route(project.root).remote
    except LockstepError:  # there is none
        return contextlib.nullcontext()
    return remote_lock(project.root, remote)


def _require_clean(project: Project) -> None:
    changed = git.git("status", "--porcelain", "--untracked-files=no", cwd=project.root)
    if changed is None or git.head(project.root) is None:
        raise LockstepError("retraining needs a git repository with a commit")
    if files := [line[3:] for line in changed.splitlines() if not line.endswith(".dvc")]:
        raise LockstepError(f"not committed: {', '.join(files)}\ncommit or discard these changes")


def _conclude(project: Project, outcome: Outcome) -> int:
    """Put a new champion on the branch; offer what a person has to decide on."""
    name, number = project.model_name, str(outcome.version.version)
    if outcome.promoted:
        told = f"version {number} is the champion; {keep(project, outcome)}"
    elif outcome.verdict == "failed":
        told = f"version {number} does not become the champion: its gate failed"
    else:
        branch = offer(project, outcome)
        told = f"version {number}: gate {outcome.verdict}; the branch {branch} waits for a person"
        print(
            f"compare: uv run lockstep diff {CHAMPION} {number}\n"
            f"accept:  uv run lockstep promote {number}\n"
            f"         git merge {branch}\n"
            "         uv run dvc checkout"
        )
    print(f"{name}: {told}")
    if problem := notify(name, told):
        print(f"note: {problem}", file=sys.stderr)
    return int(outcome.verdict == "failed")
