"""The report at the end of `lockstep publish`: the run, the champion, the gate and a link."""

from typing import TYPE_CHECKING

from lockstep import terminal
from lockstep.mlflow.store import Store
from lockstep.record.metrics import BASELINE_PREFIX
from lockstep.record.run_record import RunRecord
from lockstep.values import number

if TYPE_CHECKING:
    from mlflow.entities import Run

    from lockstep.publish.gate_step import Judgement

COLUMNS = ("this run", "champion", "baseline")


def print_report(store: Store, record: RunRecord, run: "Run", judgement: "Judgement") -> None:
    """Print the metrics beside the champion's, the verdict, and where to see the run in MLflow."""
    rows = [
        [
            name,
            number(value),
            number(judgement.champion.get(name)),
            number(record.metrics.get(BASELINE_PREFIX + name)),
        ]
        for name, value in record.metrics.items()
        if not name.startswith(BASELINE_PREFIX)
    ]
    path = f"/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    terminal.show(
        f"published: run {run.info.run_name}",
        terminal.table(["metric", *COLUMNS], rows, COLUMNS),
        *judgement.lines,
        f"view it: {store.page(path)}",
    )
