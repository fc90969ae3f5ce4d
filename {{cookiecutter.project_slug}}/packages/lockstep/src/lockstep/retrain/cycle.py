"""One retraining, as a DVC experiment in a temporary copy: if it fails, nothing has changed."""

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lockstep import LockstepError, git
from lockstep.champion.alias import champion_of
from lockstep.compare.difference import Difference
from lockstep.compare.section import as_markdown
from lockstep.compare.states import restored
from lockstep.dvc.command import DVCError, run_dvc
from lockstep.dvc.experiments import experiment_refs
from lockstep.dvc.history import pipeline_at
from lockstep.lineage.target import resolve_target
from lockstep.mlflow import runs, tag
from lockstep.mlflow.registry import version_of_state
from lockstep.values import counted

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from lockstep.project import Project

BRANCH = "retrain"  # the folder of branches that wait for a person


@dataclass(frozen=True)
class Outcome:
    """What a retraining led to.

    Attributes:
        experiment: The name of the DVC experiment.
        commit: Its commit, whose parent is the commit that it started from.
        version: The version that its run became.
        promoted: Whether the version is the champion now.
    """

    experiment: str
    commit: str
    version: "ModelVersion"
    promoted: bool

    @property
    def verdict(self) -> str:
        """The gate's."""
        return str(self.version.tags.get(tag.VERDICT, "none"))


def train(project: "Project", client: "MlflowClient", reason: str) -> Outcome:
    """Run the pipeline on what the workspace's .dvc files name, and publish the result.

    Args:
        reason: Why; recorded with the run.

    Raises:
        LockstepError: The pipeline failed.
    """
    name = f"retrain-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    print(f"$ dvc exp run --temp --name {name}", flush=True)
    try:
        run_dvc("exp", "run", "--temp", "--name", name, cwd=project.root)
    except DVCError as error:
        raise LockstepError(
            "the pipeline failed; the champion, the branch and the workspace are as they were"
        ) from error
    (commit,) = experiment_refs(project.root, name).values()
    state = pipeline_at(project.root, commit).state
    version = version_of_state(client, project.model_name, state)
    if version is None or not version.run_id:
        raise LockstepError(f"experiment {name} has no version: does dvc.yaml publish a model?")
    runs.log(client, version.run_id, tags={tag.RETRAIN_REASON: reason})
    champion = champion_of(client, project.model_name)
    promoted = champion is not None and str(champion.version) == str(version.version)
    return Outcome(name, commit, version, promoted)


def keep(project: "Project", outcome: Outcome) -> str:
    """Put the commit of a champion on the branch that is checked out, with its data.

    Returns:
        What was done.
    """
    git.git_or_fail("merge", "--quiet", "--ff-only", outcome.commit, cwd=project.root)
    run_dvc("checkout", "--quiet", cwd=project.root, quiet=True)
    return f"{git.branch(project.root) or 'HEAD'} is at {outcome.commit[:7]}"


def offer(project: "Project", outcome: Outcome, reason: str) -> str:
    """Make a branch with one commit, for a person to look at.

    The message of the commit has what differs from the champion: metrics, params, data.

    Returns:
        The name of the branch.
    """
    message = "\n\n".join([f"Train again: {reason}", *_difference(project, outcome)])
    tree, base = f"{outcome.commit}^{{tree}}", f"{outcome.commit}^"
    commit = git.git_or_fail("commit-tree", tree, "-p", base, "-m", message, cwd=project.root)
    branch = f"{BRANCH}/{outcome.experiment.removeprefix('retrain-')}"
    git.git_or_fail("branch", "--force", branch, commit, cwd=project.root)
    return branch


def _difference(project: "Project", outcome: Outcome) -> list[str]:
    """What differs from the champion, as Markdown; nothing where there is none."""
    champion = champion_of(project.store.client(), project.model_name)
    if champion is None:
        return []
    targets = [resolve_target(str(one.version), project) for one in (champion, outcome.version)]
    with contextlib.ExitStack() as stack:
        states = [stack.enter_context(restored(target, project)) for target in targets]
        found = Difference(project, *states)
        title = f"Version {outcome.version.version} compared with {champion.version}"
        return [as_markdown(title, found.headline(), found.sections())]


def push_offer(project: "Project", outcome: Outcome, branch: str, remote: str | None) -> str:
    """Push a branch that waits for a person, its data first.

    Args:
        remote: Git's; None if there is none.

    Returns:
        What was done.
    """
    from lockstep.dvc.remote import push_data

    count, place = push_data(project.root, [outcome.commit])
    data = f"{counted(count, 'file')} to {place}"
    if remote is None:
        return f"pushed {data}; git has no remote for {branch}"
    git.git_or_fail("push", "--quiet", "--no-verify", remote, branch, cwd=project.root)
    return f"pushed {branch} to {remote}, {data}"
