"""What dvc.lock records: the stages that ran, with what each read and wrote.

https://dvc.org/doc/user-guide/project-structure/dvcyaml-files#dvclock-file
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lockstep.dvc.dvcfile import Stage, placed
from lockstep.values import overlap


@dataclass(frozen=True)
class LockedStage:
    """A stage that ran.

    Attributes:
        deps: The md5 of each file or folder that it read, by path.
        outs: The md5 of each file or folder that it wrote, by path.
        params: The values that it read, by param file and key.
    """

    name: str
    deps: dict[str, str]
    outs: dict[str, str]
    params: dict[str, dict[str, Any]]


def locked(stage: Stage, entry: dict[str, Any]) -> LockedStage:
    """A declared stage with its entry in dvc.lock."""
    params = {placed(stage.folder, file): keys for file, keys in entry.get("params", {}).items()}
    return LockedStage(
        stage.name, _hashes(stage, entry, "deps"), _hashes(stage, entry, "outs"), params
    )


def makers_of(path: str, makers: Mapping[str, LockedStage]) -> list[LockedStage]:
    """The stages that made a path, something in it, or a folder around it."""
    return [stage for out, stage in makers.items() if overlap(path, [out])]


def params_of(stages: Iterable[LockedStage]) -> dict[str, dict[str, Any]]:
    """The values that stages read, by param file and key."""
    merged: dict[str, dict[str, Any]] = {}
    for stage in stages:
        for file, values in stage.params.items():
            merged.setdefault(file, {}).update(values)
    return merged


def _hashes(stage: Stage, entry: dict[str, Any], key: str) -> dict[str, str]:
    return {
        placed(stage.folder, item["path"]): item.get(item.get("hash", "md5"), "")
        for item in entry.get(key, [])
    }
