"""The checks of `lockstep doctor`, in the order of its table."""

import importlib
from collections.abc import Iterable

from lockstep import LockstepError
from lockstep.doctor import machine, servers
from lockstep.doctor.checkup import Check
from lockstep.doctor.leftovers import leftovers
from lockstep.mlflow.environment import configure_mlflow
from lockstep.values import nearest

NETWORK_SECONDS = 10.0
DVC_SECONDS = 15.0  # some of them are Python's, which imports the client of the remote
DVC = ("dvc.repo",)
MLFLOW = ("mlflow",)
CHECKS = [
    Check("Lockstep", machine.versions),
    Check("git identity", machine.identity),
    Check("git remote", servers.git_remote, seconds=NETWORK_SECONDS),
    Check("git hooks", machine.hooks),
    Check("Python", machine.python),
    Check("environment", machine.lock),
    Check("params.yaml", machine.params),
    Check("dvc.lock", machine.record),
    Check("DVC cache", servers.cache, imports=DVC),
    Check("DVC remote", servers.dvc_remote, "DVC cache", DVC, DVC_SECONDS),
    Check("data", servers.data, imports=DVC, seconds=DVC_SECONDS),
    Check("MLflow", servers.mlflow, "", MLFLOW, NETWORK_SECONDS),
    Check("artifacts", servers.artifacts, "MLflow", MLFLOW, NETWORK_SECONDS),
    Check("registry", servers.registry, "MLflow", MLFLOW, NETWORK_SECONDS),
    Check("runs", servers.runs, "MLflow", MLFLOW, NETWORK_SECONDS),
    Check("live runs", servers.live_runs, "MLflow", MLFLOW, NETWORK_SECONDS),
    Check("leftovers", leftovers, imports=DVC),
    Check("disk", machine.disk, "DVC cache", DVC),
]


def named(names: Iterable[str]) -> list[Check]:
    """The checks of these names, in the order of the table."""
    known = {check.name: check for check in CHECKS}
    wanted = set(names)
    for name in wanted - known.keys():
        raise LockstepError(
            f"there is no check {name!r}{nearest(name, known)}\nthe checks: {', '.join(known)}"
        )
    return [check for check in CHECKS if check.name in wanted]


def import_libraries(checks: Iterable[Check]) -> None:
    """Import the libraries that the checks use, so that no check is charged for the time."""
    configure_mlflow()
    for library in {name: None for check in checks for name in check.imports}:
        importlib.import_module(library)
