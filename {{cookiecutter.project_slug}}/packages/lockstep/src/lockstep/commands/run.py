"""`lockstep run`: run one stage of the pipeline."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

EXAMPLE = "lockstep run bike_hire.validate data/table.parquet schema.yaml reports/validation.json"


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
