"""`lockstep pull`: get the commits and data of others."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from lockstep.files import tree_digest
from lockstep.project import Project
from lockstep.team.commits import pull_commits, require_commit
from lockstep.team.route import route_if_any
from lockstep.team.steps import take
from lockstep.values import counted
from lockstep.workspace import UV_LOCK

EXAMPLE = "lockstep pull"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    del parser


def run(arguments: Namespace) -> None:
    """Pull the branch's commits, then their data."""
    del arguments
    # Before the first step: git may replace this package by another version of it.
    from lockstep.dvc.remote import pull_data

    root = Project(Path.cwd()).root
    route = route_if_any(root)
    require_commit(root)
    locked = tree_digest(root / UV_LOCK)

    def compare_environment() -> str:
        changed = tree_digest(root / UV_LOCK) != locked
        return "uv.lock has changed: run `uv sync`" if changed else "uv.lock has not changed"

    def fetch_data() -> str:
        counts = pull_data(root)
        paths = ", ".join(f"{counts[kind]} {kind}" for kind in ("added", "modified", "deleted"))
        return f"{paths}; {counted(counts['fetched'], 'file')} fetched"

    steps = {
        "git": lambda: pull_commits(root, route),
        "environment": compare_environment,
        "data": fetch_data,
    }
    take(steps, "uv run lockstep pull")
