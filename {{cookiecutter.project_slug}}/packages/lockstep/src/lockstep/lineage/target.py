"""What a word on the command line names: a run, a model's version, an experiment, a commit."""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep import LockstepError, git
from lockstep.dvc.experiments import experiment_refs
from lockstep.mlflow import runs, tag
from lockstep.mlflow.registry import find_version, version_called
from lockstep.mlflow.uri import CHECK_ADDRESS, parse_model_uri
from lockstep.record.provenance import SEPARATOR
from lockstep.record.snapshot import BUNDLE, unbundle
from lockstep.values import first_line

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from lockstep.project import Project

# What the help of a verb says that it takes.
RUNS = "a run's id or name, a version's number or alias, models:/name@alias, models:/name/3"
TARGETS = f"{RUNS}, a DVC experiment or a git revision"


@dataclass(frozen=True)
class Target:
    """What a word names.

    Attributes:
        name: How messages refer to it.
        revision: The commit that holds its code.
        run: Its run in MLflow; None if it was found in git alone.
    """

    name: str
    revision: str
    run: "Run | None" = None


def resolve_target(word: str, project: "Project") -> Target:
    """Find what a word names, and fetch its code into the repository.

    Args:
        word: A run's id or name, models:/name@alias, models:/name/3, the alias or the number of a
            version of the project's own model, a DVC experiment or a git revision; the first of
            these that exists.

    Raises:
        LockstepError: There is no such thing, or its code is not available.
    """
    in_git = _target_in_git(word, project.root)
    try:
        if run := find_run(word, project):
            return Target(run.info.run_name or word, _revision_of(run, project), run)
    except LockstepError as error:
        if in_git is None:
            raise
        print(f"note: {word} is taken from git: {first_line(error)}")
    if in_git:
        return in_git
    raise LockstepError(
        f"{word!r} is not a run, model, DVC experiment or git revision of this project\n"
        "`uv run lockstep runs` lists the runs, `uv run dvc exp list --all-commits` the experiments"
    )


def _target_in_git(word: str, root: Path) -> Target | None:
    """The DVC experiment or the git revision that a word names."""
    experiments = experiment_refs(root, word) if re.fullmatch(r"[\w.-]+", word) else {}
    if experiments:
        return Target(word, next(iter(experiments.values())))
    commit = git.git("rev-parse", "--verify", "--quiet", f"{word}^{{commit}}", cwd=root)
    return Target(commit[:7], commit) if commit else None


def find_run(word: str, project: "Project") -> "Run | None":
    """The run that a word names in MLflow, as `resolve_target` reads it; None without one.

    Raises:
        LockstepError: The store cannot be reached, several runs have the name, or there is no such
            model.
    """
    store = project.store
    if not store.exists():
        return None
    with store.errors_explained(CHECK_ADDRESS):
        client = store.client()
        if word.startswith("models:/"):
            return _run_of_model(client, word)
        if re.fullmatch("[0-9a-f]{32}", word):
            return client.get_run(word)
        experiment_id = store.find_experiment_id(client)
        if experiment_id is None:
            return None
        # The name, or the part after the model, which names a DVC experiment or a commit.
        names = (f"= {runs.quoted(word)}", f"LIKE {runs.quoted(f'%{SEPARATOR}{word}')}")
        queries = [
            f"attributes.run_name {name} and attributes.status = 'FINISHED'" for name in names
        ]
        found = [
            list(client.search_runs([experiment_id], query, max_results=5)) for query in queries
        ]
        model = project.registry.get("name")
        if not any(found) and model and (version := find_version(client, model, word)):
            return runs.any_run(client, version.run_id)
    # A trial has the name of the experiment that `lockstep sweep --apply` makes of it: a run of the
    # pipeline comes first.
    states = [[run for run in matches if tag.STATE in run.data.tags] for matches in found]
    named: list[Run] = next(filter(None, [*states, *found]), [])
    if len(named) > 1:
        ids = ", ".join(run.info.run_id for run in named)
        raise LockstepError(f"several runs are called {word}: give the id of one, {ids}")
    return named[0] if named else None


def _run_of_model(client: "MlflowClient", uri: str) -> "Run":
    version = version_called(client, *parse_model_uri(uri))
    if not version.run_id:
        raise LockstepError(f"{uri} was registered without a run, so its origin is unknown")
    return client.get_run(version.run_id)


def _revision_of(run: "Run", project: "Project") -> str:
    """The snapshot of a run, fetched into the repository if it is missing there."""
    tags, store = run.data.tags, project.store
    revision = tags.get(tag.SNAPSHOT)
    if revision is None:
        if trial := tags.get(tag.TRIAL):
            raise LockstepError(
                f"{run.info.run_name} is a trial, and only runs of the pipeline can be rebuilt: "
                f"run it by `uv run lockstep sweep --apply {trial} sweep.name={tags[tag.SWEEP]}`"
            )
        raise LockstepError(
            f"run {run.info.run_name} has no snapshot of its code: it was not published by "
            "`lockstep publish` in a git repository"
        )
    if git.git("cat-file", "-e", f"{revision}^{{tree}}", cwd=project.root) is None:
        with tempfile.TemporaryDirectory() as folder, store.errors_explained(CHECK_ADDRESS):
            bundle = store.client().download_artifacts(run.info.run_id, BUNDLE, folder)
            unbundle(project.root, tags[tag.STATE], Path(bundle))
    return revision
