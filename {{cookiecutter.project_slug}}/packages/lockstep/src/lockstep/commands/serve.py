"""`lockstep serve`: answer requests with the champion."""

import re
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from lockstep import LockstepError
from lockstep.serve.settings import TOKEN, Settings, from_environment
from lockstep.workspace import TEMPORARY

EXAMPLE = "lockstep serve --port 8080"
CHAMPION = "champion"
DEFAULTS = Settings()
MEGABYTE = 10**6


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments; each option can also be set by an environment variable."""
    parser.add_argument(
        "model",
        nargs="?",
        help="models:/name@alias, models:/name/3, or a model's folder (default: the champion)",
    )

    def option(name: str, default: Any, text: str) -> None:
        parser.add_argument(
            f"--{name}",
            type=type(default),
            default=from_environment(name, str(default)),
            metavar=type(default).__name__.upper(),
            help=f"{text} (%(default)s)",
        )

    option("host", DEFAULTS.host, "the address to listen at")
    option("port", DEFAULTS.port, "its port, or LOCKSTEP_SERVE_PORT, and so for each option")
    option("poll", DEFAULTS.poll, "seconds between two looks at the alias")
    option("batch-rows", DEFAULTS.batch_rows, "rows that are predicted at once")
    option("max-rows", DEFAULTS.max_rows, "rows of a request")
    option("max-body", DEFAULTS.max_body // MEGABYTE, "megabytes of a request")
    option("max-waiting", DEFAULTS.max_waiting, "requests that wait; more are answered 503")
    option("timeout", DEFAULTS.timeout, "seconds until a request is answered 504")
    parser.add_argument(
        "--refuse-unknown", action="store_true", help="refuse columns that the model does not take"
    )
    parser.add_argument(
        "--no-token", action="store_true", help=f"listen beyond this machine without {TOKEN}"
    )
    parser.add_argument(
        "--allow-code", action="store_true", help="run Python code that comes with the model"
    )
    parser.add_argument(
        "--allow-pickle", action="store_true", help="load a pickle, which may run any code"
    )


def run(arguments: Namespace) -> None:
    """Serve until the process is told to end."""
    from lockstep.serve.run import listening, serve

    settings = Settings(
        host=arguments.host,
        port=arguments.port,
        poll=arguments.poll,
        batch_rows=arguments.batch_rows,
        max_rows=arguments.max_rows,
        max_body=arguments.max_body * MEGABYTE,
        max_waiting=arguments.max_waiting,
        timeout=arguments.timeout,
        refuse_unknown=arguments.refuse_unknown,
        token=from_environment("token", ""),
    )
    with listening(settings, no_token=arguments.no_token) as bound:
        serve(source_of(arguments), settings, bound)


def source_of(arguments: Namespace) -> Any:
    """The model that the words on the command line name; `lockstep predict` has the same."""
    from lockstep.serve.source import Folder, Registry, Trust

    root = Path.cwd()
    word = arguments.model or ""
    if word and not word.startswith("models:"):
        return Folder(Path(word), Trust((), arguments.allow_code, arguments.allow_pickle))
    match = re.fullmatch(r"models:/([^/@]+)(?:@([\w-]+)|/(\d+))", word)
    if word and not match:
        raise LockstepError(f"{word} does not name a model's version: write models:/name@alias")
    from lockstep.gate.comparison_process import estimators_of
    from lockstep.project import Project
    from lockstep.serve.run import copies_folder

    project = Project(root)
    name, *words = match.groups() if match else (project.model_name, CHAMPION)
    store = project.store
    trust = Trust(
        estimators_of(root),
        # The embedded store is as trusted as the folder that it is in.
        code=arguments.allow_code or store.embedded,
        pickle=arguments.allow_pickle,
    )
    return Registry(store, name, next(filter(None, words)), copies_folder(root, TEMPORARY), trust)
