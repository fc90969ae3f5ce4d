"""`lockstep compose`: compose conf/ into params.yaml."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

EXAMPLE = "lockstep compose --force"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument(
        "--force",
        action="store_true",
        help="discard the values in params.yaml that differ from conf/: hand edits, experiments",
    )


def run(arguments: Namespace) -> None:
    """Run the verb."""
    from lockstep.config.params import compose_params
    from lockstep.dvc.durations import measured
    from lockstep.workspace import COMPOSED

    with measured([Path(COMPOSED)]):
        compose_params(Path.cwd(), force=arguments.force)
