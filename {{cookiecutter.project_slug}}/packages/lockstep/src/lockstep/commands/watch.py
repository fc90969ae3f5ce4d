"""`lockstep watch`: monitor and retrain when data arrive, and by the clock."""

import signal
from argparse import ArgumentParser, Namespace
from pathlib import Path
from types import FrameType

from lockstep import LockstepError
from lockstep.project import Project
from lockstep.retrain.watch import Plan, Watcher
from lockstep.team.route import route_if_any
from lockstep.workspace import one_at_a_time

EXAMPLE = "lockstep watch data/new --every 360"
BUSY = "another `lockstep watch` is running in this project"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument(
        "data",
        nargs="*",
        type=Path,
        help="folders where files arrive: each is judged by `lockstep monitor`, oldest name first",
    )
    parser.add_argument(
        "--every",
        type=float,
        default=60.0,
        metavar="MINUTES",
        help="between two calls of `lockstep retrain` if nothing arrives (%(default)s)",
    )
    parser.add_argument(
        "--poll",
        type=float,
        default=5.0,
        metavar="SECONDS",
        help="between two checks of the folders (%(default)s)",
    )
    parser.add_argument(
        "--remotes",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="between two checks of git's remotes, for commits to pull and new data behind "
        "`dvc import` (%(default)s)",
    )
    parser.add_argument("--push", action="store_true", help="push the result of each retraining")


def run(arguments: Namespace) -> None:
    """Watch until the process is stopped."""
    project = Project(Path.cwd())
    _ = project.pipeline  # fails where there is no project
    if missing := [place.as_posix() for place in arguments.data if not place.exists()]:
        raise LockstepError(f"there is no {', '.join(missing)} to watch")
    options = ["--push"] if arguments.push else []
    route = route_if_any(project.root)
    plan = Plan(
        arguments.data,
        arguments.poll,
        arguments.every * 60,
        arguments.remotes,
        (route.remote, route.ref) if route else None,
        options,
    )
    signal.signal(signal.SIGTERM, _stop)
    with one_at_a_time(project.root, "watch", BUSY):
        print("watching; Ctrl-C stops it", flush=True)
        Watcher(project.root, plan).run()


def _stop(number: int, frame: FrameType | None) -> None:
    """End as after Ctrl-C: the process at work is stopped, too, and can be called again."""
    raise KeyboardInterrupt
