"""The settings of a verb: a group in conf/ that no stage reads, such as conf/monitor/."""

from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from lockstep import LockstepError
from lockstep.config.compose import composer

Settings = TypeVar("Settings")


def settings_of_group(workspace: Path, group: str, kind: type[Settings]) -> Settings:
    """The settings in conf/<group>/default.yaml.

    Args:
        kind: The dataclass that has a field for each key.

    Raises:
        LockstepError: There is no such file, or it lacks a key, or has an unknown one.
    """
    if not (workspace / "conf" / group / "default.yaml").is_file():
        raise LockstepError(
            f"there is no conf/{group}/default.yaml: copy the template's; in a project that was "
            "made with it, `uvx cruft update` adds the file"
        )
    with composer(workspace) as compose:
        return settings_of(kind, compose([f"{group}=default"])[group], f"conf/{group}")


def settings_of(kind: type[Settings], values: dict[str, Any], place: str) -> Settings:
    """An object of a dataclass, from values that have exactly its keys.

    Raises:
        LockstepError: They lack a key, or have an unknown one.
    """
    known = {item.name for item in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - known):
        raise LockstepError(
            f"{place} sets {', '.join(unknown)}, which is not a setting\n"
            f"there are {', '.join(sorted(known))}"
        )
    if missing := sorted(known - set(values)):
        raise LockstepError(f"{place} does not set {', '.join(missing)}")
    return kind(**values)
