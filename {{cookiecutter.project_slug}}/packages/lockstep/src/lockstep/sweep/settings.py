"""The config group `sweep`: what it must have, and the defaults of the rest."""

from pathlib import Path
from typing import Any

from lockstep import LockstepError
from lockstep.files import read_yaml

NEEDED = ("metric", "direction", "objective")  # of a sweep's settings
DEFAULTS: dict[str, Any] = {  # of the others
    "space": {},
    "n_trials": 20,
    "timeout": None,
    "seed": 0,
    "name": None,
    "storage": None,
    "stage": "train",
    "sampler": {"_target_": "optuna.samplers.TPESampler"},
    "pruner": None,
    "engine": {"_target_": "lockstep.sweep.engines.Local", "workers": 1, "threads": 1},
}


def complete(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a sweep, with the defaults of those that conf/sweep/ does not have.

    Raises:
        LockstepError: One that has no default is missing.
    """
    if missing := [key for key in NEEDED if key not in settings]:
        raise LockstepError(
            f"conf/sweep/ has no {' and no '.join(missing)}: see docs/contract.md in Lockstep's "
            "repository"
        )
    return {**DEFAULTS, **settings}


def require_group(workspace: Path) -> None:
    """Check that conf/ can have a section `sweep`; Hydra's hint to append the group would not do.

    Raises:
        LockstepError: It cannot.
    """
    conf = workspace / "conf"
    defaults = (read_yaml(conf / "config.yaml") or {}).get("defaults", [])
    groups = {key.split()[-1] for entry in defaults if isinstance(entry, dict) for key in entry}
    lacking = [
        words
        for words, there in (
            ("the folder conf/sweep/", (conf / "sweep").is_dir()),
            ("the line `- sweep: null` in the defaults of conf/config.yaml", "sweep" in groups),
        )
        if not there
    ]
    if conf.is_dir() and lacking:
        raise LockstepError(
            f"a sweep needs {' and '.join(lacking)}: see docs/contract.md in Lockstep's "
            "repository\nwithout it, `uv run dvc exp run --queue -S KEY=1,2,3` tries some values"
        )
