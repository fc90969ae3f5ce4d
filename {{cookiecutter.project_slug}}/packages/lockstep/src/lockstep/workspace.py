"""The names of a project's files, and where its code is imported from."""

import sys
from pathlib import Path

import lockstep

PARAMS = "params.yaml"
COMPOSED = "composed.yaml"
DVC_YAML = "dvc.yaml"
DVC_LOCK = "dvc.lock"
UV_LOCK = "uv.lock"
TEMPORARY = Path(".dvc", "tmp", "lockstep")  # in DVC's own folder, which git ignores
GLUE = Path("packages", "lockstep", "src")  # of a project with its own copy of this package


def lock_file(root: Path, name: str) -> Path:
    """The path of a lock file in the project; creates its folder."""
    path = root / TEMPORARY / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def import_from_workspace() -> None:
    """Import the code of the current workspace, not the installed one.

    `dvc exp run --temp`, the queue and `lockstep reproduce` work in a copy of the project, while
    the environment's editable installs point to the original.
    """
    workspace = Path.cwd()
    if (workspace / GLUE / "lockstep").is_dir():
        lockstep.__path__[:] = [str(workspace / GLUE / "lockstep")]
    for folder in (workspace / GLUE, workspace / "src"):
        if folder.is_dir():
            sys.path.insert(0, str(folder))
