"""What a sweep is to do, found out and checked before its first trial."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, cast

from lockstep import LockstepError
from lockstep.config.check import Checker
from lockstep.config.compose import Composer, composer
from lockstep.config.overrides import differences
from lockstep.dvc.command import DVCError, dvc_beside, run_dvc
from lockstep.dvc.dvcfile import stage_definition, stage_params
from lockstep.dvc.pipeline import Pipeline
from lockstep.files import packages_of, read_yaml, tree_digest
from lockstep.sweep.space import Space, parsed
from lockstep.values import flattened, nearest, selected
from lockstep.workspace import PARAMS

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Plan:
    """What a sweep is to do; JSON-like, so that workers elsewhere and a later day can read it.

    Attributes:
        name: The sweep's, and that of Optuna's study.
        words: Those on the command line, but for the storage: its URL may hold a password.
        overrides: What all trials share beyond conf/, in Hydra's grammar.
        space: What they try; see `Space`.
        options: The option of each config group that a trial has which draws no other.
        settings: The config group `sweep`, composed.
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
        """The metric as it is shown: of scikit-learn's `neg_...`, the positive number."""
        return str(self.settings["metric"]).removeprefix("neg_")

    @property
    def direction(self) -> Direction:
        """Which values are better."""
        chosen: Direction | None = self.settings["direction"]
        by_name = "minimize" if str(self.settings["metric"]).startswith("neg_") else "maximize"
        return chosen or cast(Direction, by_name)


def plan_of(workspace: Path, words: Sequence[str]) -> Plan:
    """Plan a sweep, and bring the data up to date that its trials share.

    Where the trials are kept is no part of the plan: see `settings_of`.

    Args:
        workspace: The project's folder.
        words: From the command line, in Hydra's grammar: a value is what all trials share, a
            sweep (`choice(...)`, `a,b`, `range(...)`, `interval(...)`) is what they try.

    Raises:
        LockstepError: It cannot be done so.
    """
    words = [word for word in words if not word.lstrip("+").startswith("sweep.storage=")]
    overrides, tried = _read(words)
    with composer(workspace) as compose:
        params = compose(overrides)
        settings = params.pop("sweep")
        del settings["storage"]
        lines = _merged(settings.pop("space"), overrides, tried)
        options = {
            group: option
            for group, option in compose.options(overrides).items()
            if isinstance(option, str) and not group.startswith("hydra")
        }
        space = Space(lines, options, workspace / "conf")
        pipeline = Pipeline(workspace)
        before = pipeline.ancestors(settings["stage"])
        with _is_up_to_date(workspace, before) as is_up_to_date:
            _check(compose, space, overrides, pipeline, settings["stage"])
            done = is_up_to_date()
    if not done:
        _bring_up_to_date(workspace, before)
    _require_same_params_before(pipeline, settings["stage"], params)
    inputs = pipeline.inputs(settings["stage"])
    return Plan(
        name=settings["name"] or f"sweep-{datetime.now():%Y%m%d-%H%M%S}",
        words=words,
        overrides=overrides,
        space=lines,
        options=options,
        settings=settings,
        inputs=inputs,
        basis=_basis(Pipeline(workspace), settings, params, inputs),
    )


def settings_of(workspace: Path, words: Sequence[str]) -> dict[str, Any]:
    """The config group `sweep`, with what the command line says."""
    with composer(workspace) as compose:
        settings: dict[str, Any] = compose(_read(words)[0])["sweep"]
    return settings


