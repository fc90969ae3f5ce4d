"""`lockstep reproduce`: rebuild a run in a worktree beside the project, and compare the results."""

import contextlib
import platform
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep import LockstepError
from lockstep.dvc.cache import fetch_missing
from lockstep.dvc.pipeline import Pipeline
from lockstep.lineage.target import TARGETS, Target, resolve_target
from lockstep.project import Project
from lockstep.rebuild.evidence import (
    DIFFERENT,
    IDENTICAL,
    Evidence,
    Reproduction,
    evidence_of,
    recorded_evidence,
)
from lockstep.rebuild.models import why_models_differ
from lockstep.rebuild.restore import Restored, StageFailedError
from lockstep.rebuild.worktree import clear_abandoned
from lockstep.record.provenance import SEPARATOR
from lockstep.record.published import environment_of
from lockstep.terminal import show, table

if TYPE_CHECKING:
    from mlflow.entities import Run

EXAMPLE = "lockstep reproduce models:/bike-hire@champion"
SHOWN_DIGITS = 10


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument("target", help=TARGETS)
    parser.add_argument(
        "--from",
        dest="start",
        metavar="STAGE",
        help="start with this stage, and take the results of earlier ones from DVC",
    )
    parser.add_argument(
        "--current-environment",
        action="store_true",
        help="use the installed packages instead of those of the run's uv.lock",
    )
    parser.add_argument(
        "--checkout-only", action="store_true", help="restore code, data and outputs; run nothing"
    )
    parser.add_argument("--keep", action="store_true", help="keep the worktree")


def run(arguments: Namespace) -> bool:
    """Run the verb; return whether the metrics differ."""
    project = Project(Path.cwd())
    target = resolve_target(arguments.target, project)
    print(f"code: {target.revision[:10]}, the snapshot of {target.name}", flush=True)
    clear_abandoned(project.root)
    restored = Restored(project.root, target.name.rpartition(SEPARATOR)[2], target.revision)
    try:
        return _compare(project, restored, target, arguments)
    except BaseException as error:
        if not arguments.keep and not isinstance(error, StageFailedError):
            restored.remove()
        raise
    finally:
        restored.release()


def _compare(project: Project, restored: Restored, target: Target, arguments: Namespace) -> bool:
    """Rebuild and show the differences; return whether the metrics differ."""
    reproduction = _rebuild(project, restored, target.run, arguments)
    if reproduction is None:
        print(f"restored: {restored.folder}\n{restored.removal}")
        return False
    _show(reproduction, target.name, why_models_differ(reproduction, project.root, restored.folder))
    differs = reproduction.verdict == DIFFERENT
    if arguments.keep or differs:
        print(f"kept: {restored.folder}\n{restored.removal}")
    else:
        restored.remove()
    return differs


def _rebuild(
    project: Project, restored: Restored, run: "Run | None", arguments: Namespace
) -> Reproduction | None:
    """Restore data and environment, and run the stages again; None with `--checkout-only`."""
    pipeline = Pipeline(restored.folder)
    environment = environment_of(project.store.client(), run) if run else {}
    with contextlib.suppress(LockstepError):  # then the run alone tells the metrics
        fetch_missing(project.root, pipeline.outs_at(*pipeline.metric_files()), restored.folder)
    recorded = recorded_evidence(pipeline, run, environment)
    _print_notes(recorded, pipeline)
    stages = _stages_from(pipeline, arguments.start)
    earlier = [name for name in pipeline.upstream if name not in stages]
    print(f"data: {', '.join(pipeline.sources()) or 'none'}, from DVC", flush=True)
    restored.fetch_data(pipeline, pipeline.upstream if arguments.checkout_only else earlier)
    if arguments.current_environment:
        print("environment: the current one", flush=True)
    else:
        print("environment: uv sync --frozen", flush=True)
        restored.install(recorded.environment.get("python"))
    if arguments.checkout_only:
        return None
    print(f"running {', '.join(stages)} in {restored.folder}", flush=True)
    restored.rerun(stages)
    return Reproduction(recorded, evidence_of(Pipeline(restored.folder)), stages)


def _stages_from(pipeline: Pipeline, start: str | None) -> list[str]:
    """The stages to run, in order."""
    stages = list(pipeline.upstream)
    if start is None:
        return stages
    if start not in stages:
        raise LockstepError(f"there is no stage {start!r}: choose one of {', '.join(stages)}")
    return stages[stages.index(start) :]


def _print_notes(recorded: Evidence, pipeline: Pipeline) -> None:
    """Print why the results may differ, before any long-running step."""
    if edited := pipeline.edited_code():
        print(f"note: only later versions of {', '.join(edited)} exist, not what the stages read")
    then, now = recorded.environment.get("platform", ""), platform.platform()
    if then and then.partition("-")[0] != now.partition("-")[0]:
        print(f"note: it ran on {then}, this is {now}: the last digits may differ")


def _show(reproduction: Reproduction, name: str, why: Iterable[str]) -> None:
    rows = [
        (row.name, _text(row.recorded), "same" if row.same else _text(row.reproduced))
        for row in [*reproduction.outputs, *reproduction.metrics]
    ]
    headings = ("", "recorded", "reproduced")
    show("", table(headings, rows, numeric=headings[1:]))
    for row in reproduction.environment:
        show(f"environment: {row.name} was {row.recorded}, is {row.reproduced} now")
    if reproduction.verdict != IDENTICAL:
        show(f"first difference: {reproduction.first_difference()}")
    for line in why:
        show(line)
    show(f"{name}: {reproduction.verdict}")


def _text(value: str | float | None) -> str:
    if value is None:
        return "-"
    return value[:SHOWN_DIGITS] if isinstance(value, str) else f"{value:.{SHOWN_DIGITS}g}"
