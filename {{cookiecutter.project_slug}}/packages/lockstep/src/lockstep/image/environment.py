"""The environment of an image: what uv.lock pins for a model and its server, with hashes."""

import contextlib
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lockstep import LockstepError, git
from lockstep.adapters.trusted_model import needs_mlflow
from lockstep.workspace import PYPROJECT, UV_LOCK, uv_program

EXTRA = "serve"  # of the project; it names the server's packages
# What the pipeline needs and no answer does, but for some kinds of models; and what nothing else
# needs goes with them.
PRUNED = ("dvc", "mlflow", "optuna", "matplotlib", "pandera", "shtab")


def requirements_of(root: Path, revision: str | None, model: Path) -> tuple[str, str]:
    """The requirements of an image.

    Args:
        revision: The commit with the model's uv.lock, if there is one. Where that does not lock a
            server, the project's own does, if it has the same packages for the model.
        model: The folder of the MLflow model, which lists these packages.

    Returns:
        Them, as pip reads them; and whose uv.lock they are from.

    Raises:
        LockstepError: Neither uv.lock locks a server and the packages of the model.
    """
    pruned = [name for name in PRUNED if name != "mlflow" or not needs_mlflow(model)]
    if revision:
        with tempfile.TemporaryDirectory() as temporary:
            _restore(root, revision, Path(temporary))
            with contextlib.suppress(LockstepError):
                return _exported(Path(temporary), pruned), "the model's run"
    text = _exported(root, pruned)
    listed = (model / "requirements.txt").read_text(encoding="utf-8").split()
    pinned = {line.partition(" ")[0] for line in text.splitlines()}
    if other := [item for item in listed if not item.startswith("mlflow==") and item not in pinned]:
        raise LockstepError(
            f"the model needs {', '.join(other)}, and {UV_LOCK} locks other versions: train it "
            "again, `uv run dvc repro`, and build the new version"
        )
    return text, "this project"


def _restore(root: Path, revision: str, folder: Path) -> None:
    """Write uv.lock and each pyproject.toml, as they are in a commit."""
    listed = git.git_or_fail("ls-tree", "-r", "--name-only", revision, cwd=root).splitlines()
    for name in listed:
        if Path(name).name in (UV_LOCK, PYPROJECT):
            copy = folder / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            text = git.git_or_fail("show", f"{revision}:./{name}", cwd=root)
            copy.write_text(f"{text}\n", encoding="utf-8")


def _exported(folder: Path, pruned: Sequence[str]) -> str:
    """What a uv.lock pins for the server, without some packages.

    Raises:
        LockstepError: It locks none.
    """
    uv = uv_program()
    if uv is None:
        raise LockstepError("uv is not installed: it reads uv.lock")
    command = [uv, "export", "--frozen", "--quiet", "--no-dev", "--extra", EXTRA, "--no-annotate"]
    command += ["--no-emit-workspace", "--no-emit-package", "lockstep"]
    command += [word for name in pruned for word in ("--prune", name)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode or "\nuvicorn==" not in done.stdout:
        reason = f": {done.stderr.strip()}" if done.stderr else ""
        raise LockstepError(
            f"{UV_LOCK} does not lock a server{reason}\nthe extra `{EXTRA}` in pyproject.toml must "
            f'be ["lockstep[{EXTRA}]"]; then run `uv lock`'
        )
    return done.stdout
