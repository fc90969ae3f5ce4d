"""What a word on the command line means: a run, a model's version, an experiment, a commit."""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep import LockstepError, git
from lockstep.dvc.experiments import experiment_refs
from lockstep.mlflow import tag
from lockstep.mlflow.store import Store
from lockstep.record.snapshot import BUNDLE, unbundle

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

CURE = "check the address in conf/tracking/ or MLFLOW_TRACKING_URI, and that the server is up"


@dataclass(frozen=True)
class Target:
    """What a word means.

    Attributes:
        name: To call it by.
        revision: The commit that holds its code.
        run: Its run in MLflow; None where it was found in git alone.
    """

    name: str
    revision: str
    run: "Run | None" = None


def resolve_target(word: str, root: Path, store: Store) -> Target:
    """Find what a word means, and bring its code into the repository.

    Args:
        word: A run's id or name, models:/name@alias, models:/name/3, a DVC experiment or a git
            revision; the first of these that there is.
        root: The project's own folder.
        store: Where the runs are.

    Raises:
        LockstepError: There is no such thing, or its code cannot be had.
    """
    known = _target_in_git(word, root)
    try:
        if run := find_run(word, store):
            return Target(run.info.run_name or word, _revision_of(run, root, store), run)
    except LockstepError as error:
        if known is None:
            raise
        print(f"note: {word} is taken from git: {str(error).splitlines()[0]}")
    if known:
        return known
    raise LockstepError(
        f"{word!r} is no run, model, DVC experiment or git revision of this project\n"
        "`uv run mlflow ui` shows the runs, `dvc exp list --all-commits` the experiments"
    )


def _target_in_git(word: str, root: Path) -> Target | None:
    """The DVC experiment or the git revision that a word means."""
    experiments = experiment_refs(root, word) if re.fullmatch(r"[\w.-]+", word) else {}
    if experiments:
        return Target(word, next(iter(experiments.values())))
    commit = git.git("rev-parse", "--verify", "--quiet", f"{word}^{{commit}}", cwd=root)
    return Target(commit[:7], commit) if commit else None


def find_run(word: str, store: Store) -> "Run | None":
    """The run that a word means; None when it means none.

    Args:
        word: A run's id or name, models:/name@alias or models:/name/3.
        store: Where the runs are.

    Raises:
        LockstepError: The store cannot be reached, the name is that of several runs, or there is no
            such model.
    """
    if not store.exists():
        return None
    with store.errors_explained(CURE):
        client = store.client()
        if word.startswith("models:/"):
            return _run_of_model(client, word)
        if re.fullmatch("[0-9a-f]{32}", word):
            return client.get_run(word)
        experiment = client.get_experiment_by_name(store.experiment)
        if experiment is None:
            return None
        quoted = word.replace("'", "\\'")
        query = f"attributes.run_name = '{quoted}' and attributes.status = 'FINISHED'"
        found = client.search_runs([experiment.experiment_id], query, max_results=5)
    # The run that `lockstep sweep --apply` makes of a trial has the trial's name.
    runs = [run for run in found if tag.STATE in run.data.tags] or found
    if len(runs) > 1:
        ids = ", ".join(run.info.run_id for run in runs)
        raise LockstepError(f"several runs are called {word}: name one by its id, {ids}")
    return runs[0] if runs else None


def _run_of_model(client: "MlflowClient", uri: str) -> "Run":
    name, alias, version = _parse_model_uri(uri)
    found = (
        client.get_model_version_by_alias(name, alias)
        if alias
        else client.get_model_version(name, version)
    )
    if not found.run_id:
        raise LockstepError(f"{uri} was registered without a run: nobody knows what made it")
    return client.get_run(found.run_id)


def _parse_model_uri(uri: str) -> tuple[str, str, str]:
    """Name, alias and version in models:/name@alias or models:/name/3; one of the last is empty."""
    match = re.fullmatch(r"models:/([^/@]+)(?:@([\w-]+)|/(\d+))", uri)
    if match is None:
        raise LockstepError(f"{uri} names no version of a model: write models:/name@alias")
    return match[1], match[2] or "", match[3] or ""


def _revision_of(run: "Run", root: Path, store: Store) -> str:
    """The snapshot of a run, brought into the repository if need be."""
    revision = run.data.tags.get(tag.SNAPSHOT)
    trial = run.data.tags.get(tag.TRIAL)
    if revision is None and trial:
        raise LockstepError(
            f"{run.info.run_name} is a trial: make it a run of the pipeline, which can be rebuilt, "
            f"by `lockstep sweep --apply {trial} sweep.name={run.data.tags[tag.SWEEP]}`"
        )
    if revision is None:
        raise LockstepError(
            f"run {run.info.run_name} has no snapshot of its code: it was not published by "
            "`lockstep publish` in a git repository"
        )
    if git.git("cat-file", "-e", f"{revision}^{{tree}}", cwd=root) is None:
        with tempfile.TemporaryDirectory() as folder, store.errors_explained(CURE):
            bundle = store.client().download_artifacts(run.info.run_id, BUNDLE, folder)
            unbundle(root, run.data.tags[tag.STATE], Path(bundle))
    return revision
