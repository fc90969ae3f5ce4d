"""Git commands; where git or a repository is missing, their result is None."""

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from lockstep import LockstepError
from lockstep.values import without_secrets


def git(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> str | None:
    """The output of a git command, without the last line break; None if it fails.

    The variables in `env` are added to those of this process.
    """
    try:
        return _run(arguments, cwd, env)
    except (OSError, subprocess.CalledProcessError):
        return None


def git_or_fail(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """The output of a git command that has to succeed.

    Raises:
        LockstepError: It failed; the message is git's.
    """
    try:
        return _run(arguments, cwd, env)
    except OSError as error:
        raise LockstepError(f"git cannot be run: {error}") from error
    except subprocess.CalledProcessError as error:
        raise LockstepError(f"git {arguments[0]} failed: {error.stderr.strip()}") from error


def _run(arguments: tuple[str, ...], cwd: Path, env: Mapping[str, str] | None) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=True,
    )
    return done.stdout.rstrip("\n")


def head(workspace: Path) -> str | None:
    """The commit that is checked out; None in a repository without one."""
    return git("rev-parse", "--verify", "--quiet", "HEAD", cwd=workspace)


def branch(root: Path) -> str | None:
    """The branch of the project; None on a detached HEAD."""
    return git("symbolic-ref", "--short", "--quiet", "HEAD", cwd=root)


def identity(root: Path) -> str | None:
    """Who commits, `name <address>`; None if git does not know."""
    committer = git("var", "GIT_COMMITTER_IDENT", cwd=root)
    return committer.rpartition(">")[0] + ">" if committer else None


def remote_url(root: Path) -> str | None:
    """The URL of `origin`, without a user's name and password."""
    url = git("remote", "get-url", "origin", cwd=root)
    return without_secrets(url) if url else None


def prefix(root: Path) -> str:
    """Where the project is within its repository: `models/penguins/`, or empty at the top."""
    return git("rev-parse", "--show-prefix", cwd=root) or ""


def top(root: Path) -> Path:
    """The top folder of the repository's working tree."""
    return Path(git_or_fail("rev-parse", "--show-toplevel", cwd=root))


def lock_files(root: Path) -> list[Path]:
    """The files with which git keeps other processes from changing what it is changing."""
    folders = {
        (root / place).resolve()
        for kind in ("--git-dir", "--git-common-dir")
        if (place := git("rev-parse", kind, cwd=root))
    }
    found = [path for folder in folders for path in folder.glob("*.lock")]
    return sorted([*found, *(path for folder in folders for path in folder.glob("refs/**/*.lock"))])


def extract(root: Path, revision: str, folder: Path) -> Path:
    """Write the files of a commit into an empty folder; the working tree stays as it is.

    Returns:
        The project's folder in it.
    """
    env = {"GIT_INDEX_FILE": str(folder / "index")}
    git_or_fail("read-tree", revision, cwd=root, env=env)
    target = f"--prefix={folder / 'files'}{os.sep}"
    git_or_fail("checkout-index", "--all", target, cwd=top(root), env=env)
    return folder / "files" / prefix(root)


def changed_files(workspace: Path, base: str | None, generated: Iterable[str]) -> list[str]:
    """The files that differ from the commit the workspace started from, and the untracked ones.

    Args:
        base: The commit; None in a repository without one.
        generated: Files and folders that the pipeline writes; they are left out.
    """
    ignored = tuple(generated)
    tracked = git("diff", "--name-only", "--relative", "-z", base, cwd=workspace) if base else ""
    untracked = git("ls-files", "--others", "--exclude-standard", "-z", cwd=workspace)
    names = {name for name in f"{tracked}\0{untracked or ''}".split("\0") if name}
    return sorted(
        name
        for name in names
        if name not in ignored and not name.startswith(tuple(f"{path}/" for path in ignored))
    )


def ask_remote(root: Path, remote: str, seconds: float, ref: str = "HEAD") -> str:
    """Ask a remote for a commit; no terminal or window ever prompts for a password.

    Args:
        ref: `HEAD`, or the full name of a branch.

    Returns:
        The commit's id; empty if the remote has no such ref.

    Raises:
        TimeoutError: It did not answer in time.
        LockstepError: It refused, or cannot be reached; with git's reason.
    """
    env = {**os.environ, "LC_ALL": "C", "GIT_ASKPASS": "", "SSH_ASKPASS": ""}
    env |= {"GIT_TERMINAL_PROMPT": "0", "GCM_INTERACTIVE": "never"}
    if "GIT_SSH" not in env:
        ssh = env.get("GIT_SSH_COMMAND") or git("config", "core.sshCommand", cwd=root) or "ssh"
        if Path(ssh.split()[0]).stem == "ssh":  # not plink, which has no such options
            ssh += f" -o BatchMode=yes -o ConnectTimeout={seconds:.0f}"
        env["GIT_SSH_COMMAND"] = ssh
    try:
        done = subprocess.run(
            ["git", "-c", "credential.interactive=false", "ls-remote", "--quiet", remote, ref],
            cwd=root,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"no answer within {seconds:g} s") from error
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reasons = [line for line in lines if not line.lower().startswith("warning")]
        raise LockstepError((reasons or lines or ["no answer"])[0])
    return done.stdout.partition("\t")[0]
