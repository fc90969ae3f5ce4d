"""`lockstep promote`: a version becomes the champion."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

EXAMPLE = "lockstep promote 7"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument(
        "version", nargs="?", help="its number or alias (default: the challenger, the newest one)"
    )
    parser.add_argument("--force", action="store_true", help="promote even if the gate failed")
    parser.add_argument("--reason", help="why; recorded with the version")


def run(arguments: Namespace) -> int:
    """Run the verb."""
    from lockstep.champion.promotion import promote

    return promote(Path.cwd(), arguments.version, force=arguments.force, reason=arguments.reason)
