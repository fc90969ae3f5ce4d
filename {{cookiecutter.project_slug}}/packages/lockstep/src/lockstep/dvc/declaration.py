"""What dvc.yaml declares, seen from the stage that publishes."""

import posixpath
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from lockstep import LockstepError
from lockstep.dvc.dvcfile import Stage, artifacts_in, placed, stages_in
from lockstep.dvc.resolver import resolved
from lockstep.dvc.sources import Source, Workspace
from lockstep.values import overlap
from lockstep.workspace import DVC_YAML, TEMPORARY


class Declaration:
    """The stages, metrics and models of a project's dvc.yaml, and of those in its subfolders."""

    def __init__(self, workspace: Path, source: Source | None = None) -> None:
        """Read every dvc.yaml with its dvc.lock.

        Args:
            source: Where their text comes from; by default, the workspace.

        Raises:
            LockstepError: There is no dvc.yaml with stages, or DVC cannot resolve it.
        """
        self.workspace = workspace
        self._source = source or Workspace(workspace)
        self._contents = resolved(self._source, None if source else workspace / TEMPORARY)
        stages = [s for file, content in self._contents.items() for s in stages_in(file, content)]
        self.stages = {stage.name: stage for stage in stages}
        if not any(":" not in name for name in self.stages):
            raise LockstepError(
                f"{workspace} has no dvc.yaml with stages: run this in the project's root"
            )

    def stage(self, name: str) -> Stage:
        """A declared stage.

        Raises:
            LockstepError: dvc.yaml has no such stage.
        """
        if name not in self.stages:
            raise LockstepError(f"dvc.yaml has no stage {name!r}; it has {', '.join(self.stages)}")
        return self.stages[name]

    def running(self, address: str, folder: str) -> Stage:
        """The stage that DVC runs.

        Args:
            address: As DVC names it from the folder that it was started in.
            folder: That the stage's command runs in, from the project's folder.

        Raises:
            LockstepError: dvc.yaml has no such stage.
        """
        name = address.rpartition(":")[2]
        found = [
            stage
            for stage in self.stages.values()
            if stage.folder == folder and stage.name.rpartition(":")[2] == name
        ]
        return found[0] if len(found) == 1 else self.stage(address)

    @cached_property
    def publisher(self) -> str:
        """The name of the stage that publishes, in dvc.yaml of the project's own folder."""
        own = {name: stage for name, stage in self.stages.items() if ":" not in name}
        names = [name for name, stage in own.items() if "lockstep publish" in stage.cmd]
        if not names:
            raise LockstepError("no stage of dvc.yaml runs `lockstep publish`: add one")
        if len(names) > 1:
            raise LockstepError(
                f"the stages {', '.join(names)} of dvc.yaml run `lockstep publish`: one run shows "
                "the whole pipeline, so keep one of them, with all their deps"
            )
        return names[0]

    @cached_property
    def published_paths(self) -> list[str]:
        """The paths that the publishing stage depends on: what a run shows."""
        return self.stages[self.publisher].deps

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
                makers = {name for name, other in self.stages.items() if overlap(path, other.outs)}
                unvisited += makers - ancestors
                ancestors |= makers
        return [name for name in self.stages if name in ancestors]

    def inputs(self, stage: str) -> list[str]:
        """The data among a stage's declared deps: what stages make, or DVC tracks.

        Raises:
            LockstepError: dvc.yaml has no such stage.
        """
        made = [out for other in self.stages.values() for out in other.outs]
        deps = self.stage(stage).deps
        return [path for path in deps if overlap(path, made) or self.pointer_of(path)]

    def models(self) -> list[dict[str, Any]]:
        """The artifacts of dvc.yaml whose type is `model`; the first is the one that is registered.

        Those of a dvc.yaml in a subfolder count if they are published.
        """
        others = [file for file in self._contents if file != DVC_YAML]
        found = [entry for file in others for entry in self._models_in(file)]
        return [
            *self.own_models(),
            *(entry for entry in found if overlap(entry["path"], self.published_paths)),
        ]

    def own_models(self) -> list[dict[str, Any]]:
        """Those of the dvc.yaml in the project's own folder."""
        return list(self._models_in(DVC_YAML))

    def _models_in(self, file: str) -> Iterator[dict[str, Any]]:
        entries = artifacts_in(file, self._contents.get(file, {}))
        return (entry for entry in entries if entry.get("type") == "model")

    def about_model(self) -> dict[str, str]:
        """The `meta` of the registered model: the files that describe it, by role."""
        return next((entry["meta"] for entry in self.models()), {})

    @cached_property
    def metrics(self) -> list[str]:
        """The metric files, of stages and of the whole dvc.yaml."""
        of_stages = (path for stage in self.stages.values() for path in stage.metrics)
        of_files = (
            placed(posixpath.dirname(file), path)
            for file, content in self._contents.items()
            for path in content["metrics"]
        )
        return [*dict.fromkeys([*of_stages, *of_files])]

    def metric_files(self) -> list[str]:
        """The published metric files: those that are a dep of the publishing stage, or in one."""
        published = self.published_paths
        return [path for path in self.metrics if path in published or _inside(path, published)]


def _inside(path: str, folders: Iterable[str]) -> bool:
    return any(path.startswith(f"{folder}/") for folder in folders)
