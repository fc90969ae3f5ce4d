"""`lockstep sweep`: plan it, have it done, say what came out."""

import contextlib
import dataclasses
import os
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep import LockstepError
from lockstep.project import Project
from lockstep.sweep.engines import Engine
from lockstep.sweep.plan import Plan, plan_of, require_same, settings_of
from lockstep.sweep.pool import AtOnce, Crew, TakenOverError, lose
from lockstep.sweep.progress import best_line
from lockstep.sweep.runs import Family
from lockstep.sweep.study import (
    DRIVER,
    PLAN,
    counting,
    find_sweep,
    open_storage,
    storage_errors_explained,
    storage_of,
    sweep_folder,
)
from lockstep.sweep.summary import best_first
from lockstep.sweep.worker import Job
from lockstep.workspace import lock_file

if TYPE_CHECKING:
    from optuna.study import Study


def sweep(workspace: Path, words: Sequence[str]) -> None:
    """Start a sweep.

    Args:
        workspace: The project's folder.
        words: Hydra's overrides: values that all trials share, and what they try.

    Raises:
        LockstepError: It cannot be done; the trials that ended are kept.
    """
    import optuna

    plan = plan_of(workspace, words)
    engine = _engine(plan)
    url = storage_of(workspace, settings_of(workspace, words), plan.name)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(
            study_name=plan.name, storage=open_storage(url), direction=plan.direction
        )
    except optuna.exceptions.DuplicatedStudyError as error:
        raise LockstepError(
            f"there is a sweep called {plan.name}: go on with it by `lockstep sweep --resume "
            f"sweep.name={plan.name}`, or choose another sweep.name"
        ) from error
    _run(workspace, plan, study, url, engine, words)


def resume(workspace: Path, words: Sequence[str]) -> None:
    """Go on with a sweep that was interrupted, or has had too few trials.

    Args:
        workspace: The project's folder.
        words: What to change of its settings, such as sweep.n_trials; sweep.name says which one,
            by default the newest.

    Raises:
        LockstepError: There is none, or code, data or config are not what they were.
    """
    study, url = find_sweep(workspace, settings_of(workspace, words))
    begun = Plan(**study.user_attrs[PLAN])
    kept = begun.words
    if any(_is_of_engine(word, "=") for word in words):  # its settings are not those of another
        kept = [word for word in kept if not _is_of_engine(word)]
    again = plan_of(workspace, [*kept, *words])
    again = dataclasses.replace(again, name=begun.name)
    require_same(begun, again)
    _run(workspace, again, study, url, _engine(again), words)


def _is_of_engine(word: str, end: str = "") -> bool:
    """Whether an override chooses the engine or, unless it has to end there, sets it up."""
    return word.lstrip("+").startswith((f"sweep.engine{end}", f"sweep/engine{end}"))


def _engine(plan: Plan) -> Engine:
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        engine: Engine = instantiate(plan.settings["engine"])
    except InstantiationException as error:
        raise error.__cause__ if isinstance(error.__cause__, LockstepError) else error from None
    return engine


def _run(
    workspace: Path, plan: Plan, study: "Study", url: str, engine: Engine, words: Sequence[str]
) -> None:
    from filelock import FileLock, Timeout

    store = Project(workspace).store
    lock = FileLock(lock_file(store.root, f"sweep-{plan.name}"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise LockstepError(f"another process is at work on the sweep {plan.name}") from error
    with lock:
        # A worker of a driver that died sees that it is not wanted any more.
        driver = f"{socket.gethostname()}:{os.getpid()}:{time.time()}"
        study.set_user_attr(DRIVER, driver)
        study.set_user_attr(PLAN, dataclasses.asdict(plan))
        lose(study)
        folder = sweep_folder(store.root, plan.name)
        # Workers compose a copy: conf/ may be edited meanwhile, and `--apply` writes to it.
        shutil.rmtree(folder / "conf", ignore_errors=True)
        shutil.copytree(workspace / "conf", folder / "conf")
        job = Job(
            workspace=str(workspace.resolve()),
            storage=url,
            plan=dataclasses.asdict(plan),
            folder=str(folder.resolve()),
            driver=driver,
            worker="",
            threads=1,
            deadline=_deadline(plan),
        )
        family = Family(plan, study, store, workspace)
        which = _which(plan, words)
        with _ended_properly(engine, family, which):
            Crew(plan, study, engine, job, folder).work(family)
        with storage_errors_explained():
            _conclude(plan, study, family, which)


def _deadline(plan: Plan) -> float | None:
    timeout = plan.settings["timeout"]
    return time.time() + timeout if timeout is not None else None


def _which(plan: Plan, words: Sequence[str]) -> str:
    """What to say on the command line for the same sweep; never a database's password."""
    stored = any(word.lstrip("+").startswith("sweep.storage=") for word in words)
    return f"sweep.name={plan.name}" + " sweep.storage=..." * stored


@contextlib.contextmanager
def _ended_properly(engine: Engine, family: Family, which: str) -> Iterator[None]:
    """Whatever happens, let go of the engine and show in MLflow what there is."""
    status: str | None = "FAILED"
    try:
        yield
        status = "FINISHED"
    except TakenOverError:
        status = None
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            status = None if isinstance(error, AtOnce) else "KILLED"
        print(f"to go on: uv run lockstep sweep --resume {which}", flush=True)
        raise
    finally:
        engine.close()
        if status:
            family.finish(status)


def _conclude(plan: Plan, study: "Study", family: Family, which: str) -> None:
    """Say what came out, and what to do next."""
    best = best_first(counting(study), plan.direction)
    if family.trouble:
        print(f"note: MLflow does not show all trials: {family.trouble}")
        print(f"      `lockstep sweep --resume {which}` shows the rest of them")
    elif family.run_id:
        print(f"MLflow: {family.link()}")
    if not best:
        print("no trial is complete")
        return
    print(f"best: {best_line(best[0], plan)}")
    print(f"run the pipeline with it: uv run lockstep sweep --apply best {which}")
