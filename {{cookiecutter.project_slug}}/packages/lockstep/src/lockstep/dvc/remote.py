"""DVC's remote: check it, push to it, pull from it.

`dvc push` pushes the workspace or all of history, nothing in between, and silently skips data that
neither the cache nor the remote has. DVC's internals do better; only this folder uses them.
"""

import contextlib
import logging
import re
import shlex
import ssl
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep import LockstepError
from lockstep.values import without_secrets

if TYPE_CHECKING:
    from dvc.repo import Repo

ADD_REMOTE = "uv run dvc remote add --default storage URL"
DOCTOR = "\nuv run lockstep doctor"
CONNECT_SECONDS = 3.0


def probe_remote(root: Path) -> str:
    """Write a small object to the remote, read it back and remove it.

    Returns:
        Where the remote is, and what was tried.

    Raises:
        LockstepError: There is no remote, or it cannot be used.
    """
    with _opened(root) as (repo, remote, place):
        require_server(repo.config["remote"][remote.name])
        fs = remote.fs
        path = fs.join(remote.path, f"lockstep-doctor-{uuid.uuid4().hex}")
        if fs.protocol in ("http", "https"):
            with contextlib.suppress(FileNotFoundError):
                fs.cat_file(path)
            return f"{place} answers; writing was not tried, as nothing can be removed over HTTP"
        if fs.protocol == "local" and not fs.exists(remote.path):
            raise LockstepError(f"the folder {place} does not exist\nmkdir {shlex.quote(place)}")
        content = uuid.uuid4().bytes
        try:
            fs.pipe_file(path, content)
            if fs.cat_file(path) != content:
                raise LockstepError(f"{place} returned different data than was written")
        finally:
            with contextlib.suppress(Exception):
                fs.remove(path)
        if fs.exists(path):
            raise LockstepError(f"nothing can be removed from {place}; it keeps {path}")
        return f"{place}: written, read back, removed"


def push_data(root: Path, revisions: Sequence[str], *, dry_run: bool = False) -> tuple[int, str]:
    """Push the data of commits and of the workspace, or with `dry_run` only count them.

    Returns:
        The number of files that the remote lacked, and where it is.

    Raises:
        LockstepError: There is no remote, it cannot be written, or neither place has the data.
    """
    count = 0
    with _opened(root, DOCTOR) as (repo, _, place), _errors() as errors:
        for odb, objects in repo.used_objs(revs=list(revisions), push=True).items():
            status = repo.cloud.status(objects, odb=odb)
            if missing := sorted({str(item.obj_name) for item in status.missing}):
                raise LockstepError(
                    f"neither this machine nor {place} has the data of {', '.join(missing)}\n"
                    "`uv run dvc repro` makes them again; `git push --no-verify` pushes without "
                    "them"
                )
            count += len(status.new)
            failed = () if dry_run else repo.cloud.push(objects, odb=odb).failed
            if failed:
                raise LockstepError(
                    f"{len(failed)} of {len(status.new)} files cannot be written to {place}: "
                    f"{errors[0] if errors else 'DVC gives no reason'}{DOCTOR}"
                )
        return count, place


def absent_data(root: Path) -> tuple[int, list[str]]:
    """Look for the data of the workspace's dvc.lock and .dvc files.

    Returns:
        How many files DVC's cache lacks, and the paths of those that its remote lacks, too.

    Raises:
        LockstepError: The cache lacks some, and the remote cannot be asked.
    """
    from dvc.repo import Repo

    with Repo(str(root)) as repo, _errors():
        cache = repo.cache.local
        used = repo.used_objs()
        lacking = [
            item for items in used.values() for item in items if not cache.exists(item.value)
        ]
    if not lacking:
        return 0, []
    try:
        with _opened(root) as (repo, _, _), _errors():
            lost = repo.cloud.status(lacking).missing
    except LockstepError as error:
        if ADD_REMOTE not in str(error):
            raise
        lost = lacking
    return len(lacking), sorted({str(item.obj_name) for item in lost})


def pull_data(root: Path) -> dict[str, int]:
    """`dvc pull`.

    Returns:
        How many paths were `added`, `modified` and `deleted`, and how many files `fetched`.

    Raises:
        LockstepError: There is no remote, or it does not have the data.
    """
    from dvc.exceptions import CheckoutError

    with _opened(root, DOCTOR) as (repo, _, place), _errors():
        try:
            counts: dict[str, int] = repo.pull()["stats"]
        except CheckoutError as error:
            paths = ", ".join(sorted(map(str, error.target_infos)))
            raise LockstepError(
                f"{place} does not have the data of {paths}: "
                "whoever has them can run `uv run lockstep push`"
            ) from error
        return counts


def require_server(settings: Mapping[str, str]) -> None:
    """Fail within seconds if a server that speaks HTTP is down: DVC's clients retry for minutes.

    Args:
        settings: The remote's in DVC's configuration.

    Raises:
        LockstepError: It does not answer, or is out of order.
    """
    url = settings.get("endpointurl") or re.sub("^webdav", "http", settings["url"])
    if not url.startswith(("http://", "https://")):
        return
    place = without_secrets(url)  # urllib takes the name of a user for part of the host's
    request = urllib.request.Request(place, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=CONNECT_SECONDS).close()
    except urllib.error.HTTPError as error:
        if error.code >= 500 and error.code != HTTPStatus.NOT_IMPLEMENTED:  # of HEAD
            raise LockstepError(f"{place} answers {error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        if not isinstance(reason, ssl.SSLError):  # DVC may know the certificate
            raise LockstepError(f"{place} does not answer: {reason}") from error


@contextlib.contextmanager
def _opened(root: Path, cure: str = "") -> "Iterator[tuple[Repo, Any, str]]":
    """The project as DVC sees it, its remote, and where that is.

    Any failure becomes one line, followed by the cure: each library raises something different
    when its remote is down or refuses.
    """
    from dvc.config import NoRemoteError
    from dvc.repo import Repo

    place = "DVC"
    try:
        with Repo(str(root)) as repo:
            remote = repo.cloud.get_remote()
            place = str(remote.fs.unstrip_protocol(remote.path)).removeprefix("file://")
            yield repo, remote, place
    except LockstepError:
        raise
    except NoRemoteError as error:
        raise LockstepError(f"DVC has no remote\n{ADD_REMOTE}") from error
    except Exception as error:
        raise LockstepError(f"{place}: {_one_line(error)}{cure}") from error


@contextlib.contextmanager
def _errors() -> Iterator[list[str]]:
    """Collect the errors that DVC logs for single files, and keep all logs off the screen.

    The libraries below DVC log, too: gcsfs, a traceback for each request that it gives up.
    """
    messages: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                cause = record.exc_info[1] if record.exc_info else None
                messages.append(_one_line(cause) if cause else record.getMessage())

    root = logging.getLogger()
    loggers = [root, *map(logging.getLogger, ("dvc", "dvc_data", "dvc_objects"))]
    before = [(logger.handlers, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [Collector()], False
    root.handlers = [logging.NullHandler()]
    try:
        yield messages
    finally:
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
