"""A state restored beside the project: its code in a worktree, its data, its environment."""

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from lockstep import LockstepError, git
from lockstep.config.packages import extras_with
from lockstep.dvc.cache import share_cache
from lockstep.dvc.command import DVCError, run_dvc
from lockstep.dvc.environment import unbound_variables
from lockstep.dvc.pipeline import Pipeline
from lockstep.files import packages_of
from lockstep.history import LIVE_VARIABLE
from lockstep.rebuild.worktree import Worktree
from lockstep.values import slug
from lockstep.workspace import UV_LOCK, uv_program

# The variables that bind a process to the environment that it was started in.
BINDING = {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "PYTHONPATH"}
BINARIES = "Scripts" if os.name == "nt" else "bin"


class StageFailedError(LockstepError):
    """A stage that once ran fails now; its worktree is kept for inspection."""


class Restored:
    """A worktree with a state of the project.

    Attributes:
        folder: The project in the worktree.
        removal: How to remove the worktree, for messages.
    """

    def __init__(self, root: Path, name: str, revision: str) -> None:
        """Create the worktree; it shares DVC's cache and local settings with the project."""
        self._worktree = Worktree(root, f"{git.top(root).name}-{slug(name)}", revision)
        self._binaries = Path(sys.executable).parent
        self.folder = self._worktree.path / git.prefix(root)
        self.removal = self._worktree.removal
        try:
            share_cache(root, self.folder, self._environment())
        except BaseException:
            self.remove()
            raise

    def fetch_data(self, pipeline: Pipeline, stages: Iterable[str]) -> None:
        """Fetch the sources of the pipeline and the outputs of some stages from DVC."""
        pointers = {pipeline.pointer_of(path): None for path in pipeline.sources()}
        targets = [*filter(None, pointers), *stages]
        if not targets:
            return
        try:
            self._run_dvc("pull", *targets, quiet=True)
        except DVCError as error:
            missing = [f"{path} (md5 {md5})" for path, md5 in pipeline.sources().items()]
            raise LockstepError(
                f"some data could not be restored: {', '.join([*missing, *stages])}\n{error}\n"
                "whoever has them in their cache can run `uv run dvc push`"
            ) from error

    def install(self, python: str | None) -> None:
        """Install the environment that uv.lock locks.

        Args:
            python: The preferred Python version; where it is missing, uv chooses one.
        """
        uv = uv_program(self._binaries)
        if uv is None or not (self.folder / UV_LOCK).exists():
            lacking = "uv is not installed" if uv is None else f"the state has no {UV_LOCK}"
            raise LockstepError(f"{lacking}: use --current-environment")
        extras = extras_with(packages_of(self.folder), self.folder)
        sync = [uv, "sync", "--frozen", "--quiet", *(f"--extra={extra}" for extra in extras)]
        preferred = [[*sync, "--python", python]] if python else []
        for command in [*preferred, sync]:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=self._environment(),
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
            if not done.returncode:
                break
        else:
            raise LockstepError(
                f"`uv sync --frozen` failed: {done.stderr.strip()}\n"
                "--current-environment uses the installed packages instead"
            )
        self._binaries = self.folder / ".venv" / BINARIES

    def rerun(self, stages: Sequence[str]) -> None:
        """Run stages again even if DVC finds them up to date; nothing is added to its cache.

        Raises:
            StageFailedError: One of them fails.
        """
        options = ("--force", "--no-commit", "--no-run-cache", "--single-item")
        try:
            self._run_dvc("repro", *options, *stages)
        except DVCError as error:
            raise StageFailedError(
                f"it fails now, see above; the worktree is kept: {self.folder}\n{self.removal}"
            ) from error

    def remove(self) -> None:
        """Remove the worktree with everything in it."""
        self._worktree.remove()

    def release(self) -> None:
        """Leave it to the user."""
        self._worktree.release()

    def _run_dvc(self, *arguments: str, quiet: bool = False) -> None:
        python = self._binaries / ("python.exe" if os.name == "nt" else "python")
        run_dvc(*arguments, cwd=self.folder, python=python, env=self._environment(), quiet=quiet)

    def _environment(self) -> dict[str, str]:
        kept = {key: value for key, value in unbound_variables().items() if key not in BINDING}
        path = f"{self._binaries}{os.pathsep}{kept.get('PATH', '')}"
        return {**kept, "PATH": path, LIVE_VARIABLE: "0"}
