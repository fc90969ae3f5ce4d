"""The verdict on a version that holds now."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep.champion.alias import number_of
from lockstep.gate.candidate import candidate_of_run
from lockstep.gate.comparison import Evidence, comparing, description_with, rules_of, tags_of
from lockstep.mlflow import runs, tag
from lockstep.mlflow.registry import describe_version, judgement_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from lockstep.project import Project


def current_verdict(
    project: "Project",
    client: "MlflowClient",
    version: "ModelVersion",
    champion: "ModelVersion | None",
    evidence: Evidence | None = None,
) -> tuple[str, list[str]]:
    """The recorded verdict if it holds for this champion and these rules, else a new one.

    What was undecided is judged again: what prevented the comparison may be gone.

    Args:
        evidence: What to compare the two by instead of the test rows; it makes a new verdict.

    Returns:
        `passed`, `failed`, `undecided`, or `none` where the project has no gate; and the reasons.
    """
    rules = rules_of(project.registry)
    if rules is None:
        return "none", []
    run = runs.any_run(client, version.run_id)
    tags = judgement_of(version, run)
    judged_by = (tags.get(tag.GATE_CHAMPION), tags.get(tag.RULES))
    if (
        not evidence
        and tags.get(tag.VERDICT, "undecided") != "undecided"
        and judged_by == (number_of(champion) or "none", rules.digest)
    ):
        return tags[tag.VERDICT], tags[tag.REASONS].splitlines()
    if run is None:
        return "failed", [f"version {version.version} has no run, so it has no metrics"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        candidate = candidate_of_run(client, run, project.pipeline, Path(folder))
        with comparing(client, project, candidate, champion, rules, evidence) as comparison:
            compared = comparison()
    verdict = candidate.judged(compared, rules)
    if evidence is None or compared is None or not compared.problem:  # else the old one still holds
        note = description_with(verdict, run)
        describe_version(client, version, verdict.outcome, note)
        runs.log(client, run.info.run_id, tags={**tags_of(verdict), tag.NOTE: note})
    return verdict.outcome, verdict.reasons
