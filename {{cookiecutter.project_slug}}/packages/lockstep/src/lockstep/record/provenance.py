"""Where a state comes from: its code, its experiment, who made it and on which machine."""

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


@dataclass(frozen=True)
class Origin:
    """Where a state comes from.

    Attributes:
        time: When it was first shown or committed, in milliseconds since 1970.
        commit: The commit that the work started from; None in a repository without one.
        branch: None on a detached HEAD, and where nobody knows any more.
        repository: The URL of `origin`.
        changed: The files that differed from the commit.
        experiment: The DVC experiment's name.
        baseline: The commit that the DVC experiment started from.
        user: Who made it.
        machine: What is known of the machine and the tools, by the name of the tag that tells it.
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
    def of_workspace(cls, workspace: Path, root: Path, generated: Iterable[str]) -> "Origin":
        """That of what a workspace holds now.

        Args:
            workspace: Where the pipeline ran; for `dvc exp run --temp` a temporary copy.
            root: The project's own folder.
            generated: Files and folders that the pipeline writes; to differ is their nature.
        """
        baseline = experiment_baseline()
        commit = baseline or git.head(workspace)
        return cls(
            time=int(time.time() * 1000),
            commit=commit,
            branch=git.branch(root),
            repository=git.remote_url(root),
            changed=git.changed_files(workspace, commit, ["dvc.lock", *generated]),
            experiment=experiment_name(),
            baseline=baseline,
            user=user_name(),
            machine=_machine(),
        )

    @classmethod
    def of_commit(cls, root: Path, revision: str, ref: str = "") -> "Origin":
        """That of what a commit, or a DVC experiment, holds; of the machine it tells nothing.

        Args:
            root: The project's own folder.
            revision: The commit; that of an experiment is DVC's own.
            ref: The experiment's, `refs/exps/ab/cdef.../name`.
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
        """The one that `message` told."""
        return cls(**json.loads(message[message.index("{") :]))

    def message(self, name: str) -> str:
        """A commit message that tells all of it.

        Args:
            name: The run's.
        """
        return f"lockstep: {name}\n\n{json.dumps(dataclasses.asdict(self), indent=1)}\n"

    def name(self, state: str) -> str:
        """What the run of a state is called: as its DVC experiment, else by branch and state."""
        return self.experiment or f"{self.branch or (self.commit or 'run')[:7]}-{state[:7]}"


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
