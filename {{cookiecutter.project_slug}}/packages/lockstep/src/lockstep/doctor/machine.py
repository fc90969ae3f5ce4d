"""What `lockstep doctor` checks on this machine: git, environment, files, hooks, disk."""

import os
import platform
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from lockstep import LockstepError, __version__, git
from lockstep.doctor.checkup import Finding
from lockstep.dvc.ignored import unignored
from lockstep.dvc.lock import stages_of
from lockstep.files import read_yaml
from lockstep.project import Project
from lockstep.team.commits import uncommitted
from lockstep.workspace import DVC_LOCK, PARAMS, PYPROJECT, UV_LOCK, uv_program

GIGABYTE = 1e9


def versions(project: Project) -> Finding:
    """The version of Lockstep, and of the template that the project was made from."""
    template = project.settings.get("template")
    return Finding("ok", f"glue {__version__}" + (f", template {template}" if template else ""))


def identity(project: Project) -> Finding:
    """Who commits."""
    committer = git.identity(project.root)
    if committer is None:
        return Finding(
            "failed",
            "git does not know who commits",
            [
                'git config --global user.name "Your Name"',
                "git config --global user.email you@example.org",
            ],
        )
    return Finding("ok", committer)


def python(project: Project) -> Finding:
    """Python against `requires-python`."""
    from packaging.specifiers import SpecifierSet

    pyproject = tomllib.loads((project.root / PYPROJECT).read_text(encoding="utf-8"))
    wanted = pyproject.get("project", {}).get("requires-python", "")
    version = platform.python_version()
    if not SpecifierSet(wanted).contains(version, prereleases=True):
        return Finding(
            "failed", f"{version}, but pyproject.toml requires {wanted}", ["uv sync --reinstall"]
        )
    return Finding("ok", f"{version}, as pyproject.toml requires")


def lock(project: Project) -> Finding:
    """pyproject.toml, uv.lock and what is installed."""
    if not (project.root / UV_LOCK).exists():
        return Finding("failed", "there is no uv.lock; the pipeline depends on it", ["uv sync"])
    uv = uv_program()
    if uv is None:
        return Finding("skipped", "uv is not installed, so uv.lock was not checked")
    if not _agrees(project, uv, "lock"):
        return Finding("failed", "uv.lock does not match pyproject.toml", ["uv lock", "uv sync"])
    # The environment that this runs in, which need not be .venv.
    environment = ("--active", "--no-install-workspace", "--inexact", "--frozen")
    if not _agrees(project, uv, "sync", *environment):
        return Finding("failed", "the environment does not match uv.lock", ["uv sync"])
    return Finding("ok", "pyproject.toml, uv.lock and the environment agree")


def hooks(project: Project) -> Finding:
    """Git's hooks, which check each commit and push the data along with the commits."""
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
        values = "; ".join(row.strip() for row in rows if row.startswith("  "))
        # Without --force, it shows how to keep the values, or what is not valid.
        return Finding("failed", f"{title} {values}".rstrip(), ["uv run lockstep compose"])
    if not (project.root / PARAMS).exists():
        return Finding("warning", "conf/ has not been composed yet", ["uv run dvc repro"])
    if changes:
        keys = ", ".join(item.key for item in changes[:5])
        more = ", ..." if len(changes) > 5 else ""
        return Finding("warning", f"conf/ has changed since: {keys}{more}", ["uv run dvc repro"])
    return Finding("ok", f"{PARAMS} matches conf/")


def record(project: Project) -> Finding:
    """dvc.lock, and whether it is committed with the files that it records."""
    if not project.pipeline.locked:
        return Finding("warning", "the pipeline has not run yet", ["uv run dvc repro"])
    if bare := unignored(project.root, project.pipeline):
        return Finding(
            "warning",
            f"git does not ignore {', '.join(bare)}, which DVC keeps: a stage failed",
            ["uv run lockstep publish"],
        )
    # The project's .gitattributes let git keep one side of these files whole.
    if git.git("diff", "--name-only", "--diff-filter=U", cwd=project.root):
        return Finding(
            "failed",
            "a merge is not finished: resolve the conflicts in your own files first; what the "
            "pipeline writes, it makes again",
            ["uv run dvc repro", "git add --all", "git commit"],
        )
    if left := uncommitted(project):
        return Finding(
            "warning",
            f"not committed: {', '.join(left)}",
            [f"git add {' '.join(left)}", "git commit"],
        )
    return Finding("ok", "dvc.lock and the files that it records are committed")


def disk(project: Project) -> Finding:
    """The free space for the project and for DVC's cache."""
    from lockstep.dvc.cache import cache_folder

    cache = cache_folder(project.root)
    folders = {
        "project": project.root,
        "cache": next(p for p in [cache, *cache.parents] if p.exists()),
    }
    free = {name: shutil.disk_usage(path).free for name, path in folders.items()}
    return judge_space(free, _written(project.root))


def judge_space(free: dict[str, int], written: int) -> Finding:
    """Whether there is enough space.

    Args:
        free: The free bytes of each place.
        written: The bytes that a run of the whole pipeline writes, in the project and again in the
            cache.
    """
    text = ", ".join(f"{name}: {size / GIGABYTE:.1f} GB free" for name, size in free.items())
    left = min(free.values())
    cure = ["uv run dvc gc --workspace --all-branches --all-tags --all-experiments"]
    if left < 2 * written:
        return Finding("failed", f"{text}; a run writes {written / GIGABYTE:.1f} GB twice", cure)
    return Finding("warning" if left < GIGABYTE else "ok", text, cure if left < GIGABYTE else [])


def _agrees(project: Project, uv: str, *arguments: str) -> bool:
    """Whether uv would change nothing. What is locked can be checked without the network."""
    done = subprocess.run(
        [uv, *arguments, "--check", "--offline"],
        cwd=project.root,
        env={**os.environ, "VIRTUAL_ENV": sys.prefix},
        capture_output=True,
    )
    return done.returncode == 0


def _is_ours(hook: Path) -> bool:
    """Whether pre-commit, or DVC itself, wrote a hook."""
    text = hook.read_text(encoding="utf-8", errors="replace") if hook.exists() else ""
    return "pre-commit" in text or "dvc git-hook" in text


def _written(root: Path) -> int:
    """The size of what the stages write, in bytes, as dvc.lock records it."""
    try:
        text = (root / DVC_LOCK).read_text(encoding="utf-8")
        stages = stages_of(text, DVC_LOCK).values()
    except (LockstepError, OSError):  # it is missing, or another check tells
        return 0
    return sum(out.get("size", 0) for stage in stages for out in stage.get("outs", []))
