"""The plan of a sweep, made and checked before its first trial."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, cast

from lockstep import LockstepError
from lockstep.config.check import require_no_environment
from lockstep.config.compose import composer
from lockstep.config.grammar import parsed
from lockstep.config.overrides import differences
from lockstep.dvc.command import DVCError, dvc_beside, run_dvc
from lockstep.files import tree_digest
from lockstep.project import Project
from lockstep.sweep.check import check_trials
from lockstep.sweep.settings import complete, require_group
from lockstep.sweep.space import Space
from lockstep.values import selected

Direction = Literal["maximize", "minimize"]
NEGATED = "neg_"  # scikit-learn's prefix of scorers that negate an error, so that more is better


@dataclass(frozen=True)
class Plan:
    """What a sweep is to do; JSON-like, so that workers and a later process can read it.

    Attributes:
        name: The name of the sweep, and of Optuna's study.
        words: The command line, except for the storage: its URL may hold a password.
        overrides: What all trials share beyond conf/, in Hydra's grammar.
        space: What they try; see `Space`.
        options: The option of each config group in trials that do not try others.
        settings: The config group `sweep`, composed and completed.
        inputs: The data that trials learn from.
        basis: What makes two trials comparable: the params, data, code and packages they share.
    """

    name: str
    words: list[str]
    overrides: list[str]
    space: dict[str, Any]
    options: dict[str, str]
    settings: dict[str, Any]
    inputs: list[str]
    basis: dict[str, Any]

    @property
    def stage(self) -> str:
        """The stage whose functions and params the trials use."""
        return str(self.settings["stage"])

    @property
    def metric(self) -> str:
        """The metric as it is shown: for scikit-learn's `neg_...`, the positive number."""
        return str(self.settings["metric"]).removeprefix(NEGATED)

    @property
    def direction(self) -> Direction:
        """Which values are better."""
        chosen: Direction | None = self.settings["direction"]
        by_name = "minimize" if str(self.settings["metric"]).startswith(NEGATED) else "maximize"
        return chosen or cast(Direction, by_name)


def plan_of(workspace: Path, words: Sequence[str]) -> Plan:
    """Plan a sweep, and bring the data up to date that its trials share.

    Where the trials are kept is not part of the plan: see `settings_of`.

    Args:
        words: From the command line, in Hydra's grammar: all trials share a single value, and try
            the values of a sweep (`choice(...)`, `a,b`, `range(...)`, `interval(...)`).

    Raises:
        LockstepError: Its trials could not run, or would not be comparable.
    """
    words = [word for word in words if not word.lstrip("+").startswith("sweep.storage=")]
    require_group(workspace)
    overrides, tried = _read(words)
    project = Project(workspace)
    with composer(workspace) as compose:
        require_no_environment(compose, overrides, workspace)
        params = compose(overrides)
        settings = complete(params.pop("sweep"))
        del settings["storage"]
        lines = _merged(settings.pop("space"), overrides, tried)
        options = compose.options(overrides)
        space = Space(lines, options, workspace / "conf")
        earlier = project.pipeline.ancestors(settings["stage"])
        # DVC takes as long as the checks do.
        with dvc_beside("status", "--json", "--with-deps", *earlier, cwd=workspace) as status:
            check_trials(compose, space, overrides, project.pipeline, settings["stage"])
            is_up_to_date = not earlier or status() == "{}"
    if not is_up_to_date:
        _bring_up_to_date(workspace, earlier)
        project = Project(workspace)
    _require_data_of(params, project, earlier)
    inputs = project.pipeline.inputs(settings["stage"])
    return Plan(
        name=settings["name"] or f"sweep-{datetime.now():%Y%m%d-%H%M%S}",
        words=words,
        overrides=overrides,
        space=lines,
        options=options,
        settings=settings,
        inputs=inputs,
        basis=_basis(project, settings, params, inputs),
    )


