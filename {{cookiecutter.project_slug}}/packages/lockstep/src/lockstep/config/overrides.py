"""The differences between two configs, and the overrides that lead from one to the other."""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep import LockstepError
from lockstep.config.grammar import hydra_value, is_key, is_override, same_value

ABSENT = object()
Params = dict[str, Any]
Compose = Callable[[list[str]], Params]


@dataclass(frozen=True)
class Difference:
    """A key whose values differ; a side that lacks the key holds `ABSENT`."""

    path: tuple[Any, ...]
    left: Any
    right: Any

    @property
    def key(self) -> str:
        """The dotted key."""
        return ".".join(map(str, self.path))

    @property
    def left_text(self) -> str:
        """The left value as it is printed."""
        return _text(self.left)

    @property
    def right_text(self) -> str:
        """The right value as it is printed."""
        return _text(self.right)

    @property
    def override(self) -> str | None:
        """What turns the left value into the right one; None where Hydra's grammar has no way."""
        depth = next((at for at, part in enumerate(self.path) if not is_key(part)), len(self.path))
        if depth == 0 or (self.right is ABSENT and depth < len(self.path)):
            return None
        key, value = ".".join(self.path[:depth]), self.right
        if value is ABSENT:
            return f"~{key}"
        # Other keys, such as names of columns, can be written in braces only.
        for part in reversed(self.path[depth:]):
            value = {part: value}
        override = f"{'+' if self.left is ABSENT else ''}{key}={hydra_value(value)}"
        # The grammar has no quotes for keys: some cannot be written, others become numbers.
        return override if is_override(override) and same_value(override, value) else None


def differences(left: Params, right: Params) -> list[Difference]:
    """The leaves in which two configs differ, in reading order."""
    return list(_differences(left, right, ()))


def _differences(left: Any, right: Any, path: tuple[Any, ...]) -> Iterator[Difference]:
    if isinstance(left, dict) and isinstance(right, dict):
        for key in [*left, *(key for key in right if key not in left)]:
            yield from _differences(left.get(key, ABSENT), right.get(key, ABSENT), (*path, key))
    elif left != right or type(left) is not type(right):
        yield Difference(path, left, right)


def overrides_between(compose: Compose, conf: Path, params: Params) -> list[str]:
    """The overrides with which conf/ composes to the given params.

    Returns:
        Overrides in Hydra's grammar, such as `model=svm` and `split.seed=7`, and as few as were
        found. A difference that the grammar cannot express is left out.
    """
    base = compose([])
    if not differences(base, params):
        return []
    overrides = [
        f"{group}={option}"
        for group in params
        if (option := _other_option(compose, conf / group, base, params)) is not None
    ]
    while missing := _override_between(compose(overrides), params, overrides):
        overrides.append(missing)
    # A value that others are interpolated from sets them as well.
    closest = compose(overrides)
    for override in list(overrides):
        fewer = [other for other in overrides if other != override]
        with contextlib.suppress(LockstepError):
            if compose(fewer) == closest:
                overrides = fewer
    return overrides


def _override_between(current: Params, params: Params, tried: list[str]) -> str | None:
    candidates = (item.override for item in differences(current, params))
    return next((override for override in candidates if override and override not in tried), None)


def _other_option(compose: Compose, group: Path, base: Params, params: Params) -> str | None:
    """The option of a group that is closer to the params than the default, if there is one."""
    name = group.name
    best = _distance(base.get(name), params[name]) if group.is_dir() else 0
    closest = None
    for file in sorted(group.rglob("*.yaml")) if best > 1 else []:
        option = file.relative_to(group).with_suffix("").as_posix()
        try:
            composed = compose([f"{name}={option}"])
        except LockstepError:  # an option of a group within this one
            continue
        distance = _distance(composed.get(name), params[name]) + 1
        if distance < best:
            best, closest = distance, option
    return closest


def _distance(left: Any, right: Params) -> int:
    """The overrides between two sections; one that cannot be written counts as many."""
    return sum(1 if item.override else 1000 for item in differences(left or {}, right))


def _text(value: Any) -> str:
    return "(unset)" if value is ABSENT else json.dumps(value, ensure_ascii=False, default=str)
