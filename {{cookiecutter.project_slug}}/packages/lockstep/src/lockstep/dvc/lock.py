"""What dvc.lock records: the stages that ran, with what each read and wrote.

https://dvc.org/doc/user-guide/project-structure/dvcyaml-files#dvclock-file
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lockstep import LockstepError
from lockstep.dvc.dvcfile import Stage, placed
from lockstep.files import NotYamlError, parse_yaml
from lockstep.values import overlap

BROKEN = """\
{name} is not as DVC writes it: a command that was killed may have left half of it
uv run lockstep doctor"""


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


def stages_of(text: str | None, name: str) -> dict[str, Any]:
    """What a dvc.lock says of each stage.

    Args:
        text: Its text; None if there is no such file.
        name: Its name, for the error.

    Raises:
        LockstepError: It has a merge conflict, or is not whole: DVC writes it in place.
    """
    try:
        content = {} if text is None else parse_yaml(text, name)
    except NotYamlError:
        content = None
    stages = content.get("stages", {}) if isinstance(content, dict) else None
    if not isinstance(stages, dict) or not all(map(_is_whole, stages.values())):
        raise LockstepError(BROKEN.format(name=name))
    return stages


def _is_whole(entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    items = [entry.get(key, []) for key in ("deps", "outs")]
    return isinstance(entry.get("params", {}), dict) and all(
        isinstance(part, list) and all("path" in (item or ()) for item in part) for part in items
    )


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
