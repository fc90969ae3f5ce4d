"""A project's folder: the names of its files, its locks, and where its code is imported from."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import lockstep

PARAMS = "params.yaml"
COMPOSED = "composed.yaml"
DVC_YAML = "dvc.yaml"
DVC_LOCK = "dvc.lock"
UV_LOCK = "uv.lock"
PYPROJECT = "pyproject.toml"
TEMPORARY = Path(".dvc", "tmp", "lockstep")  # in DVC's own folder, which git ignores
# Where a project keeps its own copy of this package; the second, before it was a package.
GLUE = (Path("packages", "lockstep", "src"), Path("src"))


def lock_file(root: Path, name: str) -> Path:
    """The path of a lock file in the project; creates its folder."""
    path = root / TEMPORARY / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def one_at_a_time(root: Path, name: str, busy: str, seconds: float = 0) -> Iterator[None]:
    """Let one process of a project at a time do something.

    Args:
        seconds: How long to wait for the other process.

    Raises:
        LockstepError: Another process is still doing it; the message is `busy`.
    """
    from filelock import FileLock, Timeout

    try:
        lock = FileLock(lock_file(root, name), timeout=seconds).acquire()
    except Timeout as error:
        raise lockstep.LockstepError(busy) from error
    with lock:
        yield


def project_folder(folder: Path) -> Path:
    """The project that a folder is in, as DVC finds it: a stage may run in a subfolder (`wdir`)."""
    around = (place for place in (folder, *folder.parents) if (place / ".dvc").is_dir())
    return next(around, folder)


def uv_program(beside: Path | None = None) -> str | None:
    """The path of uv; None if it is not installed.

    Args:
        beside: The folder with the programs of an environment, looked at last; by default, of the
            one that this runs in.
    """
    import shutil

    return shutil.which("uv") or shutil.which("uv", path=str(beside or Path(sys.executable).parent))


def import_from_workspace() -> None:
    """Import the project's own code from the current workspace.

    `dvc exp run --temp`, the queue and `lockstep reproduce` work in a copy of the project, while
    the environment's editable installs point to the original.
    """
    sys.path.insert(0, str(project_folder(Path.cwd()) / "src"))


def switch_to_own_copy() -> bool:
    """Have this package imported from the workspace's own copy of it.

    The copy may be older or newer than the package that the environment has installed, so nothing
    of the two is mixed: what is loaded of this package is unloaded, and the processes that the copy
    starts import the copy, too.

    Returns:
        False if there is none, or it is the running one.
    """
    copies = (project_folder(Path.cwd()) / folder for folder in GLUE)
    glue = next((copy for copy in copies if (copy / "lockstep/__init__.py").is_file()), None)
    if glue is None or Path(str(lockstep.__file__)).parent.samefile(glue / "lockstep"):
        return False
    for name in [name for name in sys.modules if name.partition(".")[0] == "lockstep"]:
        del sys.modules[name]
    sys.path.insert(0, str(glue))
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(glue), *([inherited] if inherited else [])])
    return True