def require_same(plan: Plan, again: Plan) -> None:
    """See that a sweep which goes on is still the same one.

    Args:
        plan: As it began.
        again: As it would begin now.

    Raises:
        LockstepError: Its trials could not be compared.
    """
    old = {**plan.basis, "space": plan.space, "metric": [plan.metric, plan.direction]}
    new = {**again.basis, "space": again.space, "metric": [again.metric, again.direction]}
    if changed := differences(old, new):
        rows = [f"  {item.key}: {item.left_text} then, {item.right_text} now" for item in changed]
        raise LockstepError(
            f"the sweep {plan.name} began with other code, data or config:\n"
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
            raise LockstepError(f"{word}: a sweep cannot take a key away; do so in conf/")
        else:
            # An engine is a file of settings, not a name.
            shared.append(f"sweep/engine={value}" if key == "sweep.engine" else word)
    chosen = any(word.startswith("sweep=") for word in shared)
    return shared if chosen else ["sweep=default", *shared], tried


def _merged(space: dict[str, Any], shared: list[str], tried: dict[str, str]) -> dict[str, Any]:
    """What the config tries, but for the keys that the command line settles; and what that tries.

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


def _check(
    compose: Composer, space: Space, shared: list[str], pipeline: Pipeline, stage: str
) -> None:
    """See that each trial has a valid config, and differs in nothing that trials share.

    Raises:
        LockstepError: Not so.
    """
    _check_keys(compose, space, shared, stage_params(pipeline.declared, stage), stage)
    checker = Checker(pipeline.workspace, compose.files)
    made_before = list(_params_before(pipeline, stage))
    base = compose(shared)
    checker(base, shared)
    for probe in space.probes():
        try:
            params = compose([*shared, *probe])
            checker(params, [*shared, *probe])
        except LockstepError as error:
            raise LockstepError(f"the sweep would try {' '.join(probe)}, but {error}") from error
        for key in made_before:
            if selected(params, key) != selected(base, key):
                raise LockstepError(
                    f"the sweep would try {' '.join(probe)}, which changes {key}: the stages "
                    f"before {stage} read that, and all trials share what they made\n"
                    "try it with `dvc exp run --queue -S ...`, or set it in conf/ for all trials"
                )


def _check_keys(
    compose: Composer, space: Space, shared: list[str], read: list[str], stage: str
) -> None:
    if not any(dimensions or options for options, dimensions in space.branches()):
        sections = ", ".join(f"{group}={option}" for group, option in space.where) or "none"
        raise LockstepError(
            "the sweep has nothing to try here: name it on the command line, such as "
            f"'model.alpha=interval(0.1,10)', or in conf/sweep/ (which has a space for: {sections})"
        )
    for options, dimensions in space.branches():
        known = flattened(compose([*shared, *options]))
        for dimension in [*space.always, *dimensions]:
            key = dimension.key.lstrip("+")
            if not dimension.group and key == dimension.key and not _within(key, known):
                raise LockstepError(
                    f"the sweep would try {key}, which conf/{' with ' * bool(options)}"
                    f"{' '.join(options)} does not have{nearest(key, known)}\n"
                    f"to add a key that conf/ leaves out, write +{key}"
                )
            if not _within(key, read):
                raise LockstepError(
                    f"the sweep would try {key}, which the stage {stage} does not read: all "
                    f"trials would be the same\nit reads {', '.join(read)}"
                )


def _within(key: str, others: Iterable[str]) -> bool:
    """Whether one of the others is the key, lies below it or above it."""
    return any(
        key == other or other.startswith(f"{key}.") or key.startswith(f"{other}.")
        for other in others
    )


def _params_before(pipeline: Pipeline, stage: str) -> Iterator[str]:
    for name in pipeline.ancestors(stage):
        yield from stage_params(pipeline.declared, name)


@contextlib.contextmanager
def _is_up_to_date(workspace: Path, stages: list[str]) -> Iterator[Callable[[], bool]]:
    """Have DVC look whether some stages have to run, while there is something else to do."""
    if not stages:
        yield lambda: True
        return
    status = ("status", "--json", "--with-deps", *stages)
    with dvc_beside(*status, cwd=workspace) as output:
        yield lambda: output() == "{}"


def _bring_up_to_date(workspace: Path, stages: list[str]) -> None:
    """Run the stages whose data the trials share.

    Raises:
        LockstepError: They fail.
    """
    print(f"data: dvc repro {' '.join(stages)}", flush=True)
    try:
        run_dvc("repro", *stages, cwd=workspace)
    except DVCError as error:
        raise LockstepError("the data for the trials could not be made: see above") from error


def _require_same_params_before(pipeline: Pipeline, stage: str, params: dict[str, Any]) -> None:
    """See that the data is what the trials' params ask for.

    Raises:
        LockstepError: It is not.
    """
    current = read_yaml(pipeline.workspace / PARAMS) or {}
    for key in _params_before(pipeline, stage):
        here, asked = selected(current, key), selected(params, key)
        if here != asked:
            raise LockstepError(
                f"the data was made with {key}: {here}, and the sweep asks for {asked}: "
                "all trials share the data, so set it in conf/ first"
            )


def _basis(
    pipeline: Pipeline, settings: dict[str, Any], params: dict[str, Any], inputs: list[str]
) -> dict[str, Any]:
    """What makes two trials comparable."""
    stage = settings["stage"]
    made = {path: md5 for locked in pipeline.locked.values() for path, md5 in locked.outs.items()}
    deps = stage_definition(pipeline.declared, stage).get("deps", [])
    objective = find_spec(settings["objective"]["_target_"].rpartition(".")[0])
    code = [path for path in deps if path not in inputs]
    if objective and objective.origin:
        code.append(Path(os.path.relpath(objective.origin, pipeline.workspace)).as_posix())
    return {
        "params": {key: selected(params, key) for key in stage_params(pipeline.declared, stage)},
        "objective": settings["objective"],
        "data": {path: made.get(path) or tree_digest(pipeline.workspace / path) for path in inputs},
        "code": {path: tree_digest(pipeline.workspace / path) for path in code},
        "packages": packages_of(pipeline.workspace),
    }
