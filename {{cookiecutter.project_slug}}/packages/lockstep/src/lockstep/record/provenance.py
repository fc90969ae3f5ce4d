"""The provenance of a state: its code, its experiment, who made it and on which machine."""

import dataclasses
import getpass
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lockstep import git
from lockstep.dvc.environment import experiment_baseline, experiment_name
from lockstep.mlflow import tag
from lockstep.project import Project
from lockstep.workspace import DVC_LOCK

SEPARATOR = " · "  # between the model and the label in the name of a run


@dataclass(frozen=True)
class Origin:
    """Where a state comes from.

    Attributes:
        time: When it was first published or committed, in milliseconds since 1970.
        commit: The commit that the work started from; None in a repository without commits.
        branch: None on a detached HEAD, or if it is unknown.
        repository: The URL of the git remote `origin`.
        changed: The files that differed from the commit.
        baseline: The commit that the DVC experiment started from.
        machine: The machine and the versions of the tools, by name.
    """

    time: int
    commit: str | None = None
    branch: str | None = None
    repository: str | None = None
    changed: list[str] = dataclasses.field(default_factory=list)
    experiment: str | None = None
    baseline: str | None = None
    user: str = ""
    machine: dict[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of_workspace(cls, project: Project, generated: Iterable[str] = ()) -> "Origin":
        """The origin of the current content of a workspace.

        Args:
            generated: What the pipeline writes besides dvc.lock; it does not count as changed.
        """
        baseline = experiment_baseline()
        commit = baseline or git.head(project.workspace)
        return cls(
            time=int(time.time() * 1000),
            commit=commit,
            branch=git.branch(project.root),
            repository=git.remote_url(project.root),
            changed=git.changed_files(project.workspace, commit, [DVC_LOCK, *generated]),
            experiment=experiment_name(),
            baseline=baseline,
            user=user_name(),
            machine=_machine(),
        )

    @classmethod
    def of_commit(cls, root: Path, revision: str, ref: str = "") -> "Origin":
        """The origin of the content of a commit or a DVC experiment; its machine is unknown.

        Args:
            ref: The experiment's ref, `refs/exps/ab/cdef.../name`; empty for an ordinary commit.
        """
        text = git.git_or_fail("show", "-s", "--format=%ct%n%an", revision, cwd=root)
        seconds, _, author = text.partition("\n")
        baseline = "".join(ref.split("/")[2:4]) or None
        return cls(
            time=int(seconds) * 1000,
            commit=baseline or revision,
            repository=git.remote_url(root),
            experiment=ref.rpartition("/")[2] or None,
            baseline=baseline,
            user=author,
        )

    @classmethod
    def of_message(cls, message: str) -> "Origin":
        """The origin in a commit message that `message` wrote."""
        return cls(**json.loads(message[message.index("{") :]))

    def message(self, name: str) -> str:
        """A commit message with all of it, headed by the name of the run."""
        return f"lockstep: {name}\n\n{json.dumps(dataclasses.asdict(self), indent=1)}\n"

    def label(self, state: str) -> str:
        """What tells it from other states: its DVC experiment, or its commit and any changes."""
        if self.experiment or self.commit is None:
            return self.experiment or f"run-{state[:7]}"
        return self.commit[:7] + (f"+{state[:7]}" if self.changed else "")

    @property
    def tags(self) -> dict[str, str | None]:
        """The tags of a run with this origin."""
        return {
            tag.USER: self.user,
            tag.COMMIT: self.commit,
            tag.BRANCH: self.branch,
            tag.REPOSITORY: self.repository,
            tag.CHANGED: ", ".join(self.changed),
            tag.EXPERIMENT: self.experiment,
        }


def _machine() -> dict[str, str]:
    tools = {name: importlib.metadata.version(name) for name in ("dvc", "mlflow", "hydra-core")}
    return {
        "hardware.cpus": str(os.cpu_count()),
        "hardware.machine": platform.machine(),
        "system.platform": platform.platform(),
        "system.python": platform.python_version(),
        **{f"package.{name}": version for name, version in tools.items()},
    }


def user_name() -> str:
    """The name under which the user is logged in."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
