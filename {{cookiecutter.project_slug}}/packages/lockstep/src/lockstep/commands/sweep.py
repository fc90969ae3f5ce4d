"""`lockstep sweep`: many trials of the train stage."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

EXAMPLE = "lockstep sweep 'model=choice(logistic,random_forest)' sweep.n_trials=100"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="override",
        help="in Hydra's grammar: a value holds for all trials; a choice(...), range(...) or "
        "interval(...) is searched, in addition to the space in conf/sweep/",
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--resume", action="store_true", help="continue the newest sweep")
    action.add_argument(
        "--apply", metavar="TRIAL", help="run the pipeline with a trial, by number or `best`"
    )


def run(arguments: Namespace) -> None:
    """Run the verb."""
    from lockstep.sweep import apply, command

    if arguments.apply:
        apply.apply(Path.cwd(), arguments.words, arguments.apply)
    elif arguments.resume:
        command.resume(Path.cwd(), arguments.words)
    else:
        command.sweep(Path.cwd(), arguments.words)
