"""`lockstep run`: run one stage of the pipeline."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

EXAMPLE = "lockstep run penguins.split data/table.parquet data/train.parquet data/test.parquet"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument("module", help="the module with main(cfg, *paths)")
    parser.add_argument("paths", nargs="*", type=Path, help="passed to main()")


def run(arguments: Namespace) -> None:
    """Run the verb."""
    from lockstep.dvc.durations import measured
    from lockstep.stage import run_stage

    with measured(arguments.paths):
        run_stage(arguments.module, arguments.paths)
