"""`lockstep map`: run a stage once for each new or changed file of a folder."""

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

EXAMPLE = "lockstep map bike_hire.partition data/raw data/table schema.yaml --suffix .parquet"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument("module", help="the module with main(cfg, partition, out, *paths)")
    parser.add_argument("source", type=Path, help="the folder whose files are the partitions")
    parser.add_argument("target", type=Path, help="the folder of their results")
    parser.add_argument("paths", nargs="*", type=Path, help="what all partitions read")
    parser.add_argument("--suffix", default="", help="of the results (that of the partitions)")
    parser.add_argument(
        "--jobs",
        type=_count,
        default=os.cpu_count() or 1,
        metavar="N",
        help="number of processes (default: one per core)",
    )
    parser.add_argument(
        "--tries",
        type=_count,
        default=1,
        metavar="N",
        help="attempts at a partition whose code breaks (%(default)s)",
    )
    parser.add_argument(
        "--leave-out",
        action="store_true",
        help="go on without partitions that fail; by default they stop the stage, after the others",
    )


def run(arguments: Namespace) -> None:
    """Run the verb."""
    from lockstep.dvc.durations import measured
    from lockstep.partitions.mapping import Options, map_partitions

    options = Options(arguments.suffix, arguments.jobs, arguments.tries, arguments.leave_out)
    with measured([arguments.target]):
        map_partitions(
            arguments.module, arguments.source, arguments.target, arguments.paths, options
        )


def _count(text: str) -> int:
    if (count := int(text)) < 1:
        raise ValueError
    return count
