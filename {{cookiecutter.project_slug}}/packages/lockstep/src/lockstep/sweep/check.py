"""Whether every trial of a sweep has a valid config, checked before the first one."""

from lockstep import LockstepError
from lockstep.config.check import Checker
from lockstep.config.compose import Composer
from lockstep.dvc.pipeline import Pipeline
from lockstep.sweep.space import Space
from lockstep.values import flattened, nearest, overlap, selected


def check_trials(
    compose: Composer, space: Space, shared: list[str], pipeline: Pipeline, stage: str
) -> None:
    """Check that each trial has a valid config, and the data that all trials share.

    Args:
        shared: The overrides that all trials share.
        stage: The stage whose functions and params the trials use.

    Raises:
        LockstepError: A trial would not.
    """
    _check_keys(compose, space, shared, pipeline.stage(stage).keys, stage)
    checker = Checker(pipeline.workspace, compose.files)
    made_before = [
        key for earlier in pipeline.ancestors(stage) for key in pipeline.stage(earlier).keys
    ]
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
                    f"before {stage} read that, and all trials share their output\n"
                    "try it with `uv run dvc exp run --queue -S ...`, or set it in conf/ for all "
                    "trials"
                )


def _check_keys(
    compose: Composer, space: Space, shared: list[str], read: list[str], stage: str
) -> None:
    branches = list(space.branches())
    if not any(dimensions or options for options, dimensions in branches):
        sections = ", ".join(f"{group}={option}" for group, option in space.where)
        there = f" (which has a space for: {sections})" if sections else ""
        raise LockstepError(
            "the sweep has nothing to try here: add it on the command line, such as "
            f"'model.alpha=interval(0.1,10)', or in conf/sweep/{there}"
        )
    for options, dimensions in branches:
        known = flattened(compose([*shared, *options]))
        for dimension in [*space.always, *dimensions]:
            key = dimension.key.lstrip("+")
            if not dimension.group and key == dimension.key and not overlap(key, known, "."):
                raise LockstepError(
                    f"the sweep would try {key}, which conf/{' with ' * bool(options)}"
                    f"{' '.join(options)} does not have{nearest(key, known)}\n"
                    f"to add a key that conf/ leaves out, write +{key}"
                )
            if not overlap(key, read, "."):
                raise LockstepError(
                    f"the sweep would try {key}, which the stage {stage} does not read: all "
                    f"trials would be the same\nit reads {', '.join(read)}"
                )
