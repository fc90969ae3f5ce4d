"""What dvc.yaml declares and dvc.lock records: the stages, and the state that a run shows."""

from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from lockstep import LockstepError
from lockstep.dvc.dvcfile import interpolated, path_of, stage_definition
from lockstep.dvc.lock import LockedStage, makers_of, params_of, stages_of_lock
from lockstep.files import read_yaml, tree_digest
from lockstep.values import digest, overlap, selected
from lockstep.workspace import DVC_LOCK, DVC_YAML


class Pipeline:
    """The pipeline of a workspace, seen from the stage that publishes it."""

    def __init__(self, workspace: Path, read: Callable[[str], Any] | None = None) -> None:
        """Read dvc.yaml and dvc.lock.

        Args:
            read: Returns the content of a YAML file, None if there is no such file; by default it
                reads the workspace's files.

        Raises:
            LockstepError: There is no dvc.yaml with stages.
        """
        self.workspace = workspace
        read = read or (lambda name: read_yaml(workspace / name))
        self.declared = interpolated(read(DVC_YAML) or {})
        if "stages" not in self.declared:
            raise LockstepError(
                f"{workspace} has no dvc.yaml with stages: run this in the project's root"
            )
        self.locked = stages_of_lock(read(DVC_LOCK) or {})

    @cached_property
    def publisher(self) -> str:
        """The name of the stage that publishes."""
        for name, stage in self.declared["stages"].items():
            if "lockstep publish" in str(stage.get("cmd")):
                return str(name)
        raise LockstepError("no stage of dvc.yaml runs `lockstep publish`: add one")

    @cached_property
    def published_paths(self) -> list[str]:
        """The paths that the publishing stage depends on: what a run shows."""
        return [path_of(dep) for dep in self.declared["stages"][self.publisher].get("deps", [])]

    @cached_property
    def upstream(self) -> dict[str, LockedStage]:
        """The stages that the published paths come from, each after those whose outputs it reads.

        Raises:
            LockstepError: One of the published paths was not made yet.
        """
        makers = {
            out: stage
            for stage in self.locked.values()
            for out in stage.outs
            if stage.name != self.publisher
        }
        if missing := [path for path in self.published_paths if not makers_of(path, makers)]:
            raise LockstepError(
                f"dvc.lock does not record {', '.join(missing)} yet: run `uv run dvc repro`"
            )
        visited: set[str] = set()
        ordered: dict[str, LockedStage] = {}

        def visit(paths: Iterable[str]) -> None:
            for stage in (maker for path in paths for maker in makers_of(path, makers)):
                if stage.name not in visited:
                    visited.add(stage.name)
                    visit([*stage.deps, *stage.params])
                    ordered[stage.name] = stage

        visit(self.published_paths)
        return ordered

    @cached_property
    def params(self) -> dict[str, dict[str, Any]]:
        """The params that shaped the state, by param file and key."""
        return params_of(self.upstream.values())

    @cached_property
    def params_of_model(self) -> dict[str, dict[str, Any]]:
        """The params that shaped the model; without one, the state."""
        models = [model["path"] for model in self.models()]
        makers = [
            name
            for name, stage in self.upstream.items()
            if any(overlap(path, stage.outs) for path in models)
        ]
        names = {name for maker in makers for name in (maker, *self.ancestors(maker))}
        return params_of(
            stage for name, stage in self.upstream.items() if name in (names or self.upstream)
        )

    @cached_property
    def outs(self) -> dict[str, str]:
        """The md5 of what the upstream stages made, by path.

        An out with `persist: true` is left out: people edit what a stage only creates
        (params.yaml, schema.yaml).
        """
        persistent = {
            path_of(out)
            for stage in self.declared["stages"].values()
            for out in stage.get("outs", [])
            if isinstance(out, dict) and out[path_of(out)].get("persist")
        }
        return {path: md5 for path, md5 in self.written.items() if path not in persistent}

    @cached_property
    def written(self) -> dict[str, str]:
        """The md5 of everything that the upstream stages wrote, by path."""
        return {path: md5 for stage in self.upstream.values() for path, md5 in stage.outs.items()}

    @cached_property
    def state(self) -> str:
        """The identity of the state: a digest of the params that shaped it and of its outputs.

        Code is left out on purpose: a new comment in a stage does not change the result.
        """
        return digest({"params": self.params, "outs": self.outs})

    def drift_from_lock(self) -> list[str]:
        """The params and published files that differ from what dvc.lock records."""
        params = {file: read_yaml(self.workspace / file) for file in self.params}
        changed = [
            f"{file}: {key}"
            for file, values in self.params.items()
            for key, value in values.items()
            if selected(params[file], key) != value
        ]
        return changed + [
            path
            for path in self.published_paths
            if path in self.written
            and not (self.workspace / path).is_dir()
            and tree_digest(self.workspace / path) != self.written[path]
        ]

    @cached_property
    def code(self) -> dict[str, str]:
        """The md5 of the files that the upstream stages read and git keeps, by path."""
        makers = {path: stage for stage in self.locked.values() for path in stage.outs}
        return {
            path: md5
            for stage in self.upstream.values()
            for path, md5 in stage.deps.items()
            if md5 and not makers_of(path, makers) and not self.pointer_of(path)
        }

    def edited_code(self) -> list[str]:
        """The code that was changed after the stages read it."""
        return [
            path for path, md5 in self.code.items() if tree_digest(self.workspace / path) != md5
        ]

    def data(self) -> dict[str, tuple[str, list[str]]]:
        """The data that flows through the upstream stages.

        Returns:
            By path, its md5 and the names of the stages that read it. Data is what one stage makes
            and another one reads, and what `dvc add` and `dvc import-url` track; published paths
            (the model, reports) are not data.
        """
        data: dict[str, tuple[str, list[str]]] = {}
        for stage in self.upstream.values():
            for path, md5 in stage.deps.items():
                if path not in self.published_paths and (
                    self.pointer_of(path) or path in self.outs
                ):
                    data.setdefault(path, (md5, []))[1].append(stage.name)
        return data

    def sources(self) -> dict[str, str]:
        """The md5 of what the upstream stages read and `dvc add` or `dvc import-url` tracks."""
        return {
            path: md5
            for stage in self.upstream.values()
            for path, md5 in stage.deps.items()
            if path not in self.written and self.pointer_of(path)
        }

    def pointer_of(self, path: str) -> str | None:
        """The .dvc file of `dvc add` or `dvc import-url` for a path or a folder around it."""
        pointers = (f"{place}.dvc" for place in (path, *Path(path).parents))
        return next((name for name in pointers if (self.workspace / name).is_file()), None)

    def ancestors(self, stage: str) -> list[str]:
        """The declared stages that make what a stage reads, directly or not.

        Raises:
            LockstepError: dvc.yaml has no such stage.
        """
        ancestors: set[str] = set()
        unvisited = [stage]
        while unvisited:
            for path in self.inputs(unvisited.pop()):
                makers = {name for name, outs in self._makes.items() if overlap(path, outs)}
                unvisited += makers - ancestors
                ancestors |= makers
        return [name for name in self.declared["stages"] if name in ancestors]

    def inputs(self, stage: str) -> list[str]:
        """The data among a stage's declared deps: what stages make, or DVC tracks.

        Raises:
            LockstepError: dvc.yaml has no such stage.
        """
        made = [out for outs in self._makes.values() for out in outs]
        deps = map(path_of, stage_definition(self.declared, stage).get("deps", []))
        return [path for path in deps if overlap(path, made) or self.pointer_of(path)]

    @cached_property
    def _makes(self) -> dict[str, list[str]]:
        """The paths that each declared stage makes."""
        return {
            name: [path_of(out) for out in stage_definition(self.declared, name).get("outs", [])]
            for name in self.declared["stages"]
        }

    def models(self) -> list[dict[str, Any]]:
        """The artifacts of dvc.yaml whose type is `model`."""
        artifacts = self.declared.get("artifacts") or {}
        return [entry for entry in artifacts.values() if entry.get("type") == "model"]

    def about_model(self) -> dict[str, str]:
        """The `meta` of the published model: the files that describe it, by role."""
        return next((entry.get("meta") or {} for entry in self.models()), {})

    def metric_files(self) -> list[str]:
        """The published metric files."""
        metrics = [
            path_of(entry)
            for stage in self.declared["stages"].values()
            for entry in stage.get("metrics", [])
        ]
        return [path for path in metrics if path in self.published_paths]
