"""Gather what a model is judged by, compare it with the champion, and record the verdict."""

import contextlib
import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep import LockstepError
from lockstep.config.settings import settings
from lockstep.dvc.pipeline import Pipeline
from lockstep.gate.candidate import Candidate, fetched
from lockstep.gate.rules import HEADING, Comparison, Rules, Verdict, deciding_metric
from lockstep.mlflow import tag
from lockstep.mlflow.store import Store
from lockstep.record.run_record import digests_of
from lockstep.values import first_line

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


def rules_of(registry: dict[str, Any]) -> Rules | None:
    """The rules in the config group `registry`; None where its policy is `none`, or it has none."""
    if registry.get("policy", "none") == "none":
        return None
    names = {field.name for field in dataclasses.fields(Rules)}
    return Rules(**{name: value for name, value in registry.items() if name in names})


@contextlib.contextmanager
def compared(
    client: "MlflowClient",
    store: Store,
    candidate: Candidate,
    champion: "ModelVersion | None",
    rules: Rules,
) -> Iterator[Callable[[], Comparison | None]]:
    """Start to compare a model with the champion.

    Args:
        client: Of the store.
        store: That of the champion.
        candidate: The model.
        champion: None where there is none yet.
        rules: What is asked.

    Yields:
        A function that waits for the comparison; None without a champion. What stands in the way
        of a comparison is told in it.
    """
    if champion is None:
        yield lambda: None
        return
    version = str(champion.version)
    with tempfile.TemporaryDirectory() as temporary:
        try:
            request, rescored = _request(client, store, candidate, champion, rules, Path(temporary))
        except LockstepError as error:
            problem = str(error)
            yield lambda: Comparison(version, problem=problem)
            return
        files = Path(temporary) / "request.json", Path(temporary) / "answer.json"
        files[0].write_text(json.dumps(request), encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-m", "lockstep.gate.comparison_process", *map(str, files)],
            cwd=candidate.workspace,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )

        def comparison() -> Comparison:
            output, _ = process.communicate()
            if process.returncode:
                last = next(reversed(output.strip().splitlines()), "")
                return Comparison(version, problem=f"the comparison ended early: {last}")
            found = json.loads(files[1].read_text(encoding="utf-8"))
            return Comparison(version, rescored=rescored, **found)

        try:
            yield comparison
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def tags_of(verdict: Verdict) -> dict[str, str]:
    """A verdict as tags of its run and its version."""
    return {
        tag.REASONS: "\n".join(verdict.reasons)[: tag.VERSION_TAG_LENGTH] or "nothing was asked",
        tag.GATE_CHAMPION: verdict.comparison.version if verdict.comparison else "none",
        tag.RULES: verdict.rules.digest,
        tag.VERDICT: verdict.outcome,
    }


def tell_run(client: "MlflowClient", run_id: str, verdict: Verdict) -> None:
    """Write a verdict to a run: tags, and a section of its description."""
    from mlflow.entities import RunTag

    section = verdict.note[: tag.VERSION_TAG_LENGTH]
    written = client.get_run(run_id).data.tags.get(tag.NOTE, "")
    description = written.partition(HEADING)[0].rstrip()
    note = f"{description[: tag.RUN_TAG_LENGTH - len(section) - 2]}\n\n{section}"
    tags = {**tags_of(verdict), tag.NOTE: note}
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])


def _request(
    client: "MlflowClient",
    store: Store,
    candidate: Candidate,
    champion: "ModelVersion",
    rules: Rules,
    folder: Path,
) -> tuple[dict[str, Any], bool]:
    """What the process is asked, and whether the champion was tested on other data.

    Raises:
        LockstepError: Something that a comparison needs is missing.
    """
    from mlflow.exceptions import MlflowException

    scoring = settings(candidate.workspace).get("scoring")
    metric, _ = deciding_metric(candidate.metrics, candidate.evaluation, rules)
    if candidate.predictions is None or candidate.test is None:
        raise LockstepError("no predictions of the test rows: dvc.yaml names none for the model")
    if scoring is None:
        raise LockstepError("pyproject.toml names no `scoring` under [tool.lockstep]")
    try:
        if not champion.run_id:
            raise LockstepError(f"version {champion.version}, the champion, has no run")
        path, md5 = candidate.test
        same = digests_of(client.get_run(champion.run_id)).get(path) == md5
        declared = Pipeline(candidate.workspace).about_model()["predictions"]
        theirs = fetched(client, champion.run_id, declared, folder) if same else None
        side: dict[str, Any] = {"predictions": str(theirs)}
        if theirs is None:
            import mlflow

            uri = f"models:/{champion.name}/{champion.version}"
            model = mlflow.artifacts.download_artifacts(uri, dst_path=str(folder / "model"))
            side = {
                "model": model,
                "own": store.embedded,
                "test": str(candidate.test_rows()),
                "params": str(candidate.params),
            }
    except (MlflowException, OSError) as error:
        raise LockstepError(f"the champion cannot be had: {first_line(error)}") from error
    request = {
        "scoring": scoring,
        "names": [name for name in candidate.metrics if not name.startswith("baseline.")],
        "metric": metric,
        "confidence": rules.confidence,
        "resamples": rules.resamples,
        "predictions": str(candidate.predictions),
        "champion": side,
    }
    return request, not same
