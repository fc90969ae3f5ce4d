"""A state brought back: its code in a worktree beside the project, its data, its environment."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lockstep import LockstepError, git
from lockstep.dvc import environment
from lockstep.dvc.cache import cache_folder
from lockstep.dvc.command import DVCError, run_dvc
from lockstep.dvc.pipeline import Pipeline
from lockstep.history import LIVE_VARIABLE
from lockstep.values import slug

# What ties a process to the project that it was started from.
FOREIGN = {
    *environment.ALL,
    *("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "PYTHONPATH"),
}


class StageFailedError(LockstepError):
    """A stage that once ran does not run any more; its worktree stays, to be looked into."""


class Restored:
    """A worktree with a state of the project."""

    def __init__(self, root: Path, name: str, revision: str) -> None:
        """Make the worktree.

        Args:
            root: The project's own folder; DVC's cache and local settings are shared with it.
            name: Part of the folder's.
            revision: The commit to check out.

        Raises:
            LockstepError: The folder is there already, or git fails.
        """
        self.root = root
        self.prefix = git.prefix(root)
        top = Path(git.git_or_fail("rev-parse", "--show-toplevel", cwd=root))
        self.tree = top.parent / f"{top.name}-{slug(name)}"
        self.folder = self.tree / self.prefix
        self.bin = Path(sys.executable).parent
        self.removal = f"remove it with `git worktree remove --force {self.tree}`"
        if self.tree.exists():
            raise LockstepError(f"{self.tree} is there already\n{self.removal}")
        # Hooks are for the user's own checkouts.
        quiet = ("-c", f"core.hooksPath={os.devnull}")
        add = ("worktree", "add", "--quiet", "--detach", str(self.tree), revision)
        git.git_or_fail(*quiet, *add, cwd=root)
        try:
            self._share_cache()
        except BaseException:
            self.remove()
            raise

    def _share_cache(self) -> None:
        local = Path(".dvc") / "config.local"
        if (self.root / local).exists():
            shutil.copyfile(self.root / local, self.folder / local)
        self.run("config", "--local", "cache.dir", str(cache_folder(self.root)))

    def bring(self, pipeline: Pipeline, stages: Iterable[str]) -> None:
        """Bring the data that DVC keeps: what the pipeline starts from, and what stages made.

        Args:
            pipeline: That of the worktree.
            stages: The names of those whose outputs are brought, too.

        Raises:
            LockstepError: Some are neither in DVC's cache nor in its remote.
        """
        pointers = [f"{path}.dvc" for path in pipeline.sources()]
        targets = [*pointers, *stages]
        if not targets:
            return
        try:
            self.run("pull", *targets)
        except DVCError as error:
            wanted = [f"{path} (md5 {md5})" for path, md5 in pipeline.sources().items()]
            raise LockstepError(
                f"data cannot be brought back: {', '.join([*wanted, *stages])}\n"
                f"{error}\n"
                "whoever has them in their cache can run `dvc push`"
            ) from error

    def install(self, python: str | None) -> None:
        """Install the environment that uv.lock locks.

        Args:
            python: The version to install it with; another one is taken where it is missing.

        Raises:
            LockstepError: It cannot be installed.
        """
        uv = shutil.which("uv") or shutil.which("uv", path=str(self.bin))
        if uv is None or not (self.folder / "uv.lock").exists():
            lacking = "uv is not installed" if uv is None else "the state has no uv.lock"
            raise LockstepError(f"{lacking}: use --current-environment")
        sync = [uv, "sync", "--frozen", "--quiet"]
        wanted = [[*sync, "--python", python]] if python else []
        for command in [*wanted, sync]:
            done = subprocess.run(
                command, cwd=self.folder, env=self._environment(), stderr=subprocess.PIPE, text=True
            )
            if not done.returncode:
                break
        else:
            raise LockstepError(
                f"`uv sync --frozen` failed: {done.stderr.strip()}\n"
                "with --current-environment it runs in the one that is installed"
            )
        self.bin = self.folder / ".venv" / ("Scripts" if os.name == "nt" else "bin")

    def rerun(self, stages: Sequence[str]) -> None:
        """Run stages anew, whatever DVC knows of them; nothing goes into its cache.

        Args:
            stages: Their names, in order.

        Raises:
            StageFailedError: One of them fails.
        """
        try:
            self.run(
                *("repro", "--force", "--no-commit", "--no-run-cache", "--single-item"),
                *stages,
                quiet=False,
            )
        except DVCError as error:
            raise StageFailedError(
                f"it does not run any more, see above; look into {self.folder}\n{self.removal}"
            ) from error

    def run(self, *arguments: str, quiet: bool = True) -> None:
        """Run DVC in the worktree.

        Args:
            arguments: Those after `dvc`.
            quiet: Whether to keep its output from the user.

        Raises:
            DVCError: It failed.
        """
        python = self.bin / ("python.exe" if os.name == "nt" else "python")
        env = self._environment()
        run_dvc(*arguments, cwd=self.folder, python=python, env=env, quiet=quiet)

    def _environment(self) -> Mapping[str, str]:
        kept = {key: value for key, value in os.environ.items() if key not in FOREIGN}
        path = f"{self.bin}{os.pathsep}{kept.get('PATH', '')}"
        return {**kept, "PATH": path, LIVE_VARIABLE: "0", "DVC_NO_ANALYTICS": "1"}

    def remove(self) -> None:
        """Remove the worktree with all that is in it."""
        git.git("worktree", "remove", "--force", str(self.tree), cwd=self.root)
        with contextlib.suppress(OSError):  # where files were held open
            shutil.rmtree(self.tree)
        git.git("worktree", "prune", cwd=self.root)