def settings_of(workspace: Path, words: Sequence[str]) -> dict[str, Any]:
    """The config group `sweep`, with the overrides of the command line."""
    require_group(workspace)
    with composer(workspace) as compose:
        return complete(compose(_read(words)[0])["sweep"])


def require_same(plan: Plan, again: Plan) -> None:
    """Check that the trials of a sweep and those of its continuation, `again`, can be compared.

    Raises:
        LockstepError: They cannot.
    """
    old = {**plan.basis, "space": plan.space, "metric": [plan.metric, plan.direction]}
    new = {**again.basis, "space": again.space, "metric": [again.metric, again.direction]}
    if changed := differences(old, new):
        rows = [f"  {item.key}: {item.left_text} then, {item.right_text} now" for item in changed]
        raise LockstepError(
            f"the sweep {plan.name} started with different code, data or config:\n"
            + "\n".join(rows)
            + "\nits trials and new ones cannot be compared: start a new sweep, or undo the change"
        )


def _read(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """What all trials share, and what they try."""
    shared, tried = [], {}
    for word in words:
        override = parsed(word)
        key, _, value = word.partition("=")
        if override.is_sweep_override():
            tried[key] = value
        elif override.is_delete():
            raise LockstepError(f"{word}: a sweep cannot remove a key; do so in conf/")
        else:
            # An engine is a file of settings, not a name.
            shared.append(f"sweep/engine={value}" if key == "sweep.engine" else word)
    chosen = any(word.startswith("sweep=") for word in shared)
    return shared if chosen else ["sweep=default", *shared], tried


def _merged(space: dict[str, Any], shared: list[str], tried: dict[str, str]) -> dict[str, Any]:
    """What the config tries, without the keys on the command line, and what the latter tries.

    A section of an option stays where the option is chosen or tried.
    """
    settled = {*(word.partition("=")[0] for word in shared), *tried}
    merged = {
        key: {name: value for name, value in line.items() if name not in settled}
        if isinstance(line, dict)
        else line
        for key, line in space.items()
        if key not in settled
    }
    return {**merged, **tried}


def _bring_up_to_date(workspace: Path, stages: list[str]) -> None:
    """Run the stages whose data the trials share."""
    print(f"data: dvc repro {' '.join(stages)}", flush=True)
    try:
        run_dvc("repro", *stages, cwd=workspace)
    except DVCError as error:
        raise LockstepError("the data for the trials could not be made: see above") from error


def _require_data_of(params: dict[str, Any], project: Project, stages: list[str]) -> None:
    """Check that the stages made the data with the params of the trials."""
    for stage in stages:
        for key in project.pipeline.stage(stage).keys:
            used, wanted = selected(project.params, key), selected(params, key)
            if used != wanted:
                raise LockstepError(
                    f"the data was made with {key}: {used}, and the sweep asks for {wanted}: "
                    "all trials share the data, so set it in conf/ first"
                )


def _basis(
    project: Project, settings: dict[str, Any], params: dict[str, Any], inputs: list[str]
) -> dict[str, Any]:
    """What makes two trials comparable."""
    workspace, stage = project.workspace, project.pipeline.stage(settings["stage"])
    # The published stages may not have run yet, so `Pipeline.written` is not available.
    written = {
        path: md5
        for locked in project.pipeline.locked.values()
        for path, md5 in locked.outs.items()
    }
    objective = find_spec(settings["objective"]["_target_"].rpartition(".")[0])
    code = [path for path in stage.deps if path not in inputs]
    if objective and objective.origin:
        code.append(Path(os.path.relpath(objective.origin, workspace)).as_posix())
    return {
        "params": {key: selected(params, key) for key in stage.keys},
        "objective": settings["objective"],
        "data": {path: written.get(path) or tree_digest(workspace / path) for path in inputs},
        "code": {path: tree_digest(workspace / path) for path in code},
        "packages": project.packages,
    }
