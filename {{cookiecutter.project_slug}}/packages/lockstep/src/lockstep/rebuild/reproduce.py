"""Rebuild what a run shows, from its own record, and compare: `lockstep reproduce`."""

import platform
from pathlib import Path

from lockstep import LockstepError
from lockstep.dvc.environment import project_root
from lockstep.dvc.pipeline import Pipeline
from lockstep.files import packages_of
from lockstep.lineage.target import Target, resolve_target
from lockstep.mlflow.store import store_of
from lockstep.rebuild.evidence import DIFFERENT, IDENTICAL, Comparison, Evidence
from lockstep.rebuild.restore import Restored, StageFailedError
from lockstep.record.run_record import metrics_of

SHOWN_DIGITS = 10


def reproduce(
    workspace: Path,
    word: str,
    *,
    start: str | None = None,
    current_environment: bool = False,
    only_restore: bool = False,
    keep: bool = False,
) -> bool:
    """Restore what a run shows in a worktree beside the project, run it again, and compare.

    Args:
        workspace: The project's folder.
        word: What to rebuild, as `resolve_target` understands it.
        start: The first stage to run; what those before it made comes from DVC. All run by default.
        current_environment: Use the installed environment, not the one that the state's uv.lock
            locks.
        only_restore: Stop when code, data and outputs are back.
        keep: Leave the worktree there also when all is the same.

    Returns:
        Whether the metrics came out the same.

    Raises:
        LockstepError: It cannot be restored, or does not run; says what is missing.
    """
    root = project_root(workspace)
    found = resolve_target(word, root, store_of(workspace))
    print(f"code: {found.revision[:10]}, the snapshot of {found.name}", flush=True)
    restored = Restored(root, found.name, found.revision)
    try:
        pipeline = Pipeline(restored.folder)
        recorded = _recorded(found, pipeline)
        _warn(recorded, pipeline)
        stages = _stages_from(pipeline, start)
        print(f"data: {', '.join(pipeline.sources()) or 'none'}, by DVC", flush=True)
        others = list(pipeline.upstream) if only_restore else _before(pipeline, stages)
        restored.bring(pipeline, others)
        if current_environment:
            print("environment: the current one", flush=True)
        else:
            print("environment: uv sync --frozen", flush=True)
            restored.install(recorded.environment.get("python"))
        if only_restore:
            print(f"restored: {restored.folder}")
            print(restored.removal)
            return True
        print(f"running {', '.join(stages)} in {restored.folder}", flush=True)
        restored.rerun(stages)
        comparison = Comparison(recorded, _evidence(Pipeline(restored.folder)), stages)
    except BaseException as error:
        if not keep and not isinstance(error, StageFailedError):
            restored.remove()
        raise
    same = comparison.verdict != DIFFERENT
    _show(comparison, found)
    if keep or not same:
        print(f"kept: {restored.folder}")
        print(restored.removal)
    else:
        restored.remove()
    return same


def _recorded(found: Target, pipeline: Pipeline) -> Evidence:
    """What was recorded: the numbers that MLflow shows, where it shows the state."""
    evidence = _evidence(pipeline)
    if found.run is None:
        packages = packages_of(pipeline.workspace)
        return Evidence(evidence.stages, evidence.metrics, packages)
    tags, shown = found.run.data.tags, found.run.data.metrics
    environment = {
        "platform": tags.get("system.platform", ""),
        **{
            key.removeprefix("package."): value
            for key, value in tags.items()
            if key.startswith("package.")
        },
    }
    metrics = {name: shown.get(name, value) for name, value in evidence.metrics.items()}
    return Evidence(evidence.stages, metrics, environment)


def _evidence(pipeline: Pipeline) -> Evidence:
    """What a workspace holds now."""
    environment = {"platform": platform.platform(), **packages_of(pipeline.workspace)}
    return Evidence(pipeline.upstream, metrics_of(pipeline), environment)


def _stages_from(pipeline: Pipeline, start: str | None) -> list[str]:
    """The stages to run, in order."""
    stages = pipeline.in_order()
    if start is None:
        return stages
    if start not in stages:
        raise LockstepError(
            f"there is no stage {start!r} to start from; there are {', '.join(stages)}"
        )
    return stages[stages.index(start) :]


def _before(pipeline: Pipeline, stages: list[str]) -> list[str]:
    return [name for name in pipeline.in_order() if name not in stages]


def _warn(recorded: Evidence, pipeline: Pipeline) -> None:
    """Say before anything long what may come out otherwise."""
    if edited := pipeline.edited_code():
        print(f"note: {', '.join(edited)}: nobody kept what the stages read, only a later version")
    there, here = recorded.environment.get("platform", ""), platform.platform()
    if there and there.partition("-")[0] != here.partition("-")[0]:
        print(f"note: it ran on {there}, this is {here}: the last digits may differ")


def _show(comparison: Comparison, found: Target) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    table.add_column("recorded", justify="right")
    table.add_column("reproduced", justify="right")
    for row in [*comparison.outputs, *comparison.metrics]:
        table.add_row(row.name, _text(row.recorded), "same" if row.same else _text(row.reproduced))
    console.print()
    console.print(table)
    for row in comparison.environment:
        console.print(f"environment: {row.name} {row.recorded} then, {row.reproduced} now")
    if comparison.verdict != IDENTICAL:
        console.print(f"it begins here: {comparison.beginning()}")
    console.print(f"{found.name}: {comparison.verdict}")


def _text(value: str | float | None) -> str:
    if value is None:
        return "-"
    return value[:SHOWN_DIGITS] if isinstance(value, str) else f"{value:.{SHOWN_DIGITS}g}"
