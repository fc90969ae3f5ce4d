"""Why a model should be trained again."""

from typing import TYPE_CHECKING

from lockstep import git
from lockstep.champion.alias import champion_of
from lockstep.dvc.command import run_dvc
from lockstep.files import read_yaml
from lockstep.mlflow import tag
from lockstep.mlflow.registry import named
from lockstep.monitor.history import newest_window
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
    tracked = git.git_or_fail("ls-files", "*.dvc", cwd=root).splitlines()
    contents = {pointer: read_yaml(root / pointer) or {} for pointer in tracked}
    imported = [name for name, text in contents.items() if text.get("frozen") and text.get("deps")]
    if imported:
        run_dvc("update", "--quiet", *imported, cwd=root, quiet=True)
    if added := [name for name in tracked if name not in imported]:  # a file replaced in place
        run_dvc("commit", "--quiet", "--force", *added, cwd=root, quiet=True)
    changed = git.git_or_fail("diff", "--name-only", "--relative", "HEAD", "--", "*.dvc", cwd=root)
    return changed.splitlines()


def reasons(project: "Project", client: "MlflowClient") -> "Iterator[tuple[str, str]]":
    """Why the model should be trained again, each with its kind: `data` or `alarm`.

    The same data would give the same model, so an alarm is a reason only with data that no version
    has learned from.
    """
    name = project.model_name
    seen = {version.tags.get(tag.DATA) for version in client.search_model_versions(named(name))}
    if current_data(project) in seen:
        return
    yield "data", "new data"
    champion = champion_of(client, name)
    newest = newest_window(client, project, str(champion.run_id)) if champion else None
    if champion and newest and newest.verdict == "alarm":
        yield "alarm", f"an alarm about version {champion.version}"


def current_data(project: "Project") -> str:
    """The md5s of the sources, as versions record them in `dvc.data`."""
    pipeline = project.pipeline
    md5s = []
    for path in pipeline.sources():
        pointer = pipeline.pointer_of(path)
        outs = (read_yaml(project.workspace / pointer) or {}).get("outs", []) if pointer else []
        md5s += [out["md5"] for out in outs]
    return data_of(md5s)
