"""What a worker of a sweep does: it scores trial after trial, until the driver has no more.

It reads the code and the data of the project. Everything else comes from the driver.
"""

import math
import os
import pkgutil
import sys
import traceback
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep import LockstepError
from lockstep.config.compose import Composer, composer
from lockstep.config.grammar import instantiate, parsed
from lockstep.dvc.pipeline import Pipeline
from lockstep.garbage import importing
from lockstep.stage import listed_params
from lockstep.sweep.connection import Driver
from lockstep.sweep.job import THREAD_VARIABLES, Job
from lockstep.sweep.plan import Plan
from lockstep.workspace import import_from_workspace

if TYPE_CHECKING:
    from omegaconf import DictConfig


def work(job: Job) -> None:
    """Score trials until the driver has no more."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(job.threads)))
    os.chdir(job.workspace)
    import_from_workspace()
    workspace = Path.cwd()
    plan = Plan(**job.plan)
    with importing():
        pkgutil.resolve_name(plan.settings["objective"]["_target_"])
    objective = instantiate(plan.settings["objective"], *(workspace / path for path in plan.inputs))
    folder = Path(job.folder)
    with composer(folder) as compose:
        config_of = TrialConfigs(compose, plan, workspace, folder / "conf")
        driver = Driver(job.driver)
        overrides = driver.ask(job.worker)
        while overrides is not None:
            error = None
            try:
                report_values(driver, objective(config_of(overrides)))
            except Exception as problem:
                error = _reason(problem)
                print(f"trial of {' '.join(overrides)}", file=sys.stderr)
                traceback.print_exc()
            overrides = driver.ask(["end", error])


def report_values(driver: Driver, values: Iterator[float]) -> None:
    """Send the driver each value that the objective yields, until it has seen enough.

    Raises:
        LockstepError: One of them is not a number.
    """
    for step, value in enumerate(values):
        if math.isnan(value):
            raise LockstepError(f"the metric is not defined here: value {step} is not a number")
        if not driver.ask(["value", step, float(value)]):
            return


class TrialConfigs:
    """Composes the config of each trial; a combination of options is composed once."""

    def __init__(self, compose: Composer, plan: Plan, workspace: Path, conf: Path) -> None:
        """Read what the stage declares; `conf` is the folder that is composed."""
        self._conf = conf
        self._stage = plan.stage
        self._keys = Pipeline(workspace).stage(plan.stage).keys
        self._composed = cache(lambda groups: _composed(compose, [*plan.overrides, *groups]))

    def __call__(self, overrides: list[str]) -> "DictConfig":
        """The params of the stage, as composing conf/ with the overrides would give them.

        Raises:
            LockstepError: It cannot be composed.
        """
        from omegaconf import OmegaConf

        groups = tuple(item for item in overrides if (self._conf / item.partition("=")[0]).is_dir())
        cfg = self._composed(groups).copy()
        for override in map(parsed, (item for item in overrides if item not in groups)):
            OmegaConf.update(cfg, override.key_or_group, override.value(), force_add=True)
        OmegaConf.resolve(cfg)
        return listed_params(cfg, self._keys, self._stage)


def _composed(compose: Composer, overrides: list[str]) -> "DictConfig":
    """The config without its section `sweep`, which may need variables of the driver's machine."""
    from omegaconf import OmegaConf

    cfg = compose.config(overrides)
    return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "sweep"])


def _reason(error: Exception) -> str:
    """Why a trial failed; for a library's error, its class is part of the reason."""
    text = str(error) if isinstance(error, LockstepError) else f"{type(error).__name__}: {error}"
    return text.strip()


if __name__ == "__main__":
    work(Job.from_json(sys.stdin.readline()))
