"""`lockstep map`: compute the partitions that are new or changed, and keep the other results."""

import importlib
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from omegaconf import OmegaConf

from lockstep import LockstepError
from lockstep.files import file_digest, tree_digest
from lockstep.garbage import importing
from lockstep.partitions.compute import Outcome, Task, compute_all
from lockstep.partitions.manifest import (
    DRAFTS,
    Entry,
    clean,
    partitions_in,
    read_manifest,
    write_manifest,
)
from lockstep.stage import params_of, running_stage, unlisted_params_explained
from lockstep.values import counted, digest, first_line, nearest, overlap

EXCLUDE = "data.exclude"  # the param with the names of partitions to leave out
SAVE_SECONDS = 5.0  # of work that a kill may cost
IN_FULL = 3  # partitions that fail, whose whole message is shown
LISTED = 20


@dataclass(frozen=True)
class Options:
    """How `lockstep map` works.

    Attributes:
        suffix: That of the results; empty for the partition's own.
        jobs: The number of processes.
        tries: How often a partition is computed whose code breaks.
        leave_out: Whether a partition that fails is left out, and not refused.
    """

    suffix: str = ""
    jobs: int = 1
    tries: int = 1
    leave_out: bool = False


def map_partitions(
    module: str, source: Path, target: Path, paths: list[Path], options: Options
) -> None:
    """Call `main(cfg, partition, out, *paths)` for each new or changed file of a folder.

    If the module has `prepare(cfg, folder, partitions, *paths)`, it is called first, and may write
    what `paths` names. A result is kept if nothing has changed that it depends on: the partition,
    `paths`, and the stage's other deps and params in dvc.yaml.

    Args:
        source: The folder of the partitions.
        target: The folder of the results; that of a partition has the same relative path.

    Raises:
        LockstepError: A partition failed; the results of the others are kept.
    """
    if overlap(source.as_posix(), [target.as_posix()]):
        raise LockstepError(f"{source.as_posix()} and {target.as_posix()} must be two folders")
    stage, workspace = running_stage("map", module)
    cfg = params_of(stage, workspace)
    task = Task(stage, workspace, cfg, module, source, paths, options.tries)
    partitions = _without_excluded(partitions_in(source), OmegaConf.select(cfg, EXCLUDE) or ())
    outs = _outs(partitions, options.suffix)
    shared = _shared(task, _prepared(task, partitions))
    with ThreadPoolExecutor(options.jobs) as threads:
        md5s = dict(zip(partitions, threads.map(file_digest, partitions.values()), strict=True))
    wanted = {name: Entry(md5, outs[name], key=digest([shared, md5])) for name, md5 in md5s.items()}
    target.mkdir(parents=True, exist_ok=True)
    known = read_manifest(target)
    removed = clean(target, known, outs.values())
    kept = _kept(target, known, wanted, options.jobs)
    todo = [name for name in partitions if name not in kept]
    print(
        f"{counted(len(partitions), 'partition')}: {len(todo)} to compute, {len(kept)} unchanged"
        + (f", {removed} removed" if removed else ""),
        flush=True,
    )
    work = {name: (partitions[name], target / DRAFTS / outs[name]) for name in todo}
    bad = _compute(task, work, wanted, kept, target, options.jobs)
    if bad and (not options.leave_out or len(bad) == len(partitions)):
        raise LockstepError(_refusal(bad, source))
    for name, problem in bad.items():
        print(f"left out: {name}: {first_line(problem)}")


def _without_excluded(partitions: dict[str, Path], excluded: Iterable[str]) -> dict[str, Path]:
    """The partitions that `data.exclude` does not name; it has names and patterns such as `2013-*`.

    Raises:
        LockstepError: It names none of the partitions, or all.
    """
    left = dict(partitions)
    for pattern in excluded:
        named = [name for name in partitions if fnmatchcase(name, pattern)]
        if not named:
            raise LockstepError(
                f"{EXCLUDE}: there is no partition {pattern!r}{nearest(pattern, partitions)}\n"
                "correct it, or remove it from the list"
            )
        for name in named:
            left.pop(name, None)
    if not left:
        raise LockstepError(f"{EXCLUDE} leaves no partition: remove names from the list")
    return left


def _outs(partitions: Iterable[str], suffix: str) -> dict[str, str]:
    """The path of the result of each partition."""
    names: dict[str, str] = {}
    for name in partitions:
        plain = PurePosixPath(name.removesuffix(".gz"))
        out = str(plain.with_suffix(suffix)) if suffix else name
        if other := names.get(out):
            raise LockstepError(f"{other} and {name} have the same result, {out}: rename one")
        names[out] = name
    return {name: out for out, name in names.items()}


