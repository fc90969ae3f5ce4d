"""`lockstep models`: the versions of the registered model, and what is known of each."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep.champion.alias import CHAMPION
from lockstep.champion.promotion import Registry
from lockstep.mlflow import tag
from lockstep.mlflow.registry import named, version_with_alias

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

SHOWN_METRICS = 3
UNLIMITED = 1000  # columns: a cell is never cut, whatever the terminal's width


def list_models(workspace: Path, *, as_json: bool, limit: int) -> None:
    """Print the newest versions, and the champion in any case.

    Args:
        workspace: The project's folder.
        as_json: A list of objects in place of a table.
        limit: How many.
    """
    registry = Registry(workspace)
    with registry.store.errors_explained():
        client = registry.store.client()
        order = ["version_number DESC"]
        versions = list(client.search_model_versions(named(registry.name), limit, order))
        champion = version_with_alias(client, registry.name, CHAMPION)
        if champion and str(champion.version) not in {str(item.version) for item in versions}:
            versions.append(champion)
        aliases = client.get_registered_model(registry.name).aliases if versions else {}
        rows = [_row(client, version, aliases) for version in versions]
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    elif rows:
        _print_table(rows, registry.config.get("metric"))
    else:
        print(f"{registry.name} has no versions yet: `dvc repro` publishes one")


def _row(
    client: "MlflowClient", version: "ModelVersion", aliases: dict[str, Any]
) -> dict[str, Any]:
    """What is known of a version."""
    number = str(version.version)
    metrics = client.get_run(version.run_id).data.metrics if version.run_id else {}
    made = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    return {
        "version": number,
        # Numbers in the embedded store, text from a server.
        "aliases": sorted(alias for alias, of in aliases.items() if str(of) == number),
        "verdict": version.tags.get(tag.VERDICT),
        "reasons": version.tags.get(tag.REASONS, "").splitlines(),
        "metrics": metrics,
        "data": version.tags.get(tag.DATA),
        "commit": version.tags.get(tag.COMMIT),
        "run": version.run_id,
        "made": made.isoformat(timespec="seconds"),
        CHAMPION: {
            key.removeprefix(f"{CHAMPION}."): value
            for key, value in version.tags.items()
            if key.startswith(f"{CHAMPION}.")
        },
    }


def _print_table(rows: list[dict[str, Any]], deciding: str | None) -> None:
    from rich.console import Console
    from rich.table import Table

    names = [name for name in rows[0]["metrics"] if not name.startswith("baseline.")]
    names = sorted(names, key=lambda name: name != deciding)[:SHOWN_METRICS]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("version", "aliases", "gate", *names, "data", "commit", "made"):
        table.add_column(heading, justify="right" if heading in names else "left", no_wrap=True)
    for row in rows:
        metrics = [row["metrics"].get(name) for name in names]
        table.add_row(
            row["version"],
            ", ".join(row["aliases"]),
            row["verdict"] or "-",
            *("-" if value is None else f"{value:.4g}" for value in metrics),
            (row["data"] or "-")[:8],
            (row["commit"] or "-")[:8],
            row["made"].partition("+")[0].replace("T", " "),
        )
    Console(highlight=False, width=UNLIMITED).print(table)
