"""What `lockstep doctor` checks elsewhere: git's remote, DVC's, MLflow and its registry."""

from lockstep import LockstepError, git
from lockstep.doctor.checkup import CHECK_AGAIN, Finding, problem
from lockstep.mlflow import health
from lockstep.mlflow.live import killed
from lockstep.mlflow.store import DATABASE
from lockstep.project import Project
from lockstep.team.route import find_route
from lockstep.values import counted, without_secrets

GIT_SECONDS = 5.0
NO_STORE = Finding("skipped", "created by the first run")


def git_remote(project: Project) -> Finding:
    """Whether the remote that the branch is pushed to answers."""
    try:
        remote = find_route(project.root).remote
    except LockstepError as error:
        return problem(error, "warning")
    url = without_secrets(git.git_or_fail("remote", "get-url", remote, cwd=project.root))
    try:
        git.ask_remote(project.root, remote, GIT_SECONDS)
    except TimeoutError as error:
        return Finding("failed", f"{url}: {error}", [CHECK_AGAIN])
    except LockstepError as error:
        return Finding("failed", f"{url}: {error}", [f"git ls-remote {remote}"])
    return Finding("ok", f"{url} answers")


def cache(project: Project) -> Finding:
    """How DVC links the workspace with its cache."""
    from lockstep.dvc.cache import cache_folder, link_type

    kind, folder = link_type(project.root), str(cache_folder(project.root))
    if not folder.isascii():
        return Finding(
            "warning",
            f"DVC writes paths in ASCII only, so `dvc exp run --temp` and --queue fail: {folder}",
            ["uv run dvc config --local cache.dir /ANOTHER/FOLDER"],
        )
    notes = {"": "empty so far", "copy": "copy: each file is stored twice"}
    return Finding("ok", notes.get(kind, kind))


def dvc_remote(project: Project) -> Finding:
    """Whether a small object can be written, read back and removed."""
    from lockstep.dvc.remote import ADD_REMOTE, probe_remote

    try:
        return Finding("ok", probe_remote(project.root))
    except LockstepError as error:
        text, *cure = str(error).splitlines()
        if ADD_REMOTE in cure:
            return Finding("warning", text, cure)
        return Finding("failed", text, cure or ["uv run dvc remote list"])


def data(project: Project) -> Finding:
    """Whether the cache or the remote has the data that dvc.lock and the .dvc files name."""
    from lockstep.dvc.remote import absent_data

    lacking, lost = absent_data(project.root)
    if lost:
        names = ", ".join(lost[:5]) + (", ..." if len(lost) > 5 else "")
        text = f"neither DVC's cache nor its remote has {names}"
        return Finding(
            "failed", f"{text}: whoever has them can run `uv run dvc push`", [CHECK_AGAIN]
        )
    if lacking:
        text = f"{counted(lacking, 'file')} only in the remote"
        return Finding("warning", text, ["uv run dvc pull"])
    return Finding("ok", "in DVC's cache")


def mlflow(project: Project) -> Finding:
    """Whether the store answers, and works with this version of MLflow."""
    store = project.store
    if not store.exists():
        return Finding("ok", f"the first run creates {DATABASE}")
    server = health.server_version(store) if store.is_server else ""
    health.require_working(store)
    place = without_secrets(store.uri)
    return compatible(place, server, health.client_version()) if server else Finding("ok", place)


def artifacts(project: Project) -> Finding:
    """Whether a small artifact can be written, read back and deleted; it belongs to no run."""
    if not project.store.exists():
        return NO_STORE
    return Finding("ok", f"{health.probe_artifacts(project.store)}: written, read back, deleted")


def registry(project: Project) -> Finding:
    """Whether the model registry answers."""
    if not project.store.exists():
        return NO_STORE
    return Finding("ok", ", ".join(health.model_names(project.store)) or "no model yet")


def runs(project: Project) -> Finding:
    """The states that have no run in MLflow."""
    from lockstep.publish.backfill import unpublished

    missing = unpublished(project)
    if not missing:
        return Finding("ok", "every state has its run")
    names = ", ".join(state.name for state in missing[:5])
    more = ", ..." if len(missing) > 5 else ""
    return Finding(
        "warning",
        f"{len(missing)} not in MLflow yet: {names}{more}",
        ["uv run lockstep publish --all"],
    )


def live_runs(project: Project) -> Finding:
    """The runs that MLflow shows as running though their training was killed."""
    if not project.store.exists():
        return NO_STORE
    client = project.store.client()
    experiment_id = project.store.find_experiment_id(client)
    names = [run.info.run_name for run in killed(client, experiment_id)] if experiment_id else []
    if not names:
        return Finding("ok", "killed trainings left none")
    text = f"the training of {', '.join(names)} was killed, and MLflow shows it as running"
    return Finding("warning", text, ["uv run lockstep publish --all"])


def compatible(place: str, server: str, client: str) -> Finding:
    """Compare the versions of a server and its client, which may call what an older server lacks.

    They must share the major version; a server that is older by a minor one is a warning.
    """
    there, here = ([int(part) for part in version.split(".")[:2]] for version in (server, client))
    text = f"{place}: server {server}, client {client}"
    if there[0] == here[0] and there >= here:
        return Finding("ok", text)
    cure = [f'uv add "mlflow=={there[0]}.{there[1]}.*"']
    return Finding("failed" if there[0] != here[0] else "warning", text, cure)
