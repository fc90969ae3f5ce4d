"""Where a thing came from and what came of it: `lockstep trace`."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep import LockstepError, git
from lockstep.dvc.pipeline import Pipeline
from lockstep.files import read_yaml, tree_digest
from lockstep.lineage.target import CURE, find_run
from lockstep.mlflow import tag
from lockstep.mlflow.store import Store, store_of
from lockstep.record.run_record import digests_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from rich.tree import Tree

# What came of a file is told of so many runs, the newest ones.
LISTED_RUNS = 50
SHOWN_DIGITS = 8
TITLES = ("came_from", "came_of_it", "made_by", "read_by")
Node = dict[str, Any]


def trace(workspace: Path, word: str, *, as_json: bool = False) -> None:
    """Print where a run, a model's version or a file came from, and what came of it.

    Args:
        workspace: The project's folder.
        word: A run's id or name, models:/name@alias, models:/name/3, or a path in the project.
        as_json: Print JSON, not a tree.

    Raises:
        LockstepError: There is no such thing, or the store cannot be reached.
    """
    store = store_of(workspace)
    path, pipeline = Path(word).as_posix(), Pipeline(workspace)
    if (workspace / path).exists() or _recorded(pipeline, path) is not None:
        found = _of_file(pipeline, path, store)
    elif run := find_run(word, store):
        with store.errors_explained(CURE):
            found = _of_run(store.client(), run)
    else:
        raise LockstepError(f"{word!r} is no run, no model and no file of this project")
    if as_json:
        print(json.dumps(found, indent=2))
        return
    from rich.console import Console

    Console(highlight=False, soft_wrap=True, markup=False).print(_tree(found))


def _of_run(client: "MlflowClient", run: "Run") -> Node:
    """All that a run tells: code, params, stages with what they read and made, models."""
    tags = run.data.tags
    stages = {
        key.removeprefix(tag.STAGE_PREFIX): json.loads(value)
        for key, value in tags.items()
        if key.startswith(tag.STAGE_PREFIX)
    }
    made = {path for stage in stages.values() for path in stage["outs"]}
    return {
        "run": run.info.run_name,
        "id": run.info.run_id,
        "came_from": {
            "code": {
                "commit": tags.get(tag.COMMIT),
                "snapshot": tags.get(tag.SNAPSHOT),
                "changed": [name for name in tags.get("git.changed", "").split(", ") if name],
            },
            "experiment": tags.get("dvc.experiment"),
            "sweep": tags.get(tag.SWEEP),
            "overrides": tags.get("overrides", ""),
            "params": dict(run.data.params),
            "data": {name: md5 for name, md5 in digests_of(run).items() if name not in made},
            "stages": stages,
        },
        "metrics": dict(run.data.metrics),
        "came_of_it": {"models": _models(client, run.info.run_id)},
    }


def _models(client: "MlflowClient", run_id: str) -> list[Node]:
    """The registered versions of a run's model, with the aliases that they have now."""
    versions = client.search_model_versions(f"run_id = '{run_id}'")
    return [
        {
            "model": version.name,
            "version": int(version.version),
            "aliases": _aliases(client, version.name, str(version.version)),
        }
        for version in versions
    ]


def _aliases(client: "MlflowClient", name: str, version: str) -> list[str]:
    # The values are numbers in SQLite and text from a server.
    aliases = client.get_registered_model(name).aliases
    return sorted(alias for alias, at in aliases.items() if str(at) == version)


def _of_file(pipeline: Pipeline, path: str, store: Store) -> Node:
    """What made a file as it is now, and the runs that show it or what came of it."""
    workspace = pipeline.workspace
    md5 = _recorded(pipeline, path) or tree_digest(workspace / path)
    makers = [stage for stage in pipeline.locked.values() if stage.outs.get(path) == md5]
    maker = makers[0] if makers else None
    pointer = f"{path}.dvc"
    imported = (read_yaml(workspace / pointer) or {}).get("deps", [{}])[0]
    committed = ("log", "-1", "--format=%H", "--", path, pointer)
    return {
        "file": path,
        "md5": md5,
        "came_from": {
            "url": imported.get("path"),
            "commit": git.git(*committed, cwd=workspace) or None,
            "stage": maker.name if maker else None,
            "read": maker.deps if maker else {},
            "params": maker.params if maker else {},
        },
        "came_of_it": {
            "read_by": [stage.name for stage in pipeline.locked.values() if path in stage.deps],
            "runs": list(_runs_with(pipeline, path, md5, store)),
        },
    }


def _runs_with(pipeline: Pipeline, path: str, md5: str, store: Store) -> Iterator[Node]:
    """The runs of which a stage read or made a file with this content."""
    stages = [
        name for name, stage in pipeline.locked.items() if path in {**stage.deps, **stage.outs}
    ]
    if not stages or not store.exists():
        return
    with store.errors_explained(CURE):
        client = store.client()
        experiment = client.get_experiment_by_name(store.experiment)
        if experiment is None:
            return
        query = f"tags.`{tag.STAGE_PREFIX}{stages[0]}` LIKE '%{md5}%'"
        found = client.search_runs([experiment.experiment_id], query, max_results=LISTED_RUNS)
        for run in found:
            info = run.info
            yield {"run": info.run_name, "id": info.run_id, "models": _models(client, info.run_id)}


def _recorded(pipeline: Pipeline, path: str) -> str | None:
    """The md5 of a path in dvc.lock."""
    for stage in pipeline.locked.values():
        for paths in (stage.outs, stage.deps):
            if path in paths:
                return paths[path]
    return None


def _tree(node: Node) -> "Tree":
    from rich.tree import Tree

    (kind, name), *rest = node.items()
    tree = Tree(f"{kind} {name}")
    _grow(tree, dict(rest))
    return tree


def _grow(tree: "Tree", value: Any) -> None:
    """Hang what is in a value below a branch; what is empty is left out."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        if item in (None, "", [], {}):
            continue
        label = str(key).replace("_", " ") if key in TITLES else str(key)
        if isinstance(item, dict) and isinstance(key, int):
            (kind, name), *rest = item.items()
            _grow(tree.add(f"{kind} {name}"), dict(rest))
        elif isinstance(item, dict) or (isinstance(item, list) and isinstance(item[0], dict)):
            _grow(tree.add(label), item)
        else:
            text = ", ".join(map(str, item)) if isinstance(item, list) else str(item)
            is_digest = key != "id" and re.fullmatch(r"[0-9a-f]{32,40}(\.dir)?", text)
            tree.add(f"{label}: {text[:SHOWN_DIGITS] if is_digest else text}")
