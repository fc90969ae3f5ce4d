"""What dvc.lock records of the declared stages: the state that a run shows."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from lockstep import LockstepError
from lockstep.dvc.declaration import Declaration
from lockstep.dvc.lock import LockedStage, locked, makers_of, params_of, stages_of
from lockstep.dvc.values import read_values
from lockstep.files import tree_digest
from lockstep.values import digest, overlap, selected
from lockstep.workspace import DVC_YAML


class Pipeline(Declaration):
    """The pipeline of a workspace, seen from the stage that publishes it."""

    @cached_property
    def locks(self) -> dict[str, str]:
        """The lock file of each dvc.yaml with a stage that led to what is published."""
        files = {name.rpartition(":")[0] or DVC_YAML for name in self.upstream}
        return {file: _lock_of(file) for file in self._contents if file in files}

    @cached_property
    def locked(self) -> dict[str, LockedStage]:
        """The stages that ran, in the order of dvc.lock.

        Raises:
            LockstepError: dvc.lock has a merge conflict, or is not whole.
        """
        found = {}
        for file in self._contents:
            lock = _lock_of(file)
            for name, entry in stages_of(self._source.text(lock), lock).items():
                # One that dvc.yaml no longer has stays in dvc.lock.
                if stage := self.stages.get(name if file == DVC_YAML else f"{file}:{name}"):
                    found[stage.name] = locked(stage, entry)
        return found

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
        persistent = {path for stage in self.stages.values() for path in stage.persistent}
        return {path: md5 for path, md5 in self.written.items() if path not in persistent}

    @cached_property
    def written(self) -> dict[str, str]:
        """The md5 of everything that the upstream stages wrote, by path."""
        return {path: md5 for stage in self.upstream.values() for path, md5 in stage.outs.items()}

    def outs_at(self, *paths: str) -> dict[str, str]:
        """The md5 of what the upstream stages wrote at some paths, in them or around them."""
        return {out: md5 for out, md5 in self.written.items() if overlap(out, paths)}

    @cached_property
    def state(self) -> str:
        """The identity of the state: a digest of the params that shaped it and of its outputs.

        Code is left out on purpose: a new comment in a stage does not change the result.
        """
        return digest({"params": self.params, "outs": self.outs})

    def drift_from_lock(self) -> list[str]:
        """The params and published files that differ from what dvc.lock records."""
        params = {file: read_values(self.workspace / file) for file in self.params}
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
        shown = {*self.published_paths, *(model["path"] for model in self.models())}
        data: dict[str, tuple[str, list[str]]] = {}
        for stage in self.upstream.values():
            for path, md5 in stage.deps.items():
                if path not in shown and (self.pointer_of(path) or overlap(path, self.outs)):
                    data.setdefault(path, (md5, []))[1].append(stage.name)
        return data

    def sources(self) -> dict[str, str]:
        """The md5 of what the upstream stages read and `dvc add` or `dvc import-url` tracks."""
        return {
            path: md5
            for stage in self.upstream.values()
            for path, md5 in stage.deps.items()
            if not overlap(path, self.written) and self.pointer_of(path)
        }


def _lock_of(file: str) -> str:
    return Path(file).with_suffix(".lock").as_posix()
