"""The report at the end of `lockstep publish`: run, champion, warnings, gate and a link."""

from typing import TYPE_CHECKING

from lockstep import terminal
from lockstep.mlflow.front_page import run_path
from lockstep.mlflow.store import Store
from lockstep.record.metrics import beside_baseline
from lockstep.record.run_record import RunRecord
from lockstep.values import number

if TYPE_CHECKING:
    from mlflow.entities import Run

    from lockstep.publish.gate_step import Judgement

COLUMNS = ("this run", "champion", "baseline")


def print_report(store: Store, record: RunRecord, run: "Run", judgement: "Judgement") -> None:
    """Print the metrics next to the champion's, the verdict, and a link to the run in MLflow."""
    rows = [
        [name, number(value), number(judgement.champion.get(name)), number(baseline)]
        for name, value, baseline in beside_baseline(record.metrics)
    ]
    path = run_path(run.info.experiment_id, run.info.run_id)
    terminal.show(
        f"published: run {run.info.run_name}",
        terminal.table(["metric", *COLUMNS], rows, COLUMNS),
        *(f"warning: {text}" for text in record.warnings),
        *judgement.lines,
        f"view it: {store.page(path)}",
    )
