"""`lockstep sweep`: plan it, start workers, replace those that are lost, show how it goes."""

import contextlib
import dataclasses
import os
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep import LockstepError
from lockstep.files import tree_digest
from lockstep.sweep.engines import Engine, Worker
from lockstep.sweep.family import Family
from lockstep.sweep.plan import Plan, plan_of, require_same, settings_of
from lockstep.sweep.progress import Progress, best_line
from lockstep.sweep.storage import (
    DRIVER,
    ERROR,
    LOST,
    PLAN,
    WORKER,
    counting,
    find_sweep,
    open_storage,
    storage_of,
    sweep_folder,
)
from lockstep.sweep.summary import best_first
from lockstep.sweep.worker import Job
from lockstep.tracking import lock_file, store_of

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

POLL_SECONDS = 0.2
# So many trials that fail before one is complete are no accident, and so many workers lost in a
# row, without a trial that ended in between.
FAILURES = 10
LOSSES = 3


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
    _run(workspace, plan, study, url, engine)


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
    again = plan_of(workspace, [*begun.words, *words])
    again = dataclasses.replace(again, name=begun.name)
    require_same(begun, again)
    _run(workspace, again, study, url, _engine(again))


def _engine(plan: Plan) -> Engine:
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        engine: Engine = instantiate(plan.settings["engine"])
    except InstantiationException as error:
        raise error.__cause__ if isinstance(error.__cause__, LockstepError) else error from None
    return engine


def _run(workspace: Path, plan: Plan, study: "Study", url: str, engine: Engine) -> None:
    from filelock import FileLock, Timeout

    store = store_of(workspace)
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
        _lose(study, None)
        job = Job(
            workspace=str(workspace.resolve()),
            storage=url,
            plan=dataclasses.asdict(plan),
            conf=tree_digest(workspace / "conf"),
            driver=driver,
            worker="",
            threads=1,
            deadline=_deadline(plan),
        )
        folder = sweep_folder(store.root, plan.name)
        folder.mkdir(parents=True, exist_ok=True)
        family = Family(plan, study, store, workspace)
        with _ended_properly(plan, engine, family):
            _supervise(plan, study, engine, family, job, folder)
        _conclude(plan, study, family)


def _supervise(
    plan: Plan, study: "Study", engine: Engine, family: Family, job: Job, folder: Path
) -> None:
    """Have enough workers at work until they have done it all.

    Raises:
        LockstepError: They cannot do it.
    """
    trials = counting(study)
    left = max(0, plan.settings["n_trials"] - len(trials))
    size = min(engine.size(), left) if left else 0
    print(f"{plan.name}: {size} workers; trials and logs are in {folder}", flush=True)
    to_start = [f"worker-{number}" for number in range(size)]
    workers: dict[str, Worker] = {}
    losses, known = 0, len(trials)
    try:
        with Progress(plan, len(trials)) as progress:
            while to_start or workers:
                while to_start:
                    name = to_start.pop()
                    task = dataclasses.replace(job, worker=name, threads=engine.threads)
                    workers[name] = engine.start(task, folder / f"{name}.log")
                family.update()
                for name in [name for name, worker in workers.items() if worker.ended()]:
                    if reason := workers.pop(name).failure():
                        progress.say(f"{name} is lost: {reason}; another one takes its place")
                        _lose(study, name)
                        to_start.append(name)
                        count = len(counting(study))
                        losses, known = (losses + 1 if count == known else 1), count
                        _require_hope(losses, folder / f"{name}.log")
                trials = counting(study)
                _require_success(trials)
                progress.show(trials, family.trouble)
                time.sleep(POLL_SECONDS)
    finally:
        for worker in workers.values():
            worker.stop()
        _lose(study, None)


def _lose(study: "Study", worker: str | None) -> None:
    """Call the running trials of a worker lost, or all that run; they do not count."""
    from optuna.exceptions import UpdateFinishedTrialError
    from optuna.trial import TrialState

    running = study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
    lost = [trial.number for trial in running if worker in (None, trial.user_attrs.get(WORKER))]
    if lost:
        study.set_user_attr(LOST, [*study.user_attrs.get(LOST, []), *lost])
    for number in lost:
        with contextlib.suppress(UpdateFinishedTrialError, ValueError):
            study.tell(number, state=TrialState.FAIL)


def _require_hope(losses: int, log: Path) -> None:
    if losses >= LOSSES:
        said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        raise LockstepError(
            f"{losses} workers in a row were lost before a trial ended: see {log}\n"
            + "\n".join(said.strip().splitlines()[-3:])
        )


def _require_success(trials: "list[FrozenTrial]") -> None:
    failed = [trial for trial in trials if trial.state.name == "FAIL"]
    ended = [trial for trial in trials if trial.state.is_finished()]
    if len(failed) >= FAILURES and len(failed) == len(ended):
        raise LockstepError(
            f"the first {len(failed)} trials failed, all of them; the last one: "
            f"{failed[-1].user_attrs.get(ERROR)}\nmend that, then start a new sweep"
        )


def _deadline(plan: Plan) -> float | None:
    timeout = plan.settings["timeout"]
    return time.time() + timeout if timeout is not None else None


@contextlib.contextmanager
def _ended_properly(plan: Plan, engine: Engine, family: Family) -> Iterator[None]:
    """Whatever happens, let go of the engine and show in MLflow what there is."""
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    except BaseException as error:
        status = "KILLED" if isinstance(error, KeyboardInterrupt) else status
        print(f"to go on: lockstep sweep --resume sweep.name={plan.name}", flush=True)
        raise
    finally:
        engine.close()
        family.finish(status)


def _conclude(plan: Plan, study: "Study", family: Family) -> None:
    """Say what came out, and what to do next."""
    best = best_first(counting(study), plan.direction)
    if family.trouble:
        print(f"note: MLflow does not show all trials: {family.trouble}")
        print("      `lockstep sweep --resume` shows the rest of them")
    elif family.run_id:
        print(f"MLflow: {family.link()}")
    if not best:
        print("no trial is complete")
        return
    print(f"best: {best_line(best[0], plan)}")
    print("run the pipeline with it: lockstep sweep --apply best")
