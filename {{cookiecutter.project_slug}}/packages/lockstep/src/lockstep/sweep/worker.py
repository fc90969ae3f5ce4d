"""What a worker of a sweep does: trial after trial, until there are enough.

Workers share nothing but Optuna's storage, the code and the data.
"""

import contextlib
import inspect
import json
import math
import os
import random
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep import LockstepError
from lockstep.config.compose import Composer, composer
from lockstep.dvc.dvcfile import stage_params
from lockstep.dvc.pipeline import Pipeline
from lockstep.garbage import importing
from lockstep.stage import listed_params
from lockstep.sweep.plan import Plan
from lockstep.sweep.space import Space, parsed
from lockstep.sweep.study import (
    DRIVER,
    ERROR,
    OVERRIDES,
    SURPLUS,
    WORKER,
    StorageGone,
    counting,
    open_storage,
    storage_errors_explained,
)
from lockstep.workspace import import_from_workspace

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from optuna.study import Study
    from optuna.trial import Trial

# What keeps numerical libraries, and joblib's `n_jobs=-1`, from using all cores in each worker.
THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
    *("VECLIB_MAXIMUM_THREADS", "LOKY_MAX_CPU_COUNT"),
)


@dataclass(frozen=True)
class Job:
    """What a worker has to know.

    Attributes:
        workspace: The project's folder.
        storage: Optuna's, a URL or a path.
        plan: That of the sweep, as JSON-like values.
        folder: With a copy of conf/ as it was when the sweep began.
        driver: Who asks for it; when another one takes over, the worker ends.
        worker: A name of its own.
        threads: How many cores it may use.
        deadline: When the last trial may begin, in seconds since 1970; None: whenever.
    """

    workspace: str
    storage: str
    plan: dict[str, Any]
    folder: str
    driver: str
    worker: str
    threads: int
    deadline: float | None

    def as_json(self) -> str:
        """For another process."""
        return json.dumps(asdict(self))


class SupersededError(Exception):
    """Another driver took the sweep over, or another worker the trial's place."""


def work(job: Job) -> None:
    """Run trials until there are enough."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(job.threads)))
    os.chdir(job.workspace)
    import_from_workspace()
    workspace = Path.cwd()
    plan = Plan(**job.plan)
    with importing():
        import optuna
        from hydra.utils import get_object, instantiate

        get_object(plan.settings["objective"]["_target_"])
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    objective = instantiate(plan.settings["objective"], *(workspace / path for path in plan.inputs))
    study = optuna.load_study(study_name=plan.name, storage=open_storage(job.storage))
    study.sampler = _sampler(plan, job.worker, len(study.get_trials(deepcopy=False)))
    study.pruner = instantiate(plan.settings["pruner"]) or optuna.pruners.NopPruner()
    folder = Path(job.folder)
    space = Space(plan.space, plan.options, folder / "conf")
    with composer(folder) as compose:
        config_of = TrialConfigs(compose, plan, workspace, folder / "conf")

        def run(trial: "Trial") -> float:
            with _past_optuna():
                trial.set_user_attr(WORKER, [job.driver, job.worker])
                _take_place(study, trial, plan)
                with _recorded(trial):
                    overrides = space.draw(trial)
                    trial.set_user_attr(OVERRIDES, overrides)
                    return _score(objective(config_of(overrides)), trial)

        def stop_in_time(study: "Study", _: object) -> None:
            if not _is_wanted(study, plan, job):
                study.stop()

        with _may_be_called_lost(), storage_errors_explained():
            if _is_wanted(study, plan, job):
                study.optimize(run, catch=(Exception,), callbacks=[stop_in_time])


class TrialConfigs:
    """Composes the config of each trial; a combination of options is composed once."""

    def __init__(self, compose: Composer, plan: Plan, workspace: Path, conf: Path) -> None:
        """Compose nothing yet.

        Args:
            compose: Composes conf/.
            plan: That of the sweep.
            workspace: The project's folder.
            conf: The folder that is composed.
        """
        self._conf = conf
        self._stage = plan.stage
        self._keys = stage_params(Pipeline(workspace).declared, plan.stage)
        self._composed = cache(lambda groups: self._compose(compose, [*plan.overrides, *groups]))

    def __call__(self, overrides: list[str]) -> "DictConfig":
        """The params of the stage, as composing conf/ with the overrides would have them.

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

    def _compose(self, compose: Composer, overrides: list[str]) -> "DictConfig":
        """All but the sweep's own section, which may need variables of the driver's machine."""
        from omegaconf import OmegaConf

        cfg = compose.config(overrides)
        return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "sweep"])


