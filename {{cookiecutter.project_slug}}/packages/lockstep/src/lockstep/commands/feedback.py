"""`lockstep feedback`: true values for the answers that `lockstep serve --log` keeps."""

import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

from lockstep.commands.serve import add_log
from lockstep.values import counted, without_secrets

EXAMPLE = "lockstep feedback labels.csv"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument(
        "file",
        type=Path,
        help="CSV or Parquet with the columns request_id, value, and row for requests of several",
    )
    add_log(parser)


def run(arguments: Namespace) -> None:
    """Add the values of the file to the log; a later one for the same row replaces an earlier."""
    from lockstep.serve.feedback import read_values  # imports pandas
    from lockstep.serve.places import place_of
    from lockstep.serve.records import feedback_table
    from lockstep.serve.settings import FEEDBACK

    log = place_of(arguments.log)
    truths, unknown = read_values(arguments.file, log, time.time())
    log.write(FEEDBACK, feedback_table(truths))
    print(f"{counted(len(truths), 'true value')} added to {without_secrets(arguments.log)}")
    if unknown:
        print(f"left out: {counted(unknown, 'value')} of requests that it does not have")
