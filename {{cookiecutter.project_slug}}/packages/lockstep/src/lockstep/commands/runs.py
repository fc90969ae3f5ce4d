"""`lockstep runs`: the runs of the project in one table."""

import json
import shlex
import time
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep.champion.alias import CHAMPION
from lockstep.compare.listing import Listing, Row, differing, list_runs, special
from lockstep.mlflow import tag
from lockstep.project import Project
from lockstep.publish.backfill import unpublished_experiments
from lockstep.terminal import fits, show, table
from lockstep.values import number, shortened, shortest_names

if TYPE_CHECKING:
    from rich.text import Text

EXAMPLE = "lockstep runs --sort best"
VALUE = 24  # characters of an option's value
OPTION = 26  # and of an option below the model, so that the table is no wider than a page
NAME_LENGTH = 16  # of a metric on one line
MODEL = ("model", "model._target_")
AGES = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument(
        "--sort",
        default="newest",
        metavar="KEY",
        help="newest (default), best, name, or a metric, whose best value comes first",
    )
    parser.add_argument(
        "--filter", metavar="QUERY", help='in MLflow\'s syntax: "metrics.accuracy > 0.9"'
    )
    parser.add_argument("--limit", type=int, default=20, help="number of runs (%(default)s)")
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")


def run(arguments: Namespace) -> None:
    """Run the verb."""
    project = Project(Path.cwd())
    listing = list_runs(project, arguments.sort, arguments.filter, arguments.limit)
    differences = differing(listing.rows)
    if arguments.as_json:
        entries = [
            _entry(row, differs, listing.metric)
            for row, differs in zip(listing.rows, differences, strict=True)
        ]
        print(json.dumps(entries, indent=2, ensure_ascii=False))
        return
    if not listing.rows:
        chosen = f" match {arguments.filter!r}" if arguments.filter else " yet: `uv run dvc repro`"
        print(f"no runs{chosen}")
    else:
        _show_table(listing, differences)
    if missing := unpublished_experiments(project):
        print(f"not in MLflow: {', '.join(missing)}; `uv run lockstep publish --all` adds them")
    if advice := _advice(listing):
        print(advice)


def _show_table(listing: Listing, differences: list[dict[str, str]]) -> None:
    metric = listing.metric or "metric"
    by_user = len({row.tags.get(tag.USER) for row in listing.rows}) > 1
    differences = special(listing.rows, differences)
    short = shortest_names({key for differs in differences for key in differs})
    cells: list[list[str | Text]] = [
        [
            row.label,
            row.model or "-",
            _measured(row, metric),
            row.tags.get(tag.VERDICT, "-"),
            _version(row),
            *([row.tags.get(tag.USER, "-")] if by_user else []),
            _age(row.time),
            _commit(row),
        ]
        for row in listing.rows
    ]
    by = ["by"] if by_user else []
    headings = ["run", "model", _folded(metric), "gate", "version", *by, "age", "commit"]
    options = [_options(differs, short) for differs in differences]
    shown = table(headings, cells, numeric=("age",))
    if any(options):
        beside = [[*line, " ".join(own)] for line, own in zip(cells, options, strict=True)]
        shown = table([*headings, "options"], beside, numeric=("age",))
    if not fits(shown):
        for line, own in zip(cells, options, strict=True):
            line[1] = "\n  ".join([str(line[1]), *(shortened(option, OPTION) for option in own)])
        headings[1] = "model, options"
        shown = table(headings, cells, numeric=("age",))
    show(shown)


def _advice(listing: Listing) -> str | None:
    """The best run, and the command that compares it with the champion or the next best."""
    metric, rows = listing.metric, listing.rows
    sign = {"maximize": -1, "minimize": 1}.get(listing.direction or "")
    if metric and sign:
        measured = [row for row in rows if metric in row.metrics]
        rows = sorted(measured, key=lambda row: sign * row.metrics[metric])
    if len(rows) < 2:
        return None
    best, other = rows[0], next((row for row in rows[1:] if CHAMPION in row.aliases), rows[1])
    labels = [row.label for row in listing.rows]
    words = [row.label if labels.count(row.label) == 1 else row.name for row in (other, best)]
    command = f"uv run lockstep diff {shlex.join(words)}"
    if not sign:
        return f"compare two of them: {command}"
    return f"best: {words[1]}; by how much, and is it chance? {command}"


def _folded(name: str) -> str:
    """A long name on two lines, cut at the underscore that is nearest to its middle."""
    cuts = [at + 1 for at, sign in enumerate(name) if sign == "_"]
    if len(name) <= NAME_LENGTH or not cuts:
        return name
    cut = min(cuts, key=lambda at: abs(at - len(name) / 2))
    return f"{name[:cut]}\n{name[cut:]}"


def _measured(row: Row, metric: str) -> str:
    """The metric, and half the width of its interval."""
    text, ends = number(row.metrics.get(metric)), row.interval(metric)
    return f"{text} ±{(ends[1] - ends[0]) / 2:.2g}" if ends else text


def _version(row: Row) -> "Text":
    """The number and the aliases of a version; the champion is not called challenger, too."""
    from rich.text import Text

    names = [CHAMPION] if CHAMPION in row.aliases else row.aliases
    style = "bold" if names == [CHAMPION] else ""
    return Text(" ".join([row.version, *names]) if row.version else "-", style)


def _age(milliseconds: int) -> str:
    seconds = max(time.time() - milliseconds / 1000, 1)
    length, unit = next((length, unit) for length, unit in AGES if seconds >= length)
    return f"{seconds // length:.0f}{unit}"


def _commit(row: Row) -> str:
    """The commit; with a plus if files differed from it."""
    changed = "+" if row.tags.get(tag.CHANGED) else ""
    return row.tags.get(tag.COMMIT, "-")[:7] + changed


def _options(differs: dict[str, str], short: dict[str, str]) -> list[str]:
    """The params in which a run differs; the model has its own column."""
    chosen = (item for item in sorted(differs.items()) if item[0] not in MODEL)
    return [_option(short[key], value) for key, value in chosen]


def _option(name: str, value: str) -> str:
    if name.endswith("_target_"):
        name, value = name.removesuffix("._target_"), value.rpartition(".")[2]
    return f"{name}={shortened(value, VALUE)}"


def _entry(row: Row, differs: dict[str, str], metric: str | None) -> dict[str, Any]:
    """Everything about a run."""
    published = datetime.fromtimestamp(row.time / 1000, UTC)
    return {
        "run": row.name,
        "id": row.id,
        "model": row.model,
        "options": differs,
        "metric": metric,
        "value": row.metrics.get(metric or ""),
        "interval": row.interval(metric),
        "metrics": row.metrics,
        "verdict": row.tags.get(tag.VERDICT),
        "reasons": row.tags.get(tag.REASONS, "").splitlines(),
        "version": row.version,
        "aliases": row.aliases,
        "published": published.isoformat(timespec="seconds"),
        "commit": row.tags.get(tag.COMMIT),
        "changed": bool(row.tags.get(tag.CHANGED)),
        "branch": row.tags.get(tag.BRANCH),
        "experiment": row.tags.get(tag.EXPERIMENT),
        "by": row.tags.get(tag.USER),
    }
