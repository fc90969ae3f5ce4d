"""What git knows of the workspace; nothing, where git or a repository is missing."""

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path


def git(*arguments: str, cwd: Path) -> str | None:
    """The output of a git command, without the last line break; None when it fails."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=cwd,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.rstrip("\n")


def commit(workspace: Path) -> str | None:
    """The commit that the workspace started from; that of an experiment is its baseline."""
    return os.environ.get("DVC_EXP_BASELINE_REV") or git("rev-parse", "HEAD", cwd=workspace)


def branch(root: Path) -> str | None:
    """The branch of the project; None on a detached HEAD."""
    return git("symbolic-ref", "--short", "--quiet", "HEAD", cwd=root)


def remote_url(root: Path) -> str | None:
    """The URL of `origin`, without a user's name and password."""
    url = git("remote", "get-url", "origin", cwd=root)
    return re.sub(r"(?<=://)[^/@]*@", "", url) if url else None


def changed_files(workspace: Path, generated: Iterable[str]) -> list[str]:
    """The files that differ from the commit the workspace started from, and the untracked ones.

    Args:
        workspace: The folder to look in.
        generated: Files and folders that the pipeline writes; they do not count.
    """
    ignored = tuple(generated)
    base = commit(workspace)
    tracked = git("diff", "--name-only", "--relative", "-z", base, cwd=workspace) if base else ""
    untracked = git("ls-files", "--others", "--exclude-standard", "-z", cwd=workspace)
    names = {name for name in f"{tracked}\0{untracked or ''}".split("\0") if name}
    return sorted(
        name
        for name in names
        if name not in ignored and not name.startswith(tuple(f"{path}/" for path in ignored))
    )
