"""Compare a model with the champion while other work goes on, and record the verdict."""

import contextlib
import dataclasses
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep import LockstepError
from lockstep.gate.candidate import Candidate
from lockstep.gate.rules import Comparison, Rules, Verdict
from lockstep.gate.summary import judged
from lockstep.mlflow import runs, tag
from lockstep.mlflow.registry import download_model
from lockstep.processes import ProcessError, process_beside
from lockstep.project import Project
from lockstep.values import first_line

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

    from lockstep.gate.comparison_process import Opponent

# The champion's number and a folder for files -> the candidate's predictions, and the champion.
Evidence = Callable[[str, Path], "tuple[Path, Opponent]"]


def rules_of(registry: dict[str, Any]) -> Rules | None:
    """The rules in the config group `registry`; None where it is empty or its policy is `none`."""
    if registry.get("policy", "none") == "none":
        return None
    names = {field.name for field in dataclasses.fields(Rules)}
    return Rules(**{name: value for name, value in registry.items() if name in names})


@contextlib.contextmanager
def comparing(
    client: "MlflowClient",
    project: Project,
    candidate: Candidate,
    champion: "ModelVersion | None",
    rules: Rules,
    evidence: Evidence | None = None,
) -> Iterator[Callable[[], Comparison | None]]:
    """Start to compare a model with the champion.

    Args:
        evidence: Where to take the predictions from instead of the test rows.

    Yields:
        A function that waits for the comparison; it returns None without a champion. What prevents
        a comparison is the comparison's `problem`.
    """
    if champion is None:
        yield lambda: None
        return
    version = str(champion.version)
    metrics = metrics_of(client, champion)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            scoring = _scoring_of(project, candidate)
            if evidence:
                predictions, opponent = evidence(version, Path(folder))
                candidate = dataclasses.replace(candidate, predictions=predictions)
            else:
                opponent = _opponent(client, project, candidate, champion, Path(folder))
        except LockstepError as error:
            problem = str(error)
            yield lambda: Comparison(version, metrics, problem=problem)
            return
        from lockstep.gate import comparison_process  # imports pandas

        with process_beside() as submit:
            future = submit(
                candidate.workspace, comparison_process.compare, scoring, candidate, opponent, rules
            )

            def comparison() -> Comparison:
                try:
                    result: Comparison = future.result()
                except ProcessError as error:
                    return Comparison(version, metrics, problem=first_line(error))
                return result

            yield comparison


def tags_of(verdict: Verdict) -> dict[str, str]:
    """A verdict as tags of its run."""
    return {
        tag.REASONS: "\n".join(verdict.reasons)[: tag.RUN_TAG_LENGTH] or "nothing was required",
        tag.GATE_CHAMPION: verdict.comparison.version if verdict.comparison else "none",
        tag.RULES: verdict.rules.digest,
        tag.VERDICT: verdict.outcome,
    }


def description_with(verdict: Verdict, run: "Run") -> str:
    """The description of a run, with a verdict; also that of its version."""
    return judged(run.data.tags.get(tag.NOTE, ""), verdict)[: tag.VERSION_TAG_LENGTH]


def metrics_of(client: "MlflowClient", champion: "ModelVersion | None") -> dict[str, float]:
    """The metrics that the champion's own run shows; empty without a champion."""
    run = runs.any_run(client, champion.run_id) if champion else None
    return dict(run.data.metrics) if run else {}


def _scoring_of(project: Project, candidate: Candidate) -> str:
    """The project's module that measures predictions."""
    if candidate.predictions is None or candidate.test is None:
        lacking = [
            role
            for role, found in (("test", candidate.test), ("predictions", candidate.predictions))
            if found is None
        ]
        raise LockstepError(
            "without the predictions of the test rows it is unknown if that is chance: name their "
            f"files in dvc.yaml under artifacts, meta: {' and '.join(lacking)}"
        )
    scoring = project.settings.get("scoring")
    if scoring is None:
        raise LockstepError("pyproject.toml sets no `scoring` under [tool.lockstep]")
    return scoring


def _opponent(
    client: "MlflowClient",
    project: Project,
    candidate: Candidate,
    champion: "ModelVersion",
    folder: Path,
) -> "Opponent":
    """The champion's predictions if it was tested on the same data, else its model."""
    from lockstep.gate.comparison_process import Opponent

    version = str(champion.version)
    run = runs.any_run(client, champion.run_id)
    if run is None:
        raise LockstepError(f"version {version}, the champion, has no run")
    assert candidate.test
    path, md5 = candidate.test
    same_rows = runs.input_digests(run).get(path) == md5
    if same_rows:
        declared = project.pipeline.about_model()["predictions"]
        if predictions := runs.download(client, run.info.run_id, declared, folder):
            return Opponent(version, predictions)
    try:
        model = download_model(client, champion, folder / "model")
    except OSError as error:
        raise LockstepError(f"the champion could not be loaded: {first_line(error)}") from error
    return Opponent(
        version,
        model=model,
        test=candidate.test_rows(folder),
        from_own_store=project.store.embedded,
        rescored=not same_rows,
    )
