"""`lockstep monitor`: compare new data with what the champion was trained and tested on."""

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from lockstep.champion.alias import CHAMPION
from lockstep.config.compose import composer
from lockstep.mlflow.uri import CHECK_ADDRESS
from lockstep.monitor.settings import Settings
from lockstep.project import Project
from lockstep.terminal import show, table
from lockstep.values import counted, digest, number

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
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write the report here")
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")


def run(arguments: Namespace) -> int:
    """Judge the windows; the exit code is 1 if the newest is an alarm."""
    project = Project(Path.cwd())
    settings = _settings(project.workspace)
    with project.store.errors_explained(CHECK_ADDRESS):
        # These import pandas, or scikit-learn.
        from lockstep.monitor.history import History
        from lockstep.monitor.reference import reference_of
        from lockstep.monitor.result import Monitor, verdict
        from lockstep.monitor.window import digest_of, read_window

        client = project.store.client()
        reference = reference_of(client, project, arguments.version)
        history = History(client, project, reference)
        results = []
        monitor = Monitor(reference, settings)
        for source in arguments.data:
            identity = digest([digest_of(source), reference.run_id, repr(settings)])
            result = history.find(identity)
            if result is None:
                result = {"window": source.as_posix()}
                result |= monitor.judge(read_window(source, monitor.bins, monitor.kinds))
                result["verdict"] = verdict(result, history.newest(settings.of), settings)
                history.add(identity, result)
            results.append(result)
    if arguments.as_json:
        print(json.dumps(results, indent=2, ensure_ascii=False))
    else:
        _show(results, reference.metrics[0])
        print(f"\nall windows: {history.store.page(history.page)}")
    return 1 if results[-1]["verdict"] == "alarm" else 0


def _settings(workspace: Path) -> Settings:
    """The config group `monitor`, which the pipeline does not use."""
    with composer(workspace) as compose:
        return Settings.of_config(compose(["monitor=default"])["monitor"])


def _show(results: list[dict[str, Any]], metric: str) -> None:
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
