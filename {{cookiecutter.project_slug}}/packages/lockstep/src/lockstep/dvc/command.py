"""DVC as a process, for what its Python interface does not offer or would print differently."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from lockstep import LockstepError


class DVCError(LockstepError):
    """A DVC command failed; the message is what DVC reported, where the user did not see it."""


def run_dvc(
    *arguments: str,
    cwd: Path,
    python: Path | None = None,
    env: Mapping[str, str] | None = None,
    quiet: bool = False,
) -> None:
    """Run a DVC command and wait for it.

    Args:
        python: The interpreter of the environment to run it in; this process's by default.
        env: All environment variables; those of this process by default.
        quiet: Whether to keep its output from the user.

    Raises:
        DVCError: It failed.
    """
    done = subprocess.run(
        _command(arguments, python),
        cwd=cwd,
        env=env,
        stdout=subprocess.DEVNULL if quiet else None,
        stderr=subprocess.PIPE if quiet else None,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise DVCError((done.stderr or "").strip() or f"`dvc {' '.join(arguments)}` failed")


@contextlib.contextmanager
def dvc_beside(*arguments: str, cwd: Path) -> Iterator[Callable[[], str]]:
    """Run a DVC command while this process does something else; it ends with the `with` block.

    Yields:
        A function that waits for the command and returns what it printed to stdout.
    """
    with subprocess.Popen(
        _command(arguments),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            yield lambda: process.communicate()[0].strip()
        finally:
            process.kill()


def _command(arguments: tuple[str, ...], python: Path | None = None) -> list[str]:
    return [str(python or sys.executable), "-m", "dvc", *arguments]
