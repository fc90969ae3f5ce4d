"""Where a run or a file came from, and what was made from it, as nested mappings."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lockstep import git
from lockstep.files import read_yaml, tree_digest
from lockstep.mlflow import runs, tag
from lockstep.mlflow.registry import aliases_of
from lockstep.mlflow.uri import CHECK_ADDRESS
from lockstep.record.published import stages_of
from lockstep.record.run_record import DIGITS
from lockstep.values import overlap

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from lockstep.dvc.lock import LockedStage
    from lockstep.project import Project

LISTED_RUNS = 50  # of a file, the newest ones
Node = dict[str, Any]


def trace_run(client: "MlflowClient", run: "Run") -> Node:
    """Everything that a run records: code, params, stages with what they read and wrote, models."""
    tags = run.data.tags
    stages = stages_of(client, run)
    written = {path for stage in stages.values() for path in stage["outs"]}
    return {
        "run": run.info.run_name,
        "id": run.info.run_id,
        "came_from": {
            "code": {
                "commit": tags.get(tag.COMMIT),
                "snapshot": tags.get(tag.SNAPSHOT),
                "changed": [name for name in tags.get(tag.CHANGED, "").split(", ") if name],
            },
            "experiment": tags.get(tag.EXPERIMENT),
            "sweep": tags.get(tag.SWEEP),
            "retrained": tags.get(tag.RETRAIN_REASON),
            "overrides": tags.get(tag.OVERRIDES, ""),
            "params": dict(run.data.params),
            "data": {
                name: md5 for name, md5 in runs.input_digests(run).items() if name not in written
            },
            "stages": stages,
        },
        "metrics": dict(run.data.metrics),
        "used_in": {"models": models_of(client, run.info.run_id)},
    }


def trace_file(project: "Project", path: str) -> Node | None:
    """What made a file as it is now, and the runs that read or made it.

    Returns:
        None if neither the workspace nor dvc.lock has such a path.
    """
    workspace, pipeline = project.workspace, project.pipeline
    stages = pipeline.locked.values()
    digests = [paths[path] for s in stages for paths in (s.outs, s.deps) if path in paths]
    recorded = digests[0] if digests else None
    if recorded is None and not (workspace / path).exists():
        return None
    md5 = recorded or tree_digest(workspace / path)
    maker = next((stage for stage in stages if _made(stage, path, md5)), None)
    pointer = pipeline.pointer_of(path)
    imported = (read_yaml(workspace / pointer) if pointer else {}).get("deps", [{}])[0]
    last_commit = ("log", "-1", "--format=%H", "--", path, *([pointer] if pointer else []))
    return {
        "file": path,
        "md5": md5,
        "came_from": {
            "url": imported.get("path"),
            "commit": git.git(*last_commit, cwd=workspace) or None,
            "stage": maker.name if maker else None,
            "read": maker.deps if maker else {},
            "params": maker.params if maker else {},
        },
        "used_in": {
            "read_by": [stage.name for stage in stages if overlap(path, stage.deps)],
            "runs": list(_runs_with(project, path, digests[:1])),
        },
    }


def models_of(client: "MlflowClient", run_id: str) -> list[Node]:
    """The registered versions of a run's model, with the aliases that they have now."""
    return [
        {
            "model": version.name,
            "version": int(version.version),
            "aliases": aliases_of(client, version.name).get(str(version.version), []),
        }
        for version in client.search_model_versions(f"run_id = '{run_id}'")
    ]


def _made(stage: "LockedStage", path: str, md5: str) -> bool:
    """Whether a stage made a path with this content, or a folder around it."""
    return stage.outs.get(path) == md5 or any(path.startswith(f"{out}/") for out in stage.outs)


def _runs_with(project: "Project", path: str, recorded: list[str]) -> Iterator[Node]:
    """The runs in which a stage read or wrote a file with this content.

    Args:
        recorded: Its md5 in dvc.lock; empty for what is only in a folder there, or around one.
    """
    stages, store = project.pipeline.locked.values(), project.store
    around = {
        name: (paths[name], stage.name)
        for stage in stages
        for paths in (stage.outs, stage.deps)
        for name in paths
        if overlap(path, [name]) and (name == path or not recorded)
    }
    if not around or not store.exists():
        return
    with store.errors_explained(CHECK_ADDRESS):
        client = store.client()
        experiment_id = store.find_experiment_id(client)
        if experiment_id is None:
            return
        tags = {(tag.FILES, md5[:DIGITS]) for md5, _ in around.values()}
        # MLflow accepts no other names of tags; those of stages are from before 0.5.
        names = {(stage, md5) for md5, stage in around.values() if "@" not in stage}
        tags |= {(tag.STAGE_PREFIX + stage, md5) for stage, md5 in names if ":" not in stage}
        found = {
            run.info.run_id: run.info
            for key, digits in sorted(tags)
            for run in client.search_runs(
                [experiment_id], f"tags.`{key}` LIKE '%{digits}%'", max_results=LISTED_RUNS
            )
        }
        for info in found.values():
            yield {
                "run": info.run_name,
                "id": info.run_id,
                "models": models_of(client, info.run_id),
            }
