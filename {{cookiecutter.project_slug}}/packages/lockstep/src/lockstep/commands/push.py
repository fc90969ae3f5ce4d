"""`lockstep push`: share data, commits and runs."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

EXAMPLE = "lockstep push --dry-run"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument("--dry-run", action="store_true", help="only show what would be pushed")
    parser.add_argument(
        "--experiments", action="store_true", help="push DVC's experiments and their data, too"
    )
    parser.add_argument(
        "--outgoing-data",
        action="store_true",
        help="push only the data of the commits that `git push` is about to send (pre-push hook)",
    )


def run(arguments: Namespace) -> None:
    """Run the verb."""
    from lockstep.team import sync

    if arguments.outgoing_data:
        sync.push_outgoing_data(Path.cwd())
    else:
        sync.push(Path.cwd(), experiments=arguments.experiments, dry_run=arguments.dry_run)
