"""`lockstep push`: share data, commits and runs, in the order that leaves nothing behind.

Experiments stay on this machine unless asked for: they are drafts, and a run in MLflow shows by
itself how to rebuild it.
"""

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from lockstep import LockstepError, git
from lockstep.dvc.experiments import experiment_refs
from lockstep.mlflow.uri import database_of
from lockstep.project import Project
from lockstep.team.commits import NO_REMOTE, outgoing, push_commits, require_commit, uncommitted
from lockstep.team.route import route_if_any
from lockstep.team.steps import Steps, take
from lockstep.values import counted, without_secrets

EXAMPLE = "lockstep push --dry-run"
PUSH = "uv run lockstep push"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument("--dry-run", action="store_true", help="only show what would be pushed")
    parser.add_argument(
        "--experiments", action="store_true", help="push DVC's experiments and their data, too"
    )
    parser.add_argument(
        "--outgoing-data",
        action="store_true",
        help="push only the data of the commits that `git push` is about to send (pre-push hook)",
    )


def run(arguments: Namespace) -> None:
    """Run the verb."""
    project = Project(Path.cwd())
    if arguments.outgoing_data:
        push_outgoing_data(project)
    else:
        push(project, experiments=arguments.experiments, dry_run=arguments.dry_run)


def push(project: Project, *, experiments: bool, dry_run: bool) -> None:
    """Push the data, then the commits that refer to them, then the runs that refer to both."""
    root = project.root
    route = route_if_any(root)
    require_commit(root)
    if files := uncommitted(project):
        raise LockstepError(
            f"not committed yet, so others would not get this state: {', '.join(files)}\n"
            f"git add {' '.join(files)} && git commit"
        )
    refs = experiment_refs(root) if experiments else {}

    def push_data() -> str:
        from lockstep.dvc.remote import push_data

        commits = [*outgoing(root, route.remote if route else None), *refs.values()]
        count, place = push_data(root, commits, dry_run=dry_run)
        return f"{counted(count, 'file')} to {place}"

    def push_experiments() -> str:
        if route is None:
            return NO_REMOTE
        if refs and not dry_run:
            # `dvc exp push` uses neither git's settings for SSH nor its agent.
            git.git_or_fail("push", route.remote, *refs, cwd=root)
        return f"{counted(len(refs), 'experiment')} to {route.remote}"

    steps: Steps = {"data": push_data, "git": lambda: push_commits(root, route, dry_run=dry_run)}
    if experiments:
        steps["experiments"] = push_experiments
    steps["runs"] = lambda: _push_runs(project, dry_run=dry_run)
    take(steps, f"{PUSH} --experiments" if experiments else PUSH)


def push_outgoing_data(project: Project) -> None:
    """Push the data of the commits that `git push` is about to send: the pre-push hook."""
    from lockstep.dvc.remote import push_data

    # https://pre-commit.com/#pre-push: the first push of a repository sets only the branch.
    names = ("PRE_COMMIT_TO_REF", "PRE_COMMIT_LOCAL_BRANCH")
    tip = next((os.environ[name] for name in names if os.environ.get(name)), "HEAD")
    remote = os.environ.get("PRE_COMMIT_REMOTE_NAME") or "origin"
    count, place = push_data(project.root, outgoing(project.root, remote, tip))
    print(f"data  {counted(count, 'file')} to {place}")


def _push_runs(project: Project, *, dry_run: bool) -> str:
    if not project.pipeline.locked:
        return "none yet: the pipeline has not run"
    if database_of(project.store.uri):
        return "they stay on this machine; with a server in conf/tracking/ they would be shared"
    place = without_secrets(project.store.uri)
    from lockstep.publish.backfill import publish_all, unpublished

    if dry_run:
        project.store.require_reachable()
        return f"{counted(len(unpublished(project)), 'run')} to {place}"
    if failures := publish_all(project):
        raise LockstepError(
            f"{counted(failures, 'state')} could not be published to {place}, see above"
        )
    return f"every state has its run in {place}"
