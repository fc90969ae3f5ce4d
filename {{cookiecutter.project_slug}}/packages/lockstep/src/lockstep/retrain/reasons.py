"""Why a model should be trained again."""

from typing import TYPE_CHECKING

from lockstep import git
from lockstep.champion.alias import champion_of
from lockstep.dvc.command import run_dvc
from lockstep.files import read_yaml
from lockstep.mlflow import tag
from lockstep.mlflow.registry import named
from lockstep.monitor.history import newest_verdict
from lockstep.record.run_record import data_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow import MlflowClient

    from lockstep.project import Project


def bring_in_new_data(project: "Project") -> list[str]:
    """Download what changed behind `dvc import` and `dvc import-url`, and track changed files.

    Returns:
        The .dvc files that differ from the last commit now.
    """
    root = project.root
    tracked = (git.git_or_fail("ls-files", "*.dvc", cwd=root)).splitlines()
    for pointer in tracked:
        content = read_yaml(root / pointer) or {}
        if content.get("frozen") and content.get("deps"):
            run_dvc("update", "--quiet", pointer, cwd=root, quiet=True)
        else:  # a file that was replaced in place
            run_dvc("commit", "--quiet", "--force", pointer, cwd=root, quiet=True)
    changed = git.git_or_fail("diff", "--name-only", "--relative", "HEAD", "--", "*.dvc", cwd=root)
    return changed.splitlines()


def reasons(project: "Project", client: "MlflowClient") -> "Iterator[str]":
    """Why the model should be trained again: data that no version has seen, or an alarm."""
    name = project.model_name
    data = current_data(project)
    seen = {version.tags.get(tag.DATA) for version in client.search_model_versions(named(name))}
    if data not in seen:
        yield "new data"
    champion = champion_of(client, name)
    if champion is None:
        return
    if newest_verdict(client, project, str(champion.run_id)) == "alarm":
        yield f"an alarm about version {champion.version}"


def current_data(project: "Project") -> str:
    """The md5s of the sources, as versions record them in `dvc.data`."""
    pipeline = project.pipeline
    md5s = []
    for path in pipeline.sources():
        pointer = pipeline.pointer_of(path)
        outs = (read_yaml(project.workspace / pointer) or {}).get("outs", []) if pointer else []
        md5s += [out["md5"] for out in outs]
    return data_of(md5s)
