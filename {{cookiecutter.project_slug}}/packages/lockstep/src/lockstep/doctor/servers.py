"""What `lockstep doctor` looks at elsewhere: git's remote, DVC's, MLflow and its registry."""

import contextlib
import importlib.metadata
import os
import subprocess
import tempfile
import urllib.error
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lockstep import LockstepError, git
from lockstep.doctor.checkup import AGAIN, Finding, Project
from lockstep.mlflow.store import DATABASE
from lockstep.team.route import find_route
from lockstep.values import without_secrets

GIT_SECONDS = 5.0
SILENT = {"GIT_TERMINAL_PROMPT": "0", "GCM_INTERACTIVE": "never", "LC_ALL": "C"}
NOT_MADE = Finding("skipped", "comes with the first run")


def git_remote(project: Project) -> Finding:
    """Whether the remote that the branch is pushed to answers; nobody is asked for a password."""
    try:
        remote = find_route(project.root).remote
    except LockstepError as error:
        text, *cure = str(error).splitlines()
        return Finding("warning", text, cure)
    url = without_secrets(git.git_or_fail("remote", "get-url", remote, cwd=project.root))
    try:
        done = subprocess.run(
            ["git", "ls-remote", "--heads", remote],
            cwd=project.root,
            env={"GIT_SSH_COMMAND": "ssh -o BatchMode=yes", **os.environ, **SILENT},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=GIT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Finding("failed", f"{url}: no answer within {GIT_SECONDS:g} s", AGAIN)
    if done.returncode:
        told = next((line for line in done.stderr.splitlines() if line.strip()), "no answer")
        return Finding("failed", f"{url}: {told}", [f"git ls-remote {remote}"])
    return Finding("ok", f"{url} answers")


def cache(project: Project) -> Finding:
    """How DVC links the workspace with its cache."""
    from lockstep.dvc.cache import link_type

    kind = link_type(project.root)
    notes = {"": "there is none yet", "copy": "copy: a file takes its space twice"}
    return Finding("ok", notes.get(kind, kind))


def dvc_remote(project: Project) -> Finding:
    """A small object: written, read back, removed."""
    from lockstep.dvc.remote import ADD_REMOTE, probe_remote

    try:
        return Finding("ok", probe_remote(project.root))
    except LockstepError as error:
        text, *cure = str(error).splitlines()
        if ADD_REMOTE in cure:
            return Finding("warning", text, cure)
        return Finding("failed", text, cure or ["uv run dvc remote list"])


def mlflow(project: Project) -> Finding:
    """Whether the store answers, and to this version of MLflow."""
    store = project.store
    if not project.store.exists():
        return Finding("ok", f"{DATABASE} is made with the first run")
    version = _server_version(project) if store.is_server else ""
    place = without_secrets(store.uri)
    from mlflow.exceptions import MlflowException

    try:
        store.client().search_experiments(max_results=1)
    except MlflowException as error:
        if "mlflow db upgrade" in str(error):
            return Finding(
                "failed",
                f"{place} was made by another version of MLflow",
                [f"uv run mlflow db upgrade {place}"],
            )
        raise LockstepError(f"{place}: {str(error).splitlines()[0]}") from error
    return compatible(place, version) if version else Finding("ok", place)


def artifacts(project: Project) -> Finding:
    """A small artifact: written where the runs' are, read back, deleted. It belongs to no run."""
    if not project.store.exists():
        return NOT_MADE
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    store = project.store
    client = store.client()
    experiment = client.get_experiment_by_name(store.experiment) or client.get_experiment("0")
    place = without_secrets(experiment.artifact_location)
    repository: Any = get_artifact_repository(
        f"{experiment.artifact_location}/lockstep-doctor-{uuid.uuid4().hex}", store.uri
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "probe.txt")
        file.write_text(uuid.uuid4().hex, encoding="utf-8")
        try:
            repository.log_artifact(str(file))
            back = Path(repository.download_artifacts(file.name, tempfile.mkdtemp(dir=folder)))
            same = back.read_bytes() == file.read_bytes()
        except Exception:
            with contextlib.suppress(Exception):
                repository.delete_artifacts()
            raise
    repository.delete_artifacts()
    if not same:
        raise LockstepError(f"{place} gives back something else than was written")
    return Finding("ok", f"{place}: written, read back, deleted")


def registry(project: Project) -> Finding:
    """Whether the model registry answers."""
    if not project.store.exists():
        return NOT_MADE
    models = project.store.client().search_registered_models(max_results=100)
    return Finding("ok", ", ".join(model.name for model in models) or "no model yet")


def runs(project: Project) -> Finding:
    """The states whose run is not in MLflow."""
    from lockstep.publish.backfill import unpublished

    missing = unpublished(project.root, project.store)
    if not missing:
        return Finding("ok", "every state has its run")
    names = ", ".join(state.name for state in missing[:5])
    more = ", ..." if len(missing) > 5 else ""
    return Finding(
        "warning",
        f"{len(missing)} not in MLflow yet: {names}{more}",
        ["uv run lockstep publish --all"],
    )


def _server_version(project: Project) -> str:
    """The version of the MLflow server.

    Raises:
        LockstepError: It does not answer, or refuses.
    """
    place = without_secrets(project.store.uri)
    try:
        return project.store.ask("version").strip()
    except urllib.error.HTTPError as error:
        raise LockstepError(
            f"{place} says {error.code} {error.reason}: it wants MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            if error.code in (401, 403)
            else f"{place} is no MLflow server: it says {error.code} {error.reason}"
        ) from error
    except OSError as error:
        parts = urlsplit(project.store.uri)
        start = [f"uv run mlflow server --port {parts.port or 5000}"]
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        raise LockstepError(
            "\n".join(
                [
                    f"{place} does not answer: {getattr(error, 'reason', error)}",
                    *(start if local else AGAIN),
                ]
            )
        ) from error


def compatible(place: str, server: str) -> Finding:
    """The server's version beside this environment's: the same major one, and no older minor one.

    An older server lacks the calls of a newer client.
    """
    client = importlib.metadata.version("mlflow")
    there, here = ([int(part) for part in version.split(".")[:2]] for version in (server, client))
    text = f"{place}: server {server}, client {client}"
    if there[0] == here[0] and there >= here:
        return Finding("ok", text)
    cure = [f'uv add "mlflow=={there[0]}.{there[1]}.*"']
    return Finding("failed" if there[0] != here[0] else "warning", text, cure)
