"""`lockstep sweep --apply`: run the pipeline with the params of a trial."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep import LockstepError
from lockstep.config.compose import composer
from lockstep.config.grammar import parsed
from lockstep.dvc.command import DVCError, run_dvc
from lockstep.mlflow import runs, tag
from lockstep.project import Project
from lockstep.sweep.plan import Plan, settings_of
from lockstep.sweep.study import OVERRIDES, PARENT, PLAN, ended_trials, find_study
from lockstep.sweep.summary import best_first, value_of

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

HEADER = """\
# @package _global_
# dvc exp run -S experiment={name}
# Trial {trial.number} of the sweep {plan.name}: its {plan.metric} there was {value:.6g}.
"""


def apply(workspace: Path, words: Sequence[str], wanted: str) -> None:
    """Write a trial as an experiment into conf/, and run the pipeline with it.

    Args:
        words: Settings; sweep.name chooses the sweep, by default the newest.
        wanted: The trial's number, or `best`.

    Raises:
        LockstepError: There is no such trial, or the pipeline fails.
    """
    project = Project(workspace)
    study = find_study(project.root, settings_of(workspace, words))
    plan = Plan(**study.user_attrs[PLAN])
    trial = _chosen(study, plan, wanted)
    name = f"{plan.name}-{trial.number}"
    overrides = [*_shared(plan), *trial.user_attrs[OVERRIDES]]
    header = HEADER.format(name=name, trial=trial, plan=plan, value=value_of(trial))
    _write_experiment(workspace, name, header, overrides)
    command = ["exp", "run", "--name", name, "--set-param", f"experiment={name}"]
    print(f"$ dvc {' '.join(command)}", flush=True)
    try:
        run_dvc(*command, cwd=workspace)
    except DVCError as error:
        raise LockstepError(
            f"the pipeline failed; fix that, then run `uv run dvc exp run -S experiment={name}`"
        ) from error
    _link(project, plan, study, trial)
    print(f"to keep it: git add conf/experiment/{name}.yaml, and commit it with the results")


def _chosen(study: "Study", plan: Plan, wanted: str) -> "FrozenTrial":
    trials = best_first(ended_trials(study), plan.direction)
    if not trials:
        raise LockstepError(
            f"no trial of {plan.name} is complete: `uv run lockstep sweep --resume`"
        )
    for trial in trials:
        if wanted in ("best", str(trial.number)):
            return trial
    numbers = ", ".join(str(number) for number in sorted(trial.number for trial in trials))
    raise LockstepError(
        f"{plan.name} has no complete trial {wanted}: name one of {numbers}, or `best`"
    )


def _shared(plan: Plan) -> list[str]:
    """What all trials share, without the settings of the sweep itself."""
    own = ("sweep=", "sweep.", "sweep/")
    return [word for word in plan.overrides if not word.lstrip("+").startswith(own)]


def _write_experiment(workspace: Path, name: str, header: str, overrides: list[str]) -> None:
    """Write conf/experiment/<name>.yaml, unless it exists; fail if that one is different."""
    import yaml

    path = workspace / "conf" / "experiment" / f"{name}.yaml"
    shown = path.relative_to(workspace).as_posix()
    content = _experiment(workspace / "conf", overrides)
    text = f"{header}\n{yaml.safe_dump(content, sort_keys=False, allow_unicode=True)}"
    if path.exists():
        if path.read_text(encoding="utf-8") != text:
            raise LockstepError(
                f"{shown} already exists and is different: move it away, or run the pipeline "
                f"with it: `uv run dvc exp run -S experiment={name}`"
            )
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    same = False
    try:
        with composer(workspace) as compose:
            same = compose([f"experiment={name}"]) == compose(overrides)
    finally:
        if not same:
            path.unlink()
    if not same:
        options = " ".join(f"-S '{override}'" for override in overrides)
        raise LockstepError(
            f"this trial cannot be written as {shown}: run `uv run dvc exp run {options}`"
        )
    print(f"wrote {shown}")


def _experiment(conf: Path, overrides: list[str]) -> dict[str, Any]:
    """Overrides as the content of a config file."""
    defaults: list[Any] = []
    values: dict[str, Any] = {}
    for override in map(parsed, overrides):
        key, value = override.key_or_group, override.value()
        if key == "experiment":
            defaults.insert(0, value)
        elif (conf / key).is_dir():
            defaults.append({f"override /{key}": value})
        else:
            *outer, last = key.split(".")
            node = values
            for part in outer:
                node = node.setdefault(part, {})
            node[last] = value
    return {**({"defaults": [*defaults, "_self_"]} if defaults else {}), **values}


def _link(project: Project, plan: Plan, study: "Study", trial: "FrozenTrial") -> None:
    """Tag the run with the trial it came from, and the sweep with the run."""
    run_id = project.store.find_finished(project.pipeline.state)
    sweep_id = study.user_attrs.get(PARENT)
    if run_id is None or sweep_id is None:
        print("note: MLflow does not have both the run and the sweep, so they are not linked")
        return
    with project.store.errors_explained():
        client = project.store.client()
        tags = {tag.SWEEP: plan.name, tag.TRIAL: str(trial.number), tag.SWEEP_RUN: sweep_id}
        runs.log(client, run_id, tags=tags)
        runs.log(client, sweep_id, tags={f"sweep.applied.{trial.number}": run_id})
