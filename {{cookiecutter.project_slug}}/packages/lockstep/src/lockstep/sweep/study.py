"""Where the trials of a sweep are kept: a file of the project, or a database.

Only the driver opens it. A trial is written when it has ended, so that what is read here later is
complete: a trial that was running when its driver was killed is not in it.
"""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep import LockstepError
from lockstep.values import driver_error, first_line, without_secrets

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from lockstep.sweep.plan import Direction

FOLDER = "sweeps"
JOURNAL = "journal.log"
# Attributes of a trial: what it tried, which worker scored it, why it failed, and whether that
# was because its worker was lost: then it does not count.
OVERRIDES = "overrides"
WORKER = "worker"
ERROR = "error"
LOST = "lost"
# Attributes of the study: the plan, the process that drives it, and its run in MLflow.
PLAN = "plan"
DRIVER = "driver"
PARENT = "mlflow.run"


class StorageAwayError(LockstepError):
    """The database of a sweep does not answer."""


class TakenOverError(LockstepError):
    """Another process continues the sweep."""


def sweep_folder(root: Path, name: str) -> Path:
    """The folder with the files of a sweep."""
    return root / FOLDER / name


def open_storage(url: str) -> "BaseStorage":
    """Open Optuna's storage.

    Args:
        url: Of a database; or the path of a journal, which costs 2 ms per trial where SQLite costs
            a hundred times as much.

    Raises:
        LockstepError: It cannot be opened.
    """
    import optuna
    from optuna.storages import JournalStorage, RDBStorage
    from sqlalchemy.exc import SQLAlchemyError

    from lockstep.sweep.journal import Journal

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if "://" not in url:
        Path(url).parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(Journal(url))
    try:
        return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
    except (SQLAlchemyError, ImportError, ValueError) as error:
        reason = driver_error(error)
        raise LockstepError(
            f"the sweep's storage {without_secrets(url)} cannot be opened: {reason}\n"
            "check sweep.storage, and that the database is up (for PostgreSQL: "
            "`uv add 'psycopg[binary]'`)"
        ) from error


def create_study(name: str, url: str, direction: "Direction") -> "Study":
    """Create the study of a new sweep, in the storage that `open_storage` opens.

    Raises:
        LockstepError: A sweep of that name exists.
    """
    import optuna

    try:
        return optuna.create_study(study_name=name, storage=open_storage(url), direction=direction)
    except optuna.exceptions.DuplicatedStudyError as error:
        raise LockstepError(
            f"a sweep called {name} already exists: continue it with `uv run lockstep sweep "
            f"--resume sweep.name={name}`, or choose another sweep.name"
        ) from error


@contextlib.contextmanager
def storage_errors_explained() -> Iterator[None]:
    """Explain what Optuna raises when its database is unreachable or the disk is full.

    Raises:
        StorageAwayError: In place of Optuna's own exception.
    """
    from optuna.exceptions import StorageInternalError

    try:
        yield
    except (StorageInternalError, OSError) as error:
        reason = first_line(error.__cause__ or error)
        raise StorageAwayError(f"the sweep's storage does not answer: {reason}") from error


class TrialLog:
    """The trials of a sweep that have ended, written to its storage one by one.

    Attributes:
        trials: Those that are written.
    """

    def __init__(self, study: "Study", driver: str) -> None:
        """Become the only process that writes to a study; `driver` is a name for this process."""
        study.set_user_attr(DRIVER, driver)
        self._study = study
        self._driver = driver
        self._added: list[FrozenTrial] = []
        self._before = len(study.get_trials(deepcopy=False))
        self._lock = threading.Lock()
        self._saved = 0
        self.trials = ended_trials(study)

    @property
    def is_saved(self) -> bool:
        """Whether all trials are written."""
        return self._saved == len(self._added)

    def add(self, trial: "FrozenTrial") -> None:
        """Have a trial written by the next `save`, which another thread may be in the middle of."""
        self._added.append(trial)

    def save(self) -> None:
        """Write what is not written yet; an earlier attempt may have been interrupted.

        Raises:
            StorageAwayError: The storage does not answer.
            TakenOverError: Another process continues the sweep; nothing was written.
        """
        with self._lock, storage_errors_explained():
            if self.is_saved:
                return
            if self._study.user_attrs.get(DRIVER) != self._driver:
                name = self._study.study_name
                raise TakenOverError(f"another process continues the sweep {name}")
            for trial in self._added[self._written() :]:
                self._study.add_trial(trial)
            self.trials = ended_trials(self._study)
            self._saved = self._written()

    def _written(self) -> int:
        """How many of the added trials the storage holds."""
        return len(self._study.get_trials(deepcopy=False)) - self._before


def ended_trials(study: "Study") -> "list[FrozenTrial]":
    """The trials that have ended, lost ones included, by number."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]


def counted_trials(trials: "list[FrozenTrial]") -> "list[FrozenTrial]":
    """The trials that count: those whose worker was not lost."""
    return [trial for trial in trials if not trial.user_attrs.get(LOST)]


def storage_of(root: Path, settings: dict[str, Any], name: str) -> str:
    """The storage of a sweep: the URL of a database, or the path of a journal."""
    return settings["storage"] or str((sweep_folder(root, name) / JOURNAL).resolve())


def find_study(root: Path, settings: dict[str, Any]) -> "Study":
    """Find the study of a sweep that was started earlier.

    Args:
        settings: The config group `sweep`; without a `name`, the newest sweep is meant.

    Raises:
        LockstepError: There is none.
    """
    import optuna

    name = settings["name"] or _newest(root, settings["storage"])
    url = storage_of(root, settings, name or "")
    if name and ("://" in url or Path(url).exists()):
        with contextlib.suppress(KeyError):
            study = optuna.load_study(study_name=name, storage=open_storage(url))
            if PLAN in study.user_attrs:
                return study
    where = without_secrets(settings["storage"]) if settings["storage"] else f"{FOLDER}/"
    called = f" called {settings['name']}" if settings["name"] else ""
    raise LockstepError(
        f"there is no sweep{called} in {where}: start one with `uv run lockstep sweep`, or name "
        "the database that holds it with sweep.storage=..."
    )


def _newest(root: Path, database: str | None) -> str | None:
    """The name of the sweep that was started last."""
    if database:
        import optuna

        summaries = optuna.get_all_study_summaries(open_storage(database))
        started = {
            item.study_name: item.datetime_start
            for item in summaries
            if item.datetime_start and PLAN in item.user_attrs
        }
        return max(started, key=lambda name: started[name]) if started else None
    journals = sorted((root / FOLDER).glob(f"*/{JOURNAL}"), key=lambda path: path.stat().st_mtime)
    return journals[-1].parent.name if journals else None
