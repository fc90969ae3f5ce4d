"""`lockstep models`: the versions of the registered model."""

import json
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep.champion.alias import CHAMPION, champion_of
from lockstep.mlflow import runs, tag
from lockstep.mlflow.registry import aliases_of, judgement_of, named
from lockstep.project import Project
from lockstep.record.metrics import beside_baseline
from lockstep.terminal import show, table
from lockstep.values import number, under

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

EXAMPLE = "lockstep models --json"
SHOWN_METRICS = 3


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")
    parser.add_argument(
        "--limit", type=int, default=20, help="number of versions, newest first (%(default)s)"
    )


def run(arguments: Namespace) -> None:
    """Print the newest versions, and the champion even if it is older."""
    project = Project(Path.cwd())
    name = project.model_name
    with project.store.errors_explained():
        client = project.store.client()
        order = ["version_number DESC"]
        versions = list(client.search_model_versions(named(name), arguments.limit, order))
        champion = champion_of(client, name)
        if champion and str(champion.version) not in {str(item.version) for item in versions}:
            versions.append(champion)
        aliases = aliases_of(client, name) if versions else {}
        rows = [_row(client, version, aliases) for version in versions]
    if arguments.as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    elif rows:
        _show_table(rows, project.registry.get("metric"))
    else:
        print(f"{name} has no versions yet: `uv run dvc repro` publishes one")


def _row(
    client: "MlflowClient", version: "ModelVersion", aliases: dict[str, list[str]]
) -> dict[str, Any]:
    """Everything known about a version."""
    run = runs.any_run(client, version.run_id)
    judgement = judgement_of(version, run)
    created = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    return {
        "version": str(version.version),
        "aliases": aliases.get(str(version.version), []),
        "verdict": judgement.get(tag.VERDICT),
        "reasons": judgement.get(tag.REASONS, "").splitlines(),
        "metrics": run.data.metrics if run else {},
        "data": version.tags.get(tag.DATA),
        "commit": version.tags.get(tag.COMMIT),
        "run": version.run_id,
        "made": created.isoformat(timespec="seconds"),
        CHAMPION: under(f"{CHAMPION}.", version.tags),
    }


def _show_table(rows: list[dict[str, Any]], deciding: str | None) -> None:
    names = [name for name, _, _ in beside_baseline(rows[0]["metrics"])]
    names = sorted(names, key=lambda name: name != deciding)[:SHOWN_METRICS]
    cells = [
        (
            row["version"],
            ", ".join(row["aliases"]),
            row["verdict"] or "-",
            *(number(row["metrics"].get(name)) for name in names),
            (row["data"] or "-")[:8],
            (row["commit"] or "-")[:8],
            row["made"].partition("+")[0].replace("T", " "),
        )
        for row in rows
    ]
    headings = ("version", "aliases", "gate", *names, "data", "commit", "made")
    show(table(headings, cells, numeric=names))
