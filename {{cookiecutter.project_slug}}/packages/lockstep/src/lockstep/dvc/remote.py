"""DVC's remote: tried, filled and fetched from.

`dvc push` knows the workspace or all of history, nothing between, and it passes over a file that is
nowhere without a word. DVC's internals do better; they are touched here and in `dvc_cache`.
"""

import contextlib
import logging
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep import LockstepError

if TYPE_CHECKING:
    from dvc.repo import Repo

ADD_REMOTE = "uv run dvc remote add --default storage URL"
LOOK = "\nuv run lockstep doctor"


def probe_remote(root: Path) -> str:
    """Write a small object to the remote, read it back and remove it.

    Returns:
        Where the remote is, and what was not tried.

    Raises:
        LockstepError: There is no remote, or it cannot be used.
    """
    with _opened(root) as (_, remote, place):
        fs = remote.fs
        path = fs.join(remote.path, f"lockstep-doctor-{uuid.uuid4().hex}")
        if fs.protocol in ("http", "https"):
            with contextlib.suppress(FileNotFoundError):
                fs.cat_file(path)
            return f"{place} answers; writing is not tried, as nothing can be removed over HTTP"
        if fs.protocol == "local" and not fs.exists(remote.path):
            raise LockstepError(f"the folder {place} does not exist\nmkdir {place}")
        content = uuid.uuid4().bytes
        try:
            fs.pipe_file(path, content)
            if fs.cat_file(path) != content:
                raise LockstepError(f"{place} gives back something else than was written")
        finally:
            with contextlib.suppress(Exception):
                fs.remove(path)
        if fs.exists(path):
            raise LockstepError(f"{place} cannot be removed from; it keeps {path}")
        return f"{place}: written, read back, removed"


def push_data(root: Path, revisions: Sequence[str], *, dry_run: bool = False) -> tuple[int, str]:
    """Bring the data of commits, and of the workspace, to the remote.

    Args:
        root: The project.
        revisions: The commits.
        dry_run: Only count.

    Returns:
        The number of files that the remote lacked, and where it is.

    Raises:
        LockstepError: There is no remote, it cannot be written, or data are in neither place.
    """
    count = 0
    with _opened(root, LOOK) as (repo, _, place), _errors() as errors:
        for odb, objects in repo.used_objs(revs=list(revisions), push=True).items():
            status = repo.cloud.status(objects, odb=odb)
            if status.missing:
                raise LockstepError(
                    _missing(place, {str(item.obj_name) for item in status.missing})
                )
            count += len(status.new)
            failed = () if dry_run else repo.cloud.push(objects, odb=odb).failed
            if failed:
                raise LockstepError(
                    f"{len(failed)} of {len(status.new)} files cannot be written to {place}: "
                    f"{errors[0] if errors else 'DVC does not say why'}{LOOK}"
                )
        return count, place


def pull_data(root: Path) -> dict[str, int]:
    """`dvc pull`.

    Returns:
        How many paths were `added`, `modified` and `deleted`, and how many files `fetched`.

    Raises:
        LockstepError: There is no remote, or it does not have the data.
    """
    from dvc.exceptions import CheckoutError

    with _opened(root, LOOK) as (repo, _, place), _errors():
        try:
            count: dict[str, int] = repo.pull()["stats"]
        except CheckoutError as error:
            paths = ", ".join(sorted(map(str, error.target_infos)))
            raise LockstepError(
                f"{place} does not have the data of {paths}: "
                "whoever has them can run `uv run lockstep push`"
            ) from error
        return count


@contextlib.contextmanager
def _opened(root: Path, cure: str = "") -> "Iterator[tuple[Repo, Any, str]]":
    """The project as DVC sees it, its remote, and where that is.

    Whatever fails within is told as one line, with what cures it behind. What a remote's own
    library raises when it is away or says no is different for each kind.
    """
    from dvc.repo import Repo

    place = "DVC"
    try:
        with Repo(str(root)) as repo:
            remote = _remote(repo)
            place = _place(remote)
            yield repo, remote, place
    except LockstepError:
        raise
    except Exception as error:
        raise LockstepError(f"{place}: {_told(error)}{cure}") from error


@contextlib.contextmanager
def _errors() -> Iterator[list[str]]:
    """Collect the errors that DVC logs of single files, in place of all that would be printed.

    The libraries below it log, too: gcsfs, each request that it gives up, with a traceback.
    """
    found: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                cause = record.exc_info[1] if record.exc_info else None
                found.append(_told(cause) if cause else record.getMessage())

    root = logging.getLogger()
    loggers = [root, *map(logging.getLogger, ("dvc", "dvc_data", "dvc_objects"))]
    before = [(logger.handlers, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [Collector()], False
    root.handlers = [logging.NullHandler()]
    try:
        yield found
    finally:
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate


def _remote(repo: "Repo") -> Any:
    from dvc.config import NoRemoteError

    try:
        return repo.cloud.get_remote()
    except NoRemoteError as error:
        raise LockstepError(f"DVC has no remote\n{ADD_REMOTE}") from error


def _place(remote: Any) -> str:
    return str(remote.fs.unstrip_protocol(remote.path)).removeprefix("file://")


def _missing(place: str, paths: set[str]) -> str:
    return (
        f"neither this machine nor {place} has the data of {', '.join(sorted(paths))}\n"
        "`uv run dvc repro` makes them anew; `git push --no-verify` leaves them behind"
    )


def _told(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
