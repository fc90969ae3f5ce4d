"""`lockstep monitor`: compare new data with what the champion was trained and tested on."""

import contextlib
import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep.champion.alias import CHAMPION
from lockstep.config.group import settings_of_group
from lockstep.mlflow.uri import CHECK_ADDRESS
from lockstep.monitor.settings import Settings
from lockstep.project import Project
from lockstep.serve.parquet import TRIES
from lockstep.terminal import show, table
from lockstep.values import counted, digest, number

if TYPE_CHECKING:
    from lockstep.monitor.history import History
    from lockstep.monitor.result import Monitor, Result

EXAMPLE = "lockstep monitor data/2011-07.csv"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument(
        "data",
        nargs="+",
        type=Path,
        help="a window of data, or several, the oldest first: each a CSV or Parquet file, or a "
        "folder of them",
    )
    parser.add_argument(
        "--version", default=CHAMPION, help="a version's number or alias (%(default)s)"
    )
    parser.add_argument(
        "--each",
        action="store_true",
        help="in a folder, each file is a window, in alphabetic order; in a log, each day",
    )
    parser.add_argument(
        "--rows", type=int, metavar="N", help="only the newest N rows of each window"
    )
    parser.add_argument(
        "-o", "--output", type=Path, help="a folder to write: the results, and report.html"
    )
    parser.add_argument(
        "--exit-zero", action="store_true", help="succeed after an alarm, too, as a DVC stage must"
    )
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")


def run(arguments: Namespace) -> int:
    """Judge the windows; the exit code is 1 if the newest is an alarm."""
    project = Project(Path.cwd())
    with project.store.errors_explained(CHECK_ADDRESS):
        # These import pandas and scikit-learn.
        from lockstep.monitor.history import PAGE, History
        from lockstep.monitor.output import write
        from lockstep.monitor.reference import reference_of
        from lockstep.monitor.report import report
        from lockstep.monitor.result import Monitor
        from lockstep.monitor.window import files_of, parts_of

        # A mistyped name should not cost the wait for the others.
        divided = parts_of if arguments.each else files_of
        found = {source: divided(source) for source in arguments.data}
        sources = [part for parts in found.values() for part in parts] if arguments.each else found
        client = project.store.client()
        settings = settings_of_group(project.workspace, "monitor", Settings)
        monitor = Monitor(reference_of(client, project, arguments.version), settings)
        history = History(client, project, monitor.reference)
        results = [_judged(source, arguments.rows, monitor, history) for source in sources]
        if arguments.output:
            write(arguments.output, results, report(history.name, results))
    if arguments.as_json:
        print(json.dumps(results, indent=2, ensure_ascii=False))
    else:
        _show(results, monitor.reference.metrics[0])
        if arguments.output:
            print(f"\nwrote {(arguments.output / PAGE).as_posix()}")
        print(f"\nall windows: {history.store.page(history.page)}")
    return int(results[-1]["verdict"] == "alarm" and not arguments.exit_zero)


def _judged(source: Path, newest: int | None, monitor: "Monitor", history: "History") -> "Result":
    """The result of a window, which may be a log that a server writes to."""
    for _ in range(TRIES - 1):
        with contextlib.suppress(FileNotFoundError):  # it has just merged small files
            return _judge(source, newest, monitor, history)
    return _judge(source, newest, monitor, history)


def _judge(source: Path, newest: int | None, monitor: "Monitor", history: "History") -> "Result":
    """The result of a window: from an earlier call, or new, and then sent to the channels."""
    from lockstep.monitor.notify import news, notify
    from lockstep.monitor.result import verdict
    from lockstep.monitor.window import digest_of

    settings, version = monitor.settings, monitor.reference.number
    identity = digest([digest_of(source), newest, vars(settings), monitor.rules])
    if known := history.find(identity):
        return known
    judged = monitor.judge(monitor.read(source, newest))
    earlier = history.newest(settings.of)
    result = {"window": source.as_posix(), "verdict": verdict(judged, earlier, settings), **judged}
    history.add(identity, result)
    message = news(result, earlier)
    if message and (problem := notify(f"{history.name}, version {version}", message)):
        print(f"note: {problem}", file=sys.stderr)
    return result


def _show(results: "list[Result]", metric: str) -> None:
    """A line for each window, and what was found in the newest."""
    rows = []
    for result in results:
        measured = {item["metric"]: item for item in result["performance"]}
        deciding = measured.get(metric, {})
        rows.append(
            (
                result["window"],
                str(result["rows"]),
                result["verdict"],
                number(deciding.get("now")),
                number(deciding.get("estimated")),
                number(deciding.get("before")),
                counted(len(result["findings"]), "finding"),
            )
        )
    headings = ("window", "rows", "verdict", metric, "estimated", "on test rows", "")
    show(table(headings, rows, numeric=headings[1:2] + headings[3:6]))
    newest = results[-1]
    if newest["findings"]:
        print(f"\n{newest['window']} against version {newest['version']}:")
    for item in newest["findings"]:
        print(f"  {item['kind']}: {item['subject']}: {item['text']}")
