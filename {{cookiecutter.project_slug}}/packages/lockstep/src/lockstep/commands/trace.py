"""`lockstep trace`: where a run, a model or a file came from."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

EXAMPLE = "lockstep trace data/raw.csv"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument(
        "target", help="a run's id or name, models:/name@alias, models:/name/3, or a file"
    )
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")


def run(arguments: Namespace) -> None:
    """Run the verb."""
    from lockstep.lineage.trace import trace

    trace(Path.cwd(), arguments.target, as_json=arguments.as_json)
