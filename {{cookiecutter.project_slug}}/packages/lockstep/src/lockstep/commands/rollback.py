"""`lockstep rollback`: back to the previous champion."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

EXAMPLE = "lockstep rollback --reason 'wrong answers for Torgersen'"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument("--reason", help="why; recorded with the version")


def run(arguments: Namespace) -> int:
    """Run the verb."""
    from lockstep.champion.promotion import rollback

    return rollback(Path.cwd(), arguments.reason)
