"""Where the trials of a sweep are kept: a file of the project, or a database for all machines."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep import LockstepError
from lockstep.values import without_secrets

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial

FOLDER = "sweeps"
JOURNAL = "journal.log"
# Attributes of a trial: what it tries, who tries it (the driver and the worker), and what went
# wrong. Two workers may begin the last trial at once; the later one is surplus.
OVERRIDES = "overrides"
WORKER = "worker"
ERROR = "error"
SURPLUS = "surplus"
# Attributes of the study: the plan, the process that is at work on it, its run in MLflow, and the
# numbers of the trials whose worker was lost.
PLAN = "plan"
DRIVER = "driver"
PARENT = "mlflow.run"
LOST = "lost"


def sweep_folder(root: Path, name: str) -> Path:
    """The folder of a sweep's own files."""
    return root / FOLDER / name


def open_storage(url: str) -> "BaseStorage":
    """Open Optuna's storage.

    Args:
        url: Of a database; or the path of a journal, which costs 2 ms a trial where SQLite costs
            a hundred times as much.

    Raises:
        LockstepError: It cannot be opened.
    """
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
    from sqlalchemy.exc import SQLAlchemyError

    if "://" not in url:
        Path(url).parent.mkdir(parents=True, exist_ok=True)
        # The other kind of lock is a symlink, which Windows does not let everybody make.
        return JournalStorage(JournalFileBackend(url, JournalFileOpenLock(url)))
    try:
        return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
    except (SQLAlchemyError, ImportError, ValueError) as error:
        said = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise LockstepError(
            f"the sweep's storage {without_secrets(url)} cannot be opened: {said}\n"
            "check sweep.storage, and that the database is up (for PostgreSQL: "
            "`uv add psycopg2-binary`)"
        ) from error


class StorageAwayError(LockstepError):
    """The database of a sweep does not answer."""


class StorageGone(BaseException):
    """The same, in the middle of a trial; an `Exception` is what Optuna would catch."""


@contextlib.contextmanager
def storage_errors_explained() -> Iterator[None]:
    """Turn what Optuna raises when its database is away into a message.

    Raises:
        StorageAwayError: In place of Optuna's own exception.
    """
    from optuna.exceptions import StorageInternalError

    try:
        yield
    except (StorageInternalError, StorageGone) as error:
        said = str(error.__cause__ or error).strip().splitlines()[0]
        raise StorageAwayError(f"the sweep's storage does not answer: {said}") from error


def counting(study: "Study") -> "list[FrozenTrial]":
    """The trials that count, running ones included: neither lost nor surplus."""
    lost = study.user_attrs.get(LOST, [])
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.number not in lost and SURPLUS not in trial.user_attrs
    ]


def storage_of(root: Path, settings: dict[str, Any], name: str) -> str:
    """The storage of a sweep: a database's URL, or the path of a journal.

    Args:
        root: The project's own folder.
        settings: The config group `sweep`.
        name: The sweep's.
    """
    return settings["storage"] or str((sweep_folder(root, name) / JOURNAL).resolve())


def find_sweep(root: Path, settings: dict[str, Any]) -> "tuple[Study, str]":
    """Find a sweep that was begun.

    Args:
        root: The project's own folder.
        settings: The config group `sweep`; without a `name`, the newest one is meant.

    Returns:
        Its study, and the storage that this is in.

    Raises:
        LockstepError: There is none.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    name = settings["name"] or _newest(root, settings["storage"])
    url = storage_of(root, settings, name or "")
    if name and ("://" in url or Path(url).exists()):
        with contextlib.suppress(KeyError):
            study = optuna.load_study(study_name=name, storage=open_storage(url))
            if PLAN in study.user_attrs:
                return study, url
    where = without_secrets(settings["storage"]) if settings["storage"] else f"{FOLDER}/"
    called = f" called {settings['name']}" if settings["name"] else ""
    raise LockstepError(
        f"there is no sweep{called} in {where}: start one by `lockstep sweep`, or say where it is "
        "by sweep.storage=..."
    )


def _newest(root: Path, database: str | None) -> str | None:
    """The name of the sweep that was begun last."""
    if database:
        import optuna

        found = optuna.get_all_study_summaries(open_storage(database))
        begun = {
            item.study_name: item.datetime_start
            for item in found
            if item.datetime_start and PLAN in item.user_attrs
        }
        return max(begun, key=lambda name: begun[name]) if begun else None
    journals = sorted((root / FOLDER).glob(f"*/{JOURNAL}"), key=lambda path: path.stat().st_mtime)
    return journals[-1].parent.name if journals else None
