"""`lockstep pull`: the commits and data of others."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

EXAMPLE = "lockstep pull"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    del parser


def run(arguments: Namespace) -> None:
    """Run the verb."""
    del arguments
    from lockstep.team.sync import pull

    pull(Path.cwd())
