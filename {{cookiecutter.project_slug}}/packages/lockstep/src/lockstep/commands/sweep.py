"""`lockstep sweep`: plan many trials of the train stage, run them, report the best."""

import contextlib
import dataclasses
import os
import shutil
import socket
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep.config.grammar import created
from lockstep.project import Project
from lockstep.sweep.apply import apply
from lockstep.sweep.engines import Engine, Worker
from lockstep.sweep.job import Address, Job
from lockstep.sweep.plan import Plan, plan_of, require_same, settings_of
from lockstep.sweep.pool import Pool, StopImmediately
from lockstep.sweep.progress import Progress
from lockstep.sweep.runs import SweepRuns
from lockstep.sweep.space import Space
from lockstep.sweep.study import (
    PLAN,
    TakenOverError,
    TrialLog,
    counted_trials,
    create_study,
    find_study,
    storage_of,
    sweep_folder,
)
from lockstep.sweep.summary import best_first, best_line
from lockstep.sweep.trials import Trials
from lockstep.values import counted
from lockstep.workspace import one_at_a_time

if TYPE_CHECKING:
    from optuna.study import Study

EXAMPLE = "lockstep sweep 'model=choice(logistic,random_forest)' sweep.n_trials=100"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="override",
        help="in Hydra's grammar: a value holds for all trials; a choice(...), range(...) or "
        "interval(...) is searched, in addition to the space in conf/sweep/",
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--resume", action="store_true", help="continue the newest sweep")
    action.add_argument(
        "--apply", metavar="TRIAL", help="run the pipeline with a trial, by number or `best`"
    )


def run(arguments: Namespace) -> None:
    """Run the verb."""
    workspace, words = Path.cwd(), arguments.words
    if arguments.apply:
        apply(workspace, words, arguments.apply)
    elif arguments.resume:
        resume(workspace, words)
    else:
        sweep(workspace, words)


def sweep(workspace: Path, words: Sequence[str]) -> None:
    """Start a sweep; the overrides are values that all trials share, and what they try."""
    plan = plan_of(workspace, words)
    engine = created(plan.settings["engine"])
    project = Project(workspace)
    url = storage_of(project.root, settings_of(workspace, words), plan.name)
    _run(project, plan, create_study(plan.name, url, plan.direction), engine, words)


def resume(workspace: Path, words: Sequence[str]) -> None:
    """Continue a sweep that was interrupted, or one that should have more trials.

    Args:
        words: Changes to its settings, such as sweep.n_trials; sweep.name chooses the sweep, by
            default the newest.

    Raises:
        LockstepError: There is none, or code, data or config have changed.
    """
    project = Project(workspace)
    study = find_study(project.root, settings_of(workspace, words))
    started = Plan(**study.user_attrs[PLAN])
    kept = started.words
    if any(_is_of_engine(word, "=") for word in words):  # each engine has its own settings
        kept = [word for word in kept if not _is_of_engine(word)]
    plan = dataclasses.replace(plan_of(workspace, [*kept, *words]), name=started.name)
    require_same(started, plan)
    _run(project, plan, study, created(plan.settings["engine"]), words)


def _is_of_engine(word: str, end: str = "") -> bool:
    """Whether an override chooses the engine or, unless it has to end there, configures it."""
    return word.lstrip("+").startswith((f"sweep.engine{end}", f"sweep/engine{end}"))


def _run(
    project: Project, plan: Plan, study: "Study", engine: Engine, words: Sequence[str]
) -> None:
    busy = f"another process is running the sweep {plan.name}"
    with one_at_a_time(project.root, f"sweep-{plan.name}", busy):
        log = TrialLog(study, f"{socket.gethostname()}:{os.getpid()}:{time.time()}")
        study.set_user_attr(PLAN, dataclasses.asdict(plan))
        folder = sweep_folder(project.root, plan.name)
        # Trials compose a copy: conf/ may be edited during the sweep, and `--apply` writes to it.
        shutil.rmtree(folder / "conf", ignore_errors=True)
        shutil.copytree(project.workspace / "conf", folder / "conf")
        trials = Trials(plan, Space(plan.space, plan.options, folder / "conf"), log)
        runs = SweepRuns(plan, study, log, project)
        options = _options_for(plan, words)
        with _ended_properly(engine, runs, options):
            _score(trials, plan, engine, runs, project)
        _report(plan, log, runs, options)


def _score(trials: Trials, plan: Plan, engine: Engine, runs: SweepRuns, project: Project) -> None:
    folder = sweep_folder(project.root, plan.name)
    workspace, copied = str(project.workspace.resolve()), str(folder.resolve())

    def start(name: str, driver: Address) -> Worker:
        job = Job(workspace, dataclasses.asdict(plan), copied, driver, name, engine.threads)
        return engine.start(job, folder / f"{name}.log")

    where = f"trials and logs are in {folder}"
    if not trials.left:
        print(f"{plan.name}: no trials left to score; {where}", flush=True)
        trials.require_success()
        return
    size = min(engine.size(), trials.left)
    print(f"{plan.name}: {counted(size, 'worker')}; {where}", flush=True)
    with Progress(plan, trials.ended) as progress:

        def show() -> None:
            runs.update()
            progress.show(trials, runs.trouble)

        Pool(trials, engine, start, folder).work(size, show, progress.say)


def _options_for(plan: Plan, words: Sequence[str]) -> str:
    """The command-line options for the same sweep, without a database's password."""
    stored = any(word.lstrip("+").startswith("sweep.storage=") for word in words)
    return f"sweep.name={plan.name}" + " sweep.storage=..." * stored


@contextlib.contextmanager
def _ended_properly(engine: Engine, runs: SweepRuns, options: str) -> Iterator[None]:
    """Whatever happens, release the engine and show in MLflow what there is."""
    status: str | None = "FAILED"
    try:
        yield
        status = "FINISHED"
    except TakenOverError:
        status = None
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            status = None if isinstance(error, StopImmediately) else "KILLED"
        print(f"to continue: uv run lockstep sweep --resume {options}", flush=True)
        raise
    finally:
        engine.close()
        if status:
            runs.finish(status)


def _report(plan: Plan, log: TrialLog, runs: SweepRuns, options: str) -> None:
    """Print what was found, and what to do next."""
    best = best_first(counted_trials(log.trials), plan.direction)
    if runs.trouble:
        print(f"note: MLflow does not show all trials: {runs.trouble}")
        print(f"      `uv run lockstep sweep --resume {options}` shows the rest of them")
    elif runs.run_id:
        print(f"MLflow: {runs.link()}")
    if not best:
        print("no trial is complete")
        return
    print(f"best: {best_line(best[0], plan)}")
    print(f"run the pipeline with it: uv run lockstep sweep --apply best {options}")
