"""`lockstep predict`: the champion's predictions for files of any size."""

import functools
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lockstep import LockstepError
from lockstep.commands.serve import add_trust, source_of
from lockstep.values import counted

if TYPE_CHECKING:
    from lockstep.inference.batch import Part
    from lockstep.inference.version import About, Version
    from lockstep.mlflow.store import Store

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
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="where to predict: here, or on a Ray cluster, whose nodes take a file each and must "
        "reach input, output and this folder (%(default)s)",
    )
    parser.add_argument(
        "--address", help="the Ray cluster's host:port (default: one on this machine)"
    )
    add_trust(parser)


def run(arguments: Namespace) -> None:
    """Predict all parts; those that are complete are not predicted again."""
    if arguments.rows < 1:
        raise LockstepError("--rows must be at least 1")
    from lockstep.inference.batch import parts_of  # imports pandas

    parts = parts_of(arguments.input, arguments.output)
    source = source_of(arguments)
    about = source.wanted()
    version = source.load(about)
    print(f"model: {about}", flush=True)
    total = 0
    for number, (part, count, now) in enumerate(_predicted(parts, version, arguments), 1):
        total += count
        print(
            f"[{number}/{len(parts)}] {part.name}: {counted(count, 'row')}"
            f"{'' if now else ', predicted before'}",
            flush=True,
        )
    print(f"{counted(total, 'row')} in {arguments.output}")
    if about.reproduce:
        print(f"the model can be rebuilt: {about.reproduce}")
    if store := getattr(source, "store", None):
        _publish(store, about, arguments, [part.identity for part in parts], total)


def _predicted(
    parts: "list[Part]", version: "Version", arguments: Namespace
) -> "Iterator[tuple[Part, int, bool]]":
    """Predict each part here, or on a cluster: its rows, and whether it was predicted now."""
    from lockstep.inference.batch import predict_part

    if arguments.engine == "local":
        for part in parts:
            yield part, *predict_part(part, version, arguments.rows, _Progress(part.name))
        return
    from lockstep.sweep.engines import Ray

    task = functools.partial(predict_part, version=version, rows=arguments.rows, told=_silent)
    engine = Ray(arguments.address)
    try:
        for place, (count, now) in engine.map(task, parts):
            yield parts[place], count, now
    finally:
        engine.close()


def _silent(rows: int) -> None:
    """No progress: the cluster's processes print to Ray's logs."""


def _publish(
    store: "Store", about: "About", arguments: Namespace, identities: list[str], rows: int
) -> None:
    """Leave a run in MLflow; without the store, the predictions are complete all the same."""
    from lockstep.publish.predictions import publish_predictions

    try:
        page = publish_predictions(
            store, about, arguments.input, arguments.output, identities, rows
        )
        print(f"run: {page}")
    except LockstepError as error:
        print(f"note: there is no run in MLflow: {error}", file=sys.stderr)


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
