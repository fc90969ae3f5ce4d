"""`lockstep retrain`: one cycle of new data, training, gate and promotion."""

import contextlib
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep import LockstepError, git
from lockstep.champion.alias import CHAMPION
from lockstep.commands.push import push
from lockstep.config.group import settings_of_group
from lockstep.mlflow.uri import SAME_AGAIN
from lockstep.monitor.notify import notify
from lockstep.project import Project
from lockstep.retrain.cycle import Outcome, keep, offer, push_offer, train
from lockstep.retrain.feedback import bring_in_feedback
from lockstep.retrain.limits import hindrance
from lockstep.retrain.reasons import bring_in_new_data, reasons
from lockstep.retrain.remote_lock import remote_lock
from lockstep.retrain.settings import Settings
from lockstep.team.route import route_if_any
from lockstep.values import first_line
from lockstep.workspace import one_at_a_time

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXAMPLE = "lockstep retrain"
BUSY = "another `lockstep retrain` is running in this project: wait for it, or stop it"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument(
        "--force",
        action="store_true",
        help="train again without a reason, too, and whatever conf/retrain limits",
    )
    parser.add_argument("--reason", help="why; recorded with the run")
    parser.add_argument(
        "--push", action="store_true", help="push the result, whatever conf/retrain says"
    )


def run(arguments: Namespace) -> int:
    """Run one cycle.

    Returns:
        0 if there is nothing to do, a new champion, or a branch for a person; 1 if the gate did
        not pass.
    """
    project = Project(Path.cwd())
    settings = settings_of_group(project.workspace, "retrain", Settings)
    with one_at_a_time(project.root, "retrain", BUSY), _alone(project):
        _require_clean(project)
        with project.store.errors_explained(SAME_AGAIN):
            client = project.store.client()
            log = settings.feedback
            days = bring_in_feedback(project, client, log) if log else []
        pointers = bring_in_new_data(project)
        try:
            with project.store.errors_explained(SAME_AGAIN):
                why = _why(arguments, project, client, settings, days)
                if why is None:
                    return 0
                print(f"training again: {why}", flush=True)
                outcome = train(project, client, why)
        except LockstepError as error:
            _notify(project, f"retraining failed: {first_line(error)}")
            raise
        finally:
            if pointers:  # what they name stays in DVC's cache
                git.git_or_fail("checkout", "--quiet", "HEAD", "--", *pointers, cwd=project.root)
        return _conclude(project, outcome, why, pushes=settings.push or arguments.push)


def _why(
    arguments: Namespace,
    project: Project,
    client: "MlflowClient",
    settings: Settings,
    days: list[str],
) -> str | None:
    """Why to train again; None if there is nothing to do, which is said."""
    found = [text for kind, text in reasons(project, client) if kind in settings.reasons]
    if found and days:
        found.append(f"true values of {', '.join(days)}")
    if arguments.force or arguments.reason:
        return ", ".join([*found, arguments.reason or "asked for"])
    if not found:
        told = "new data" if "data" in settings.reasons else "alarm with new data"
        print(f"nothing to do: no {told} (--force trains anyway)")
        return None
    if reason := hindrance(project, client, settings):
        print(f"put off ({', '.join(found)}): {reason}\n--force trains anyway")
        return None
    return ", ".join(found)


def _alone(project: Project) -> contextlib.AbstractContextManager[None]:
    """Keep other clones of the project from retraining, where git has a remote."""
    try:
        route = route_if_any(project.root)
    except LockstepError:  # no branch is checked out
        route = None
    return remote_lock(project.root, route.remote) if route else contextlib.nullcontext()


def _require_clean(project: Project) -> None:
    changed = git.git("status", "--porcelain", "--untracked-files=no", cwd=project.root)
    if changed is None or git.head(project.root) is None:
        raise LockstepError("retraining needs a git repository with a commit")
    if files := [line[3:] for line in changed.splitlines() if not line.endswith(".dvc")]:
        raise LockstepError(f"not committed: {', '.join(files)}\ncommit or discard these changes")


def _conclude(project: Project, outcome: Outcome, reason: str, *, pushes: bool) -> int:
    """Put a new champion on the branch; offer what a person has to decide on."""
    number, branch = str(outcome.version.version), None
    if outcome.promoted:
        told = f"version {number} is the champion; {keep(project, outcome)}"
    elif outcome.verdict == "failed":
        told = f"version {number} does not become the champion: its gate failed"
    else:
        branch = offer(project, outcome, reason)
        told = f"version {number}: gate {outcome.verdict}; the branch {branch} waits for a person"
        print(
            f"compare: uv run lockstep diff {CHAMPION} {number}\n"
            f"accept:  uv run lockstep promote {number}\n"
            f"         git merge {branch}\n"
            "         uv run dvc checkout"
        )
    print(f"{project.model_name}: {told}", flush=True)
    _notify(project, told)
    if pushes and outcome.promoted:
        push(project, experiments=False, dry_run=False)
    elif pushes and branch:
        route = route_if_any(project.root)
        print(push_offer(project, outcome, branch, route.remote if route else None))
    return int(outcome.verdict == "failed")


def _notify(project: Project, text: str) -> None:
    if problem := notify(project.model_name, text):
        print(f"note: {problem}", file=sys.stderr)
