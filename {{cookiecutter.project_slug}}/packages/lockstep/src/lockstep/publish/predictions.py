"""A run in MLflow for what `lockstep predict` predicted, in a separate experiment."""

import time
from typing import TYPE_CHECKING

from lockstep.mlflow import runs, tag
from lockstep.mlflow.front_page import run_path
from lockstep.mlflow.registry import logged_model_of, version_called
from lockstep.mlflow.runs import DataInput, Point
from lockstep.values import digest

if TYPE_CHECKING:
    from lockstep.inference.version import About
    from lockstep.mlflow.store import Store


def publish_predictions(
    store: "Store", about: "About", source: str, target: str, identities: list[str], rows: int
) -> str:
    """Record once that a version predicted an input: the same input again is the same run.

    Args:
        store: The project's.
        source: The input, as it was named.
        target: The output, as it was named.
        identities: Those of the input's files.
        rows: Their number of rows.

    Returns:
        The page of the run.

    Raises:
        LockstepError: The store cannot be used.
    """
    own = store.beside("predictions")
    md5 = identities[0] if len(identities) == 1 else digest(identities)
    identity = digest([about.model, about.version, about.run, md5, target])
    with own.errors_explained("the predictions are complete; run the same command again"):
        client = own.client()
        experiment_id = own.experiment_id(client)
        query = f"tags.`{tag.PREDICTION}` = {runs.quoted(identity)}"
        found = next(runs.search(client, experiment_id, f"{query} and status = 'FINISHED'"), None)
        if found:
            return own.page(run_path(experiment_id, found.info.run_id))
        version = version_called(client, about.model, about.version)
        tags = {tag.PREDICTED: about.run or "", tag.PREDICTION: identity}
        run = client.create_run(experiment_id, tags=tags, run_name=f"{about}: {target}")
        params = {"model": about.model, "version": about.version, "input": source, "output": target}
        now = int(time.time() * 1000)
        counts = [Point("rows", rows, now), Point("files", len(identities), now)]
        runs.log(client, run.info.run_id, params=params, metrics=counts)
        data = DataInput(source[:500], md5[:36], ["predict"])
        runs.log_inputs(client, run.info.run_id, [data], logged_model_of(version))
        client.set_terminated(run.info.run_id)
        return own.page(run_path(experiment_id, run.info.run_id))