def _prepared(task: Task, partitions: Mapping[str, Path]) -> Path:
    """Import the module and call its `prepare`, if it has one; the file of the module."""
    with importing():
        code = importlib.import_module(task.module)
    if hasattr(code, "prepare"):
        with unlisted_params_explained(task.stage.name):
            code.prepare(task.cfg, task.source, list(partitions.values()), *task.paths)
    return Path(str(code.__file__))


def _shared(task: Task, code: Path) -> str:
    """A digest of what all results depend on."""
    source = Path(os.path.relpath(task.source, task.workspace)).as_posix()
    files = {dep: task.workspace / dep for dep in task.stage.deps if not overlap(dep, [source])}
    params: Any = OmegaConf.to_container(task.cfg)
    section, _, key = EXCLUDE.partition(".")
    params.get(section, {}).pop(key, None)  # to leave one out does not change the others
    files |= {path.as_posix(): path for path in task.paths}
    read = {name: tree_digest(path) for name, path in files.items()}
    return digest([task.module, file_digest(code), read, params])  # wherever the project is


def _kept(
    target: Path, known: Mapping[str, Entry], wanted: Mapping[str, Entry], jobs: int
) -> dict[str, Entry]:
    """The entries that still hold, down to the bytes of the result."""
    same = [
        entry
        for name, entry in known.items()
        if name in wanted and entry.key == wanted[name].key and entry.out == wanted[name].out
    ]
    with ThreadPoolExecutor(jobs) as threads:
        md5s = list(threads.map(tree_digest, [target / entry.out for entry in same]))
    names = {entry.out: name for name, entry in wanted.items()}
    return {
        names[entry.out]: entry
        for entry, md5 in zip(same, md5s, strict=True)
        if md5 == entry.out_md5
    }


def _compute(
    task: Task,
    work: Mapping[str, tuple[Path, Path]],
    wanted: Mapping[str, Entry],
    kept: Mapping[str, Entry],
    target: Path,
    jobs: int,
) -> dict[str, str]:
    """Compute partitions and keep the manifest; returns the problem of each that failed.

    The manifest lists every result before it is written, and says nothing of what it depends on
    until it is: after a kill, whatever is in the folder is known, and only finished results count.
    """
    entries = {name: replace(entry, key="") for name, entry in wanted.items()} | dict(kept)
    write_manifest(target, entries)
    bad: dict[str, str] = {}
    saved = time.monotonic()
    try:
        for done, (name, outcome) in enumerate(compute_all(task, work, jobs), start=1):
            for line in outcome.output.splitlines():
                print(f"{name}: {line}", flush=True)
            entries[name] = _placed(wanted[name], outcome, work[name][1], target)
            if outcome.problem:
                bad[name] = outcome.problem
            if time.monotonic() - saved > SAVE_SECONDS:
                write_manifest(target, entries)
                print(f"{done} of {len(work)}", flush=True)
                saved = time.monotonic()
    finally:
        shutil.rmtree(target / DRAFTS, ignore_errors=True)
        write_manifest(target, entries)
    return {name: bad[name] for name in sorted(bad)}


def _placed(entry: Entry, outcome: Outcome, draft: Path, target: Path) -> Entry:
    """Put a result in its place; what the manifest says about it."""
    out = target / entry.out
    if outcome.problem:
        out.unlink(missing_ok=True)
        return replace(entry, key="", problem=first_line(outcome.problem))
    md5 = file_digest(draft)
    out.parent.mkdir(parents=True, exist_ok=True)
    draft.replace(out)  # which may be a link into DVC's cache
    return replace(entry, out_md5=md5, facts=outcome.facts)


def _refusal(bad: Mapping[str, str], source: Path) -> str:
    """What failed, and what to do."""
    lines = [f"{counted(len(bad), 'partition')} of {source.as_posix()} failed:"]
    for number, (name, problem) in enumerate(list(bad.items())[:LISTED]):
        shown = problem if number < IN_FULL else first_line(problem)
        lines.append(f"{name}: " + shown.replace("\n", "\n  "))
    if len(bad) > LISTED:
        lines.append(f"... and {len(bad) - LISTED} more")
    return "\n".join(
        [*lines, f"the other results are kept; fix the files, or add their names to {EXCLUDE}"]
    )
