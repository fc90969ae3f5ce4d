"""The gate in `publish`: a new version is judged once, and promoted if the policy says so."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep.champion.alias import CHAMPION, champion_of, history_of, move, number_of
from lockstep.champion.front_page import ABOUT_MODEL
from lockstep.gate.candidate import candidate_of_workspace
from lockstep.gate.comparison import comparing, description_with, metrics_of, rules_of, tags_of
from lockstep.gate.rules import Comparison, Rules
from lockstep.gate.summary import description
from lockstep.mlflow import runs, tag
from lockstep.mlflow.registry import (
    create_version,
    describe_version,
    judgement_of,
    set_alias_unless_newer,
    version_of_state,
)
from lockstep.project import Project
from lockstep.record.run_record import RunRecord

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class Judgement:
    """What the report shows of the model and its gate.

    Attributes:
        champion: The metrics of the champion, on the same test rows if the gate compared them.
        lines: The version, the verdict with its reasons, and the champion.
    """

    champion: dict[str, float] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)


@contextlib.contextmanager
def judging(
    client: "MlflowClient", project: Project, record: RunRecord, *, gate: bool
) -> Iterator[Callable[[str, str | None], Judgement]]:
    """Start the comparison with the champion, which takes a while.

    Args:
        project: The project to whose store the record is published.
        gate: Whether to judge the model, or only to register it.

    Yields:
        A function that registers and judges the model, given the ids of its run and of the logged
        model. A state that was judged keeps its verdict.
    """
    name, rules = record.registry.get("name"), rules_of(record.registry) if gate else None
    champion = champion_of(client, name) if name else None
    own = champion is not None and champion.tags.get(tag.STATE) == record.pipeline.state
    opponent = None if own or rules is None else champion
    candidate = candidate_of_workspace(record)
    with comparing(client, project, candidate, opponent, rules or Rules()) as compare:

        def judgement(run_id: str, model_id: str | None) -> Judgement:
            if not name or model_id is None:
                return Judgement()
            comparison, note, run = None, None, client.get_run(run_id)
            version = version_of_state(client, name, record.pipeline.state, model_id)
            tags = judgement_of(version, run) if version else {}
            if rules and tag.RULES not in tags:
                comparison = compare()
                verdict = candidate.judged(comparison, rules)
                tags, note = tags_of(verdict), description_with(verdict, run)
            if version is None:
                about = note or description(record, candidate.evaluation)
                known = record.version_tags | {k: v for k, v in tags.items() if k == tag.VERDICT}
                version = create_version(client, name, run_id, model_id, known, about, ABOUT_MODEL)
            elif note:
                describe_version(client, version, tags[tag.VERDICT], note)
            if note:  # the run comes last: what it says, the version has
                runs.log(client, run_id, tags={**tags, tag.NOTE: note})
            if alias := record.registry.get("alias"):
                set_alias_unless_newer(client, version, alias, record.origin.time)
            lines = [
                *_summary(version, record, tags, comparison),
                *_outcome(client, project.root, record, version, tags),
            ]
            metrics = comparison.metrics if comparison else metrics_of(client, champion)
            return Judgement(metrics, lines)

        yield judgement


def _summary(
    version: "ModelVersion",
    record: RunRecord,
    tags: dict[str, str],
    comparison: Comparison | None,
) -> Iterator[str]:
    alias = record.registry.get("alias")
    yield f"model: {version.name} version {version.version}" + (f", alias {alias}" if alias else "")
    if tag.VERDICT in tags:
        yield f"gate: {tags[tag.VERDICT]}"
        yield from (f"  {reason}" for reason in tags[tag.REASONS].splitlines())
    if comparison and comparison.rescored and not comparison.problem:
        yield f"  (version {comparison.version} was scored again on the test data of this run)"


def _outcome(
    client: "MlflowClient",
    root: Path,
    record: RunRecord,
    version: "ModelVersion",
    tags: dict[str, str],
) -> Iterator[str]:
    """Promote the version under the policy `auto`; otherwise, report how to do it."""
    number, verdict = str(version.version), tags.get(tag.VERDICT)
    promote = f"to promote this version: uv run lockstep promote {number}"
    now = number_of(champion_of(client, version.name))
    if number == now:
        yield f"{CHAMPION}: version {number}, this one"
    elif verdict == "passed" and record.registry.get("policy") == "auto":
        before = None if tags[tag.GATE_CHAMPION] == "none" else tags[tag.GATE_CHAMPION]
        if move(client, root, version, before, reason="policy auto"):
            yield f"{CHAMPION}: version {number}, this one; previously {before or 'none'}"
        else:
            yield f"{CHAMPION}: version {now}, promoted meanwhile"
            yield promote
    else:
        if now:
            yield f"{CHAMPION}: version {now}"
        elif champions := history_of(client, version.name):
            yield f"the alias {CHAMPION} was deleted; version {champions[-1]} had it"
            promote = f"to restore it: uv run lockstep promote {champions[-1]}"
        else:
            yield f"there is no {CHAMPION} yet"
        if verdict != "failed":
            yield promote
