"""`lockstep rollback`: back to the previous champion."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from lockstep import LockstepError
from lockstep.champion.alias import CHAMPION, champion_of, history_of, move, number_of
from lockstep.champion.front_page import update_front_page
from lockstep.mlflow.registry import version_called
from lockstep.mlflow.uri import SAME_AGAIN
from lockstep.project import Project

EXAMPLE = "lockstep rollback --reason 'wrong answers on holidays'"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument("--reason", help="why; recorded with the version")


def run(arguments: Namespace) -> int:
    """Return to the previous champion, at once and without a gate.

    This undoes the last promotion; a second rollback undoes the one before that, and so on. To go
    forward again, promote. If two people roll back at the same moment, only one rollback is done.

    Returns:
        0 on success; 1 if somebody else moved the champion in the meantime.

    Raises:
        LockstepError: There was no earlier champion.
    """
    project = Project(Path.cwd())
    name = project.model_name
    with project.store.errors_explained(SAME_AGAIN):
        client = project.store.client()
        current = number_of(champion_of(client, name))
        earlier = [number for number in history_of(client, name) if number != current]
        if not earlier:
            raise LockstepError(
                f"{name} has no earlier champion to return to\n`uv run lockstep models` lists its "
                "versions, `uv run lockstep promote VERSION` promotes one"
            )
        version = version_called(client, name, earlier[-1])
        moved = move(client, project.root, version, current, reason=arguments.reason, back=True)
        update_front_page(client, project)
    if not moved:
        print(
            "not rolled back: somebody else moved the champion meanwhile\n"
            "`uv run lockstep models` shows the new one"
        )
        return 1
    print(f"{name}: {CHAMPION} is version {version.version} again, previously {current}")
    return 0
