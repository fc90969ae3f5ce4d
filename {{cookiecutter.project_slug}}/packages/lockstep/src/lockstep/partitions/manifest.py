"""The manifest of a folder of results: which partition each came from, and what it depends on.

It lies among the results, so DVC caches, pushes and restores both together. Its content follows
from the partitions, the code and the params alone: computed step by step or from scratch, the
folder has the same md5.
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from lockstep import LockstepError
from lockstep.files import write_whole

NAME = "_partitions.json"
DRAFTS = ".drafts"  # a folder among the results, while a stage runs


@dataclass(frozen=True)
class Entry:
    """What is known about one partition.

    Attributes:
        md5: That of the partition.
        out: The path of its result, relative to the folder of the results.
        out_md5: That of the result; empty while there is none.
        key: The digest of everything that the result depends on.
        facts: What `main` returned, such as the number of rows.
        problem: Why the partition is left out.
    """

    md5: str
    out: str
    out_md5: str = ""
    key: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""


def partitions_in(folder: Path) -> dict[str, Path]:
    """The files in a folder and below, by their relative path; `.hidden` and `_marked` ones not.

    Raises:
        LockstepError: It is not a folder, or there are none.
    """
    files = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
    }
    found = {name: files[name] for name in sorted(files) if is_partition(name)}
    if not found:
        kind = "has no files" if folder.is_dir() else "is not a folder"
        raise LockstepError(f"{folder.as_posix()} {kind}: each file in it is a partition")
    return found


def is_partition(name: str) -> bool:
    """Whether a relative path names a partition, as Spark and Arrow see it."""
    return not any(part.startswith((".", "_")) for part in PurePosixPath(name).parts)


def read_manifest(folder: Path) -> dict[str, Entry]:
    """The entries of a folder by the name of the partition; none if it has no manifest."""
    try:
        content = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return {name: Entry(**entry) for name, entry in content.items()}


def write_manifest(folder: Path, entries: Mapping[str, Entry]) -> None:
    """Write the manifest, one line per partition; an empty value is left out."""
    lines = []
    for name in sorted(entries):
        entry = {key: value for key, value in asdict(entries[name]).items() if value}
        lines.append(f"{json.dumps(name)}: {json.dumps(entry, sort_keys=True)}")
    write_whole(folder / NAME, "{\n" + ",\n".join(lines) + "\n}\n")


def clean(folder: Path, known: Mapping[str, Entry], outs: Iterable[str]) -> int:
    """Remove the results that are no longer wanted.

    Args:
        known: The entries of the manifest, which lists everything that may be removed.
        outs: The results to keep.

    Returns:
        The number of removed results.

    Raises:
        LockstepError: There are files that no `lockstep map` has written.
    """
    shutil.rmtree(folder / DRAFTS, ignore_errors=True)
    listed, kept = {entry.out for entry in known.values()}, set(outs)
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if not path.is_dir() and name not in listed | {NAME, f".{NAME}.draft"}:
            raise LockstepError(
                f"{path.as_posix()} is not listed in {NAME}: `lockstep map` did not write it\n"
                f"move it elsewhere; or remove {folder.as_posix()}, which is then computed again"
            )
    gone = [name for name in sorted(listed - kept) if (folder / name).exists()]
    for name in gone:
        (folder / name).unlink()
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    return len(gone)
