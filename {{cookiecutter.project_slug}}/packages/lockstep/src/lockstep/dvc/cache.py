"""Data by DVC's md5, from its cache or its remote.

DVC's public API finds data by path and revision only. By md5, even of what was never committed,
only its internals do; they are used here and in `remote`.
"""

import contextlib
import functools
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep import LockstepError
from lockstep.dvc.command import run_dvc
from lockstep.values import first_line

if TYPE_CHECKING:
    from dvc.repo import Repo


def cache_folder(root: Path) -> Path:
    """The folder of DVC's cache, as the project configures it."""
    return Path(repo_of(root.resolve()).cache.local.path).parent.parent


def link_type(root: Path) -> str:
    """How DVC puts a file of its cache into the workspace: the first configured type that works.

    Returns:
        `reflink`, `hardlink`, `symlink` or `copy`; empty while there is no cache.
    """
    from dvc_objects.fs.generic import test_links

    repo = repo_of(root.resolve())
    cache = repo.cache.local
    if not cache.fs.exists(cache.path):
        return ""
    links = test_links(cache.cache_types, cache.fs, cache.path, repo.fs, repo.root_dir)
    return str(next(iter(links), ""))


def share_cache(root: Path, copy: Path, env: Mapping[str, str]) -> None:
    """Give a copy of the project the project's cache and local settings."""
    local = Path(".dvc", "config.local")
    if (root / local).exists():
        shutil.copyfile(root / local, copy / local)
    cache = str(cache_folder(root).resolve())
    with contextlib.suppress(ValueError):  # on another drive of Windows
        # DVC can write ASCII only, which the folders above both may not be.
        cache = os.path.relpath(cache, copy.resolve())
    run_dvc("config", "--local", "cache.dir", cache, cwd=copy, env=env, quiet=True)


def fetch(root: Path, md5: str, target: Path) -> None:
    """Copy a file or folder out of DVC's cache, fetched from the remote if the cache lacks it.

    Args:
        md5: As in dvc.lock; that of a folder ends with `.dir`.
        target: The path to write.

    Raises:
        LockstepError: Neither DVC's cache nor its remote has it.
    """
    repo = repo_of(root.resolve())
    _require(repo, [md5])
    target.parent.mkdir(parents=True, exist_ok=True)
    if not md5.endswith(".dir"):
        shutil.copyfile(repo.cache.local.oid_to_path(md5), target)
        return
    listed = Path(repo.cache.local.oid_to_path(md5)).read_text(encoding="utf-8")
    files = {target / entry["relpath"]: entry["md5"] for entry in json.loads(listed)}
    _require(repo, files.values())
    for file, content in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(repo.cache.local.oid_to_path(content), file)


def fetch_missing(root: Path, outs: Mapping[str, str], folder: Path) -> None:
    """Copy the outs of a pipeline that a copy of the project lacks out of DVC's cache.

    Args:
        outs: Their md5, by path.
        folder: The copy of the project.

    Raises:
        LockstepError: Neither DVC's cache nor its remote has one of them.
    """
    for path, md5 in outs.items():
        if not (folder / path).exists():
            try:
                fetch(root, md5, folder / path)
            except LockstepError as error:
                raise LockstepError(f"{path}: {error}") from error


def changed_data(root: Path) -> dict[str, str]:
    """The data that differ from what their .dvc files record: path -> .dvc file."""
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        return {
            Path(out.fs_path).relative_to(repo.root_dir).as_posix(): Path(stage.path)
            .relative_to(repo.root_dir)
            .as_posix()
            for stage in repo.index.stages
            if stage.is_data_source
            for out in stage.outs
            if out.is_in_repo and out.exists and out.changed_checksum()
        }


@functools.cache
def repo_of(root: Path) -> "Repo":
    """DVC's own view of a project, whose root is a resolved path."""
    from dvc.repo import Repo

    return Repo(str(root))


def _require(repo: "Repo", md5s: Iterable[str]) -> None:
    """Fetch the objects that the cache lacks."""
    from dvc.exceptions import DvcException
    from dvc_data.hashfile.hash_info import HashInfo

    cache = repo.cache.local
    missing = [md5 for md5 in md5s if not cache.exists(md5)]
    if not missing:
        return
    reason = "neither DVC's cache nor its remote has them"
    try:
        repo.cloud.pull([HashInfo("md5", md5) for md5 in missing])
    except (DvcException, OSError) as error:
        reason = f"DVC's cache does not have them, and its remote failed: {first_line(error)}"
    if absent := [md5 for md5 in missing if not cache.exists(md5)]:
        raise LockstepError(
            f"data are missing ({', '.join(absent)}): {reason}\n"
            "whoever has them can run `uv run dvc push`"
        )
