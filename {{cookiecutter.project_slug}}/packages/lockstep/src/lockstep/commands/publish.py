"""`lockstep publish`: the state of the pipeline as a run in MLflow."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

EXAMPLE = "lockstep publish --all"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument(
        "--all",
        action="store_true",
        dest="everything",
        help="publish every state that git and DVC hold and MLflow lacks; no stage runs again",
    )


def run(arguments: Namespace) -> bool:
    """Run the verb."""
    if arguments.everything:
        from lockstep.publish.backfill import publish_all

        return publish_all(Path.cwd()) > 0
    from lockstep.publish.publish import publish

    publish(Path.cwd())
    return False
