"""The files that DVC keeps, and git has to ignore."""

from pathlib import Path

from lockstep import git
from lockstep.dvc.cache import repo_of
from lockstep.dvc.pipeline import Pipeline
from lockstep.values import overlap


def unignored(root: Path, pipeline: Pipeline) -> list[str]:
    """The cached outs of the stages that git would add.

    When a stage fails, DVC takes back the lines that the same `dvc repro` added to .gitignore, also
    those for the stages that succeeded; a later one skips these, and does not restore the lines
    (`SCMContext.__call__` in dvc/repo/scm_context.py).
    """
    cached = [path for name in pipeline.locked for path in pipeline.stages[name].cached]
    if not cached:
        return []
    listing = ("ls-files", "--others", "--exclude-standard", "-z", "--", *cached)
    found = (git.git(*listing, cwd=root) or "").split("\0")
    return [path for path in cached if overlap(path, filter(None, found))]


def ignore_again(root: Path, pipeline: Pipeline) -> list[str]:
    """Have git ignore these; return them."""
    paths = unignored(root, pipeline)
    if paths:
        scm = repo_of(root.resolve()).scm
        for path in paths:
            scm.ignore(str(root.resolve() / path))
    return paths