def _sampler(plan: Plan, worker: str, trials: int) -> Any:
    """The sampler, with a seed of its own: workers with equal ones would try the same."""
    from hydra.utils import get_class, instantiate

    settings = plan.settings["sampler"]
    if "seed" not in inspect.signature(get_class(settings["_target_"])).parameters:
        return instantiate(settings)
    number = worker.rpartition("-")[2]
    seed = random.Random(f"{plan.settings['seed']} {number} {trials}").getrandbits(32)
    return instantiate({"seed": seed, **settings})


def _is_wanted(study: "Study", plan: Plan, job: Job) -> bool:
    in_time = job.deadline is None or time.time() < job.deadline
    mine = study.user_attrs.get(DRIVER) == job.driver
    return in_time and mine and len(counting(study)) < plan.settings["n_trials"]


def _take_place(study: "Study", trial: "Trial", plan: Plan) -> None:
    """See that two workers have not begun the last trial at once.

    Raises:
        SupersededError: They have, and this one came second.
    """
    before = [other for other in counting(study) if other.number < trial.number]
    if len(before) >= plan.settings["n_trials"]:
        trial.set_user_attr(SURPLUS, True)
        raise SupersededError


def _score(values: Iterator[float], trial: "Trial") -> float:
    """The last of the values that the objective gives, unless the pruner has heard enough.

    Raises:
        LockstepError: One of them is no number.
    """
    import optuna

    value = float("nan")
    for step, value in enumerate(values):
        if math.isnan(value):
            raise LockstepError(f"the metric is not defined here: value {step} is not a number")
        trial.report(value, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return value


@contextlib.contextmanager
def _recorded(trial: "Trial") -> Iterator[None]:
    """Keep what went wrong with the trial."""
    import optuna

    try:
        yield
    except (optuna.TrialPruned, optuna.exceptions.StorageInternalError):
        raise
    except Exception as error:
        said = (
            str(error) if isinstance(error, LockstepError) else f"{type(error).__name__}: {error}"
        )
        trial.set_user_attr(ERROR, said.strip())
        tried = " ".join(trial.user_attrs.get(OVERRIDES, []))
        print(f"trial {trial.number}: {tried}", file=sys.stderr)
        traceback.print_exc()
        raise


@contextlib.contextmanager
def _past_optuna() -> Iterator[None]:
    """Let the storage's errors pass by Optuna.

    It would call the trial failed if the storage was back by then; so the worker ends, and the
    trial is lost with it.
    """
    from optuna.exceptions import StorageInternalError

    try:
        yield
    except StorageInternalError as error:
        raise StorageGone from error.__cause__ or error


@contextlib.contextmanager
def _may_be_called_lost() -> Iterator[None]:
    """End without a word when a driver that took over has called the last trial lost."""
    from optuna.exceptions import UpdateFinishedTrialError

    try:
        yield
    except UpdateFinishedTrialError:
        pass
    except ValueError as error:  # what `Study.tell` says of such a trial
        if not str(error).startswith("Cannot tell"):
            raise


def _end_with_driver() -> None:
    """End when the driver does, however that ends: then the pipe from it closes."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    wanted = Job(**json.loads(sys.stdin.readline()))
    threading.Thread(target=_end_with_driver, daemon=True).start()
    work(wanted)
