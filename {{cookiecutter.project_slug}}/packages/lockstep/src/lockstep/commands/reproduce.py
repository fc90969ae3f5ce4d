"""`lockstep reproduce`: rebuild a run and compare."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

EXAMPLE = "lockstep reproduce models:/penguins@champion"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument(
        "target",
        help="a run's id or name, models:/name@alias, models:/name/3, a DVC experiment or a commit",
    )
    parser.add_argument(
        "--from",
        dest="start",
        metavar="STAGE",
        help="start with this stage, and take the results of earlier ones from DVC",
    )
    parser.add_argument(
        "--current-environment",
        action="store_true",
        help="use the installed packages instead of those of the run's uv.lock",
    )
    parser.add_argument(
        "--checkout-only", action="store_true", help="restore code, data and outputs; run nothing"
    )
    parser.add_argument("--keep", action="store_true", help="keep the worktree")


def run(arguments: Namespace) -> bool:
    """Run the verb."""
    from lockstep.rebuild.reproduce import reproduce

    same = reproduce(
        Path.cwd(),
        arguments.target,
        start=arguments.start,
        current_environment=arguments.current_environment,
        only_restore=arguments.checkout_only,
        keep=arguments.keep,
    )
    return not same
