"""What `lockstep doctor` looks at on this machine: git, environment, files, hooks, disk."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from lockstep import LockstepError, git
from lockstep.doctor.checkup import Finding, Project
from lockstep.files import read_yaml
from lockstep.workspace import PARAMS

GIGABYTE = 1e9


def identity(project: Project) -> Finding:
    """Who commits."""
    told = git.git("var", "GIT_COMMITTER_IDENT", cwd=project.root)
    if told is None:
        return Finding(
            "failed",
            "git does not know who commits",
            [
                'git config --global user.name "Your Name"',
                "git config --global user.email you@example.org",
            ],
        )
    return Finding("ok", told.rpartition(" <")[0])


def python(project: Project) -> Finding:
    """Python against `requires-python`."""
    from packaging.specifiers import SpecifierSet

    wanted = _pyproject(project).get("requires-python", "")
    version = platform.python_version()
    if not SpecifierSet(wanted).contains(version, prereleases=True):
        return Finding(
            "failed", f"{version}, but pyproject.toml asks for {wanted}", ["uv sync --reinstall"]
        )
    return Finding("ok", f"{version}, as pyproject.toml asks for")


def lock(project: Project) -> Finding:
    """pyproject.toml, uv.lock and what is installed."""
    if not (project.root / "uv.lock").exists():
        return Finding("failed", "there is no uv.lock, on which the pipeline depends", ["uv sync"])
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        return _compared_with_lock(project.root)
    if not _agrees(project, uv, "lock"):
        return Finding(
            "failed", "uv.lock is not what pyproject.toml asks for", ["uv lock", "uv sync"]
        )
    # The environment that this runs in, which need not be .venv.
    environment = ("--active", "--no-install-project", "--inexact", "--frozen")
    if not _agrees(project, uv, "sync", *environment):
        return Finding("failed", "the environment is not what uv.lock says", ["uv sync"])
    return Finding("ok", "pyproject.toml, uv.lock and the environment agree")


def hooks(project: Project) -> Finding:
    """Git's hooks, which check what is committed and keep a push from leaving data behind."""
    config = read_yaml(project.root / ".pre-commit-config.yaml") or {}
    wanted = config.get("default_install_hook_types", ["pre-commit"])
    folder = git.git_or_fail("rev-parse", "--git-path", "hooks", cwd=project.root)
    missing = [name for name in wanted if not _is_ours(project.root / folder / name)]
    if missing:
        return Finding(
            "warning", f"not installed: {', '.join(missing)}", ["uv run pre-commit install"]
        )
    return Finding("ok", ", ".join(wanted))


def params(project: Project) -> Finding:
    """params.yaml against conf/."""
    from lockstep.config.params import pending_changes

    try:
        changes = pending_changes(project.root)
    except LockstepError as error:
        title, *rows = str(error).splitlines()
        found = "; ".join(row.strip() for row in rows if row.startswith("  "))
        # Without --force, it tells how to keep the values; what is not valid it only names.
        return Finding("failed", f"{title} {found}", ["uv run lockstep compose"])
    if not (project.root / PARAMS).exists():
        return Finding("warning", "conf/ was not composed yet", ["uv run dvc repro"])
    if changes:
        keys = ", ".join(item.key for item in changes[:5])
        more = ", ..." if len(changes) > 5 else ""
        return Finding("warning", f"conf/ has changed since: {keys}{more}", ["uv run dvc repro"])
    return Finding("ok", f"{PARAMS} is what conf/ composes to")


def record(project: Project) -> Finding:
    """dvc.lock, and whether it is committed with what it stands for."""
    from lockstep.team.sync import uncommitted

    if not (project.root / "dvc.lock").exists():
        return Finding("warning", "the pipeline has not run yet", ["uv run dvc repro"])
    if left := uncommitted(project.root):
        return Finding(
            "warning",
            f"not committed: {', '.join(left)}",
            [f"git add {' '.join(left)}", "git commit"],
        )
    return Finding("ok", "dvc.lock is committed, with the files that it stands for")


def disk(project: Project) -> Finding:
    """The space that is left for the project and for DVC's cache."""
    from lockstep.dvc.cache import cache_folder

    cache = cache_folder(project.root)
    folders = {
        "project": project.root,
        "cache": next(p for p in [cache, *cache.parents] if p.exists()),
    }
    free = {name: shutil.disk_usage(path).free for name, path in folders.items()}
    return judged_space(free, _written(project.root))


def judged_space(free: dict[str, int], written: int) -> Finding:
    """Whether the space suffices.

    Args:
        free: The bytes left, by what they are for.
        written: The bytes that one run of the whole pipeline writes, there and in the cache.
    """
    text = ", ".join(f"{name}: {size / GIGABYTE:.1f} GB free" for name, size in free.items())
    left = min(free.values())
    cure = ["uv run dvc gc --workspace --all-branches --all-tags --all-experiments"]
    if left < 2 * written:
        return Finding("failed", f"{text}; a run writes {written / GIGABYTE:.1f} GB, twice", cure)
    return Finding("warning" if left < GIGABYTE else "ok", text, cure if left < GIGABYTE else [])


def _pyproject(project: Project) -> dict[str, Any]:
    text = (project.root / "pyproject.toml").read_text(encoding="utf-8")
    settings: dict[str, Any] = tomllib.loads(text).get("project", {})
    return settings


def _agrees(project: Project, uv: str, *arguments: str) -> bool:
    """Whether uv would change nothing; without the network, as what is locked needs none."""
    done = subprocess.run(
        [uv, *arguments, "--check", "--offline"],
        cwd=project.root,
        env={**os.environ, "VIRTUAL_ENV": sys.prefix},
        capture_output=True,
    )
    return done.returncode == 0


def _compared_with_lock(root: Path) -> Finding:
    """The check without uv: the packages that are installed against their locked versions."""
    locked: dict[str, set[str]] = {}
    for package in tomllib.loads((root / "uv.lock").read_text(encoding="utf-8"))["package"]:
        locked.setdefault(package["name"], set()).add(package.get("version", ""))
    other = [
        f"{name} {version}"
        for name, versions in locked.items()
        if (version := _installed(name)) and version not in versions
    ]
    if other:
        return Finding("failed", f"not as uv.lock says: {', '.join(other)}", ["uv sync"])
    return Finding("ok", "what is installed is as uv.lock says")


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _is_ours(hook: Path) -> bool:
    """Whether pre-commit, or DVC itself, wrote a hook."""
    text = hook.read_text(encoding="utf-8", errors="replace") if hook.exists() else ""
    return "pre-commit" in text or "dvc git-hook" in text


def _written(root: Path) -> int:
    """The size of what the stages write, in bytes, as dvc.lock has it."""
    stages = (read_yaml(root / "dvc.lock") or {}).get("stages", {}).values()
    return sum(out.get("size", 0) for stage in stages for out in stage.get("outs", []))
