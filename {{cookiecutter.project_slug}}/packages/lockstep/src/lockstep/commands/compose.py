"""`lockstep compose`: conf/ to params.yaml."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

EXAMPLE = "lockstep compose --force"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument(
        "--force",
        action="store_true",
        help="discard what params.yaml holds beyond conf/ (a hand edit, an applied experiment)",
    )


def run(arguments: Namespace) -> None:
    """Run the verb."""
    from lockstep.config.compose import compose_params

    compose_params(Path.cwd(), force=arguments.force)
