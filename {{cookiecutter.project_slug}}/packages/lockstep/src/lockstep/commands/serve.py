"""`lockstep serve`: answer requests with the champion."""

import re
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from lockstep import LockstepError
from lockstep.mlflow.uri import parse_model_uri
from lockstep.serve.settings import TOKEN, LogSettings, Settings, from_environment
from lockstep.workspace import TEMPORARY

EXAMPLE = "lockstep serve --port 8080"
PREDICTIONS = "predictions"
DEFAULTS = Settings()
MEGABYTE = 10**6


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments; each option can also be set by an environment variable."""
    parser.add_argument(
        "model",
        nargs="?",
        help="models:/name@alias, models:/name/3, or a model's folder (default: the champion)",
    )

    _option(parser, "host", DEFAULTS.host, "the address to listen on")
    _option(
        parser, "port", DEFAULTS.port, "its port, or LOCKSTEP_SERVE_PORT, and so for each option"
    )
    _option(parser, "poll", DEFAULTS.poll, "seconds between two checks of the alias")
    _option(parser, "max-rows", DEFAULTS.max_rows, "rows of a request")
    _option(parser, "max-body", DEFAULTS.max_body // MEGABYTE, "megabytes of a request")
    _option(
        parser, "max-waiting", DEFAULTS.max_waiting, "requests that wait; more are answered 503"
    )
    _option(parser, "timeout", DEFAULTS.timeout, "seconds until a request is answered 504")
    _option(parser, "workers", DEFAULTS.workers, "processes, for more cores than one")
    _add_second_and_log(parser)
    parser.add_argument(
        "--refuse-unknown", action="store_true", help="refuse columns that the model does not take"
    )
    parser.add_argument(
        "--no-token", action="store_true", help=f"listen beyond this machine without {TOKEN}"
    )
    add_trust(parser)


def add_trust(parser: ArgumentParser) -> None:
    """What a model may contain; `lockstep predict` and `build` have the same."""
    parser.add_argument(
        "--allow-code", action="store_true", help="run Python code that comes with the model"
    )
    parser.add_argument(
        "--allow-pickle", action="store_true", help="load a pickle, which may run any code"
    )
    parser.add_argument(
        "--trust",
        type=lambda text: text.split(","),
        default=[],
        metavar="CLASSES",
        help="classes that the model may contain besides scikit-learn's and those in conf/, with "
        "commas between",
    )


def add_log(parser: ArgumentParser) -> None:
    """Where the log is, for the verbs that read it."""
    parser.add_argument(
        "--log",
        default=from_environment("log", PREDICTIONS),
        metavar="PLACE",
        help="where the answers of `lockstep serve` are kept: a folder, or a URL of an object "
        "store or a database (%(default)s)",
    )


def _add_second_and_log(parser: ArgumentParser) -> None:
    """What serves trying another version, and keeping the answers."""
    parser.add_argument(
        "--log",
        nargs="?",
        const=PREDICTIONS,
        default=from_environment("log", ""),
        metavar="PLACE",
        help="keep the answers in a folder, or at the URL of an object store or a database: "
        f"s3://bucket/path, postgresql://db/name ({PREDICTIONS}/)",
    )
    _option(parser, "log-drop", "", "columns that are not kept, with commas between")
    _option(parser, "log-sample", 1.0, "the share of requests that is kept")
    _option(parser, "log-seconds", 2.0, "seconds between two files: what a killed server loses")
    parser.add_argument(
        "--shadow",
        metavar="ALIAS",
        help="a version that predicts each request besides, for the log and the metrics",
    )
    parser.add_argument(
        "--split",
        metavar="ALIAS=PERCENT",
        help="a version that answers a share of the requests; the header X-Split-Key makes it "
        "always the same ones",
    )


def _option(parser: ArgumentParser, name: str, default: Any, text: str) -> None:
    """An option, which a variable can set, too."""
    parser.add_argument(
        f"--{name}",
        type=type(default),
        default=from_environment(name, str(default)),
        metavar=type(default).__name__.upper(),
        help=f"{text} (%(default)s)" if default != "" else text,
    )


def run(arguments: Namespace) -> None:
    """Serve until the process gets a signal to stop."""
    from lockstep.serve.run import listening, serve

    second, share = _second(arguments)
    settings = Settings(
        host=arguments.host,
        port=arguments.port,
        poll=arguments.poll,
        max_rows=arguments.max_rows,
        max_body=arguments.max_body * MEGABYTE,
        max_waiting=arguments.max_waiting,
        timeout=arguments.timeout,
        refuse_unknown=arguments.refuse_unknown,
        workers=arguments.workers,
        split=share,
        token=from_environment("token", ""),
    )
    with listening(settings, no_token=arguments.no_token) as bound:
        serve(
            source_of(arguments),
            settings,
            bound,
            LogSettings(
                arguments.log,
                {name for name in arguments.log_drop.split(",") if name},
                arguments.log_sample,
                arguments.log_seconds,
            )
            if arguments.log
            else None,
            source_of(arguments, second) if second else None,
        )


def _second(arguments: Namespace) -> tuple[str, float]:
    """The second version, and the share of the requests that it answers."""
    if arguments.shadow and arguments.split:
        raise LockstepError("choose one of --shadow and --split")
    alias, share = arguments.shadow or "", 0.0
    if arguments.split:
        match = re.fullmatch(r"([\w-]+)=(\d+(?:\.\d+)?)%?", arguments.split)
        if not match or not 0 < float(match[2]) <= 100:
            raise LockstepError(f"--split {arguments.split}: write challenger=10 for 10%")
        alias, share = match[1], float(match[2]) / 100
    if not alias:
        return "", 0.0
    name = re.fullmatch(r"models:/([^/@]+)[@/].*", arguments.model or "")
    if arguments.model and not name:
        raise LockstepError("--shadow and --split need a registered model, not a folder")
    from lockstep.project import Project  # a container has neither DVC nor MLflow

    model = name[1] if name else Project(Path.cwd()).model_name
    return f"models:/{model}{'/' if alias.isdecimal() else '@'}{alias}", share


def source_of(arguments: Namespace, word: str = "") -> Any:
    """The model that a word, or else the command line, names; `lockstep predict` has the same."""
    word = word or arguments.model or ""
    from lockstep.serve.source import Folder, Registry, Trust

    root = Path.cwd()
    if word and not word.startswith("models:"):
        return Folder(
            Path(word), Trust(arguments.trust, arguments.allow_code, arguments.allow_pickle)
        )
    named = parse_model_uri(word) if word else None
    from lockstep.champion.alias import CHAMPION
    from lockstep.config.components import estimators_of
    from lockstep.project import Project
    from lockstep.serve.run import copies_folder

    project = Project(root)
    name, version = named or (project.model_name, CHAMPION)
    store = project.store
    trust = Trust(
        {*estimators_of(root), *arguments.trust},
        # The embedded store is as trusted as the folder that it is in.
        code=arguments.allow_code or store.embedded,
        pickle=arguments.allow_pickle,
    )
    return Registry(store, name, version, copies_folder(root, TEMPORARY), trust)
