"""`lockstep trace`: where a run, a model or a file came from, and what was made from it."""

import contextlib
import json
import re
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep import LockstepError
from lockstep.commands.serve import add_log
from lockstep.lineage.partition import trace_partition
from lockstep.lineage.target import RUNS, find_run
from lockstep.lineage.trace import Node, trace_file, trace_run
from lockstep.mlflow.runs import active_run
from lockstep.mlflow.uri import CHECK_ADDRESS
from lockstep.project import Project
from lockstep.terminal import show
from lockstep.values import under, without_secrets

if TYPE_CHECKING:
    from rich.tree import Tree

EXAMPLE = "lockstep trace data/raw.csv"
SHOWN_DIGITS = 8
TITLES = {"came_from": "came from", "used_in": "used in", "read_by": "read by"}


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument(
        "target",
        help=f"a file, {RUNS}, or the id of a request to `lockstep serve --log`",
    )
    add_log(parser)
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")


def run(arguments: Namespace) -> None:
    """Run the verb."""
    node = _trace(Project(Path.cwd()), arguments.target, arguments.log)
    if arguments.as_json:
        print(json.dumps(node, indent=2, default=str))
    else:
        show(_tree(node))


def _trace(project: Project, target: str, log: str) -> Node:
    """Where a file, a run or a model's version came from, and what was made from it."""
    path = Path(target).as_posix()
    if node := trace_partition(project, path) or trace_file(project, path):
        return node
    if node := _trace_request(project, target, log):  # whose id may look like that of a run
        return node
    if run := find_run(target, project):
        with project.store.errors_explained(CHECK_ADDRESS):
            return trace_run(project.store.client(), run)
    raise LockstepError(
        f"{target!r} is not a run, model or file of this project, nor a request in "
        f"{without_secrets(log)}\n`uv run lockstep runs` lists the runs"
    )


def _trace_request(project: Project, request: str, log: str) -> Node | None:
    """The answer to a request, the true values that came later, and the run behind it."""
    if "://" not in log and not Path(log).is_dir():
        return None
    from lockstep.serve.places import place_of
    from lockstep.serve.records import find_request  # imports pyarrow

    rows, truths = find_request(place_of(log), request)
    if not rows:
        return None
    first = rows[0]
    run = None
    if first["_run"]:
        with contextlib.suppress(LockstepError), project.store.errors_explained(CHECK_ADDRESS):
            client = project.store.client()
            found = active_run(client, first["_run"])
            run = trace_run(client, found) if found else None
    return {
        "request": request,
        "time": first["_time"].isoformat(timespec="seconds"),
        "rows": [_row(row, truths.get(row["_row"])) for row in rows],
        "came_from": {
            "version": f"models:/{first['_model']}/{first['_version']}",
            **(run or {"run": first["_run"], "commit": first["_commit"]}),
        },
    }


def _row(row: dict[str, Any], truth: Any) -> Node:
    """A row of the log: what was asked, what was answered, what was true."""
    role = "" if row["_role"] == "champion" else f" ({row['_role']}, version {row['_version']})"
    return {
        "row": f"{row['_row']}{role}",
        "input": {name: value for name, value in row.items() if not name.startswith("_")},
        "prediction": row["_prediction"],
        "probabilities": under("_probability.", row),
        "actual": truth,
    }


def _tree(node: Node) -> "Tree":
    from rich.tree import Tree

    (kind, name), *rest = node.items()
    tree = Tree(f"{kind} {name}")
    _grow(tree, dict(rest))
    return tree


def _grow(tree: "Tree", value: Any) -> None:
    """Add the items of a mapping or a list to a branch, except for empty ones."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if item in (None, "", [], {}):
            continue
        label = TITLES.get(str(key), str(key))
        if isinstance(item, dict) and isinstance(key, int):
            (kind, name), *rest = item.items()
            _grow(tree.add(f"{kind} {name}"), dict(rest))
        elif isinstance(item, dict) or (isinstance(item, list) and isinstance(item[0], dict)):
            _grow(tree.add(label), item)
        else:
            text = ", ".join(map(str, item)) if isinstance(item, list) else str(item)
            is_digest = key != "id" and re.fullmatch(r"[0-9a-f]{32,40}(\.dir)?", text)
            tree.add(f"{label}: {text[:SHOWN_DIGITS] if is_digest else text}")
