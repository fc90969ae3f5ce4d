"""`lockstep predict`: the champion's predictions for files of any size."""

import sys
import time
from argparse import ArgumentParser, Namespace

from lockstep import LockstepError
from lockstep.commands.serve import add_trust, source_of
from lockstep.values import counted

EXAMPLE = "lockstep predict new.parquet predictions.parquet"
ROWS = 100_000
SECONDS = 2.0  # between two lines about the progress


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument(
        "input", help="CSV or Parquet: a file, a folder or a pattern, as a path or a URL (s3://…)"
    )
    parser.add_argument(
        "output",
        help="a .parquet or .csv file; or a folder, which gets a file for each one of the input",
    )
    parser.add_argument(
        "--model", help="models:/name@alias, models:/name/3, or a folder (default: the champion)"
    )
    parser.add_argument(
        "--rows", type=int, default=ROWS, help="rows in memory at once (%(default)s)"
    )
    add_trust(parser)


def run(arguments: Namespace) -> None:
    """Predict all parts; those that are complete are not predicted again."""
    if arguments.rows < 1:
        raise LockstepError("--rows must be at least 1")
    from lockstep.inference.batch import parts_of, predict_part  # imports pandas

    parts = parts_of(arguments.input, arguments.output)
    source = source_of(arguments)
    version = source.load(source.wanted())
    print(f"model: {version.about}", flush=True)
    total = 0
    for number, part in enumerate(parts, 1):
        name = f"[{number}/{len(parts)}] {part.source.rpartition('/')[2]}"
        count, now = predict_part(part, version, arguments.rows, _Progress(name))
        total += count
        print(f"{name}: {counted(count, 'row')}{'' if now else ', predicted before'}", flush=True)
    print(f"{counted(total, 'row')} in {arguments.output}")
    if version.about.reproduce:
        print(f"the model can be rebuilt: {version.about.reproduce}")


class _Progress:
    """Shows the rows of a part that are done, every few seconds; nothing if the part is short."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rows = 0
        self._start = self._shown = time.monotonic()

    def __call__(self, rows: int) -> None:
        """Take note of more rows."""
        self._rows += rows
        now = time.monotonic()
        if now - self._shown > SECONDS:
            self._shown = now
            speed = self._rows / (now - self._start)
            print(f"{self._name}: {self._rows:,} rows, {speed:,.0f} a second", file=sys.stderr)
