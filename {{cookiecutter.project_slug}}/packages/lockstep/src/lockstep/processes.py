"""Processes beside this one, which import what this one need not, and take their time meanwhile."""

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

from lockstep.garbage import collect_seldom
from lockstep.workspace import import_from_workspace

Submit = Callable[..., Future[Any]]


@contextlib.contextmanager
def process_beside() -> Iterator[Submit]:
    """Start another process, which lives as long as the `with` block.

    Yields:
        `submit(workspace, function, *arguments)`, which has the process call a function in a
        workspace, with the code of that workspace; returns a future. What a process that died left
        undone raises `concurrent.futures.process.BrokenProcessPool`.
    """
    context = multiprocessing.get_context("spawn")  # a fork would share MLflow's open connections
    executor = ProcessPoolExecutor(1, context, initializer=collect_seldom)

    def submit(workspace: Path, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        return executor.submit(_call, str(workspace.resolve()), function, arguments)

    try:
        yield submit
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _call(workspace: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    _forget_code_of(Path.cwd())
    os.chdir(workspace)
    import_from_workspace()
    return function(*arguments)


def _forget_code_of(workspace: Path) -> None:
    """Unload the project's own modules: the next workspace may hold other versions of them."""
    source = workspace / "src"
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "").is_relative_to(source):
            del sys.modules[name]
    sys.path[:] = [path for path in sys.path if path != str(source)]
