"""What `publish` prints at its end: this run beside the champion, and where to look at it."""

from typing import TYPE_CHECKING

from lockstep.tracking import Store, without_secrets

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from lockstep.run_record import RunRecord

CHAMPION = "champion"


def print_comparison(
    store: Store, record: "RunRecord", client: "MlflowClient", run: "Run", version: str | None
) -> None:
    """Print a table of the metrics and the way to the run in the MLflow UI."""
    from rich.console import Console
    from rich.table import Table

    champion = _champion(client, record)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("metric")
    for heading in ("this run", "champion", "baseline"):
        table.add_column(heading, justify="right")
    for name, value in record.metrics.items():
        if not name.startswith("baseline."):
            other = champion.data.metrics.get(name) if champion else None
            baseline = record.metrics.get(f"baseline.{name}")
            table.add_row(name, *(_number(number) for number in (value, other, baseline)))
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"published: run {run.info.run_name}")
    console.print(table)
    model = record.registry.get("name")
    if version:
        console.print(f"model: {model} version {version}, alias {record.registry.get('alias')}")
    if model and not champion:
        console.print(
            f"no model has the alias {CHAMPION} yet: give it to a version in the MLflow UI"
        )
    path = f"/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    if store.is_server:
        console.print(f"look at it: {without_secrets(store.uri).rstrip('/')}{path}")
    else:
        uri = "" if store.embedded else f" --backend-store-uri {without_secrets(store.uri)}"
        console.print(f"look at it: uv run mlflow ui{uri}, then http://127.0.0.1:5000{path}")


def _champion(client: "MlflowClient", record: "RunRecord") -> "Run | None":
    from mlflow.exceptions import MlflowException

    name = record.registry.get("name")
    if not name:
        return None
    try:
        version = client.get_model_version_by_alias(name, CHAMPION)
        return client.get_run(version.run_id) if version.run_id else None
    except MlflowException:
        return None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
