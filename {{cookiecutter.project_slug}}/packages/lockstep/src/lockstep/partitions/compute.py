"""Compute partitions: in this process, or in several others at once."""

import contextlib
import importlib
import io
import queue
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from lockstep import LockstepError
from lockstep.dvc.dvcfile import Stage
from lockstep.garbage import importing
from lockstep.processes import ProcessError, process_beside
from lockstep.stage import unlisted_params_explained
from lockstep.values import first_line


@dataclass(frozen=True)
class Task:
    """What a stage does with each of its partitions.

    Attributes:
        workspace: The project's folder.
        cfg: The stage's params.
        module: Has `main(cfg, partition, out, *paths)`.
        source: The folder of the partitions.
        paths: What all partitions read.
        tries: How often one that fails is computed, unless the code refused it.
    """

    stage: Stage
    workspace: Path
    cfg: DictConfig
    module: str
    source: Path
    paths: Sequence[Path] = ()
    tries: int = 1


@dataclass(frozen=True)
class Outcome:
    """What became of one partition.

    Attributes:
        facts: What `main` returned.
        output: What it printed.
        problem: Why there is no result; empty if there is one.
        refused: Whether the code refused the partition, so that another try is of no use.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    output: str = ""
    problem: str = ""
    refused: bool = False


def compute(task: Task, partition: Path, out: Path) -> Outcome:
    """Compute one partition in this process; whatever its code raises is part of the outcome."""
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output), importing():
            code = importlib.import_module(task.module)
        out.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.redirect_stdout(output), unlisted_params_explained(task.stage.name):
            facts = code.main(task.cfg, partition, out, *task.paths) or {}
        if not out.is_file():
            raise LockstepError(f"{task.module}.main did not write the file {out.as_posix()}")
    except LockstepError as error:
        return Outcome(output=output.getvalue(), problem=str(error), refused=True)
    except Exception as error:  # the project's own code may raise anything
        below = error.__traceback__ and error.__traceback__.tb_next  # of the project's code
        output.writelines(traceback.format_exception(error.with_traceback(below)))
        return Outcome(output=output.getvalue(), problem=f"{type(error).__name__}: {error}")
    return Outcome(facts, output.getvalue())


def compute_all(
    task: Task, work: Mapping[str, tuple[Path, Path]], jobs: int
) -> Iterator[tuple[str, Outcome]]:
    """Compute partitions, each with its result's path; yields each outcome when it is known.

    Args:
        work: The path of each partition and that of its result, by name.
        jobs: The number of processes; a single one is this one.
    """
    jobs = min(jobs, len(work))
    if jobs < 2:
        for name, (partition, out) in work.items():
            yield name, _tried(task, lambda p=partition, o=out: compute(task, p, o))
        return
    with contextlib.ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(jobs))
        idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(jobs):
            idle.put(stack.enter_context(process_beside()))
        workspace = Path.cwd()

        def beside(partition: Path, out: Path) -> Outcome:
            submit = idle.get()
            try:
                outcome: Outcome = submit(workspace, compute, task, partition, out).result()
            except ProcessError as error:  # it was killed, as for want of memory
                outcome = Outcome(output=str(error), problem=first_line(error))
            finally:
                idle.put(submit)
            return outcome

        futures = {
            threads.submit(_tried, task, lambda p=partition, o=out: beside(p, o)): name
            for name, (partition, out) in work.items()
        }
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def _tried(task: Task, once: Any) -> Outcome:
    """Compute a partition until there is a result, it is refused, or the tries are used up."""
    outcome = Outcome()
    for _ in range(task.tries):
        outcome = once()
        if not outcome.problem or outcome.refused:
            break
    return outcome
