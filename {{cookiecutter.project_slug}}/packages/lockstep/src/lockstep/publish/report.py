"""What `publish` prints at its end: this run beside the champion, and where to look at it."""

from typing import TYPE_CHECKING

from lockstep.mlflow.store import Store
from lockstep.values import number

if TYPE_CHECKING:
    from mlflow.entities import Run

    from lockstep.publish.gate_step import Judgement
    from lockstep.record.run_record import RunRecord


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
            table.add_row(name, *(number(measured) for measured in (value, other, baseline)))
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"published: run {run.info.run_name}")
    console.print(table)
    for line in judgement.lines:
        console.print(line)
    path = f"/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    console.print(f"look at it: {store.page(path)}")
