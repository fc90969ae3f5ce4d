"""What `publish` prints at its end: this run beside the champion, and where to look at it."""

from typing import TYPE_CHECKING

from lockstep.tracking import Store, without_secrets

if TYPE_CHECKING:
    from mlflow.entities import Run

    from lockstep.gate.judgement import Judgement
    from lockstep.runs.run_record import RunRecord


def print_comparison(store: Store, record: "RunRecord", run: "Run", judgement: "Judgement") -> None:
    """Print a table of the metrics, the verdict, and the way to the run in the MLflow UI."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("metric")
    for heading in ("this run", "champion", "baseline"):
        table.add_column(heading, justify="right")
    for name, value in record.metrics.items():
        if not name.startswith("baseline."):
            other = judgement.champion.get(name)
            baseline = record.metrics.get(f"baseline.{name}")
            table.add_row(name, *(_number(number) for number in (value, other, baseline)))
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"published: run {run.info.run_name}")
    console.print(table)
    for line in judgement.lines:
        console.print(line)
    path = f"/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    console.print(f"look at it: {look_at(store, path)}")


def look_at(store: Store, path: str) -> str:
    """The link to a page of the MLflow UI, or the command that brings the UI up for it.

    Args:
        store: What the UI is to show.
        path: The page's.
    """
    if store.is_server:
        return f"{without_secrets(store.uri).rstrip('/')}{path}"
    uri = "" if store.embedded else f" --backend-store-uri {without_secrets(store.uri)}"
    return f"uv run mlflow ui{uri}, then http://127.0.0.1:5000{path}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
