"""`lockstep models`: the versions of the registered model."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

EXAMPLE = "lockstep models --json"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")
    parser.add_argument(
        "--limit", type=int, default=20, help="number of versions, newest first (%(default)s)"
    )


def run(arguments: Namespace) -> None:
    """Run the verb."""
    from lockstep.champion.models import list_models

    list_models(Path.cwd(), as_json=arguments.as_json, limit=arguments.limit)
