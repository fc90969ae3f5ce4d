"""Where two configs differ, and the Hydra overrides that lead from one to the other."""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep import LockstepError

ABSENT = object()
WORDS = {"true", "false", "null", "nan", "inf"}  # of Hydra's grammar, for other things than text


@dataclass(frozen=True)
class Difference:
    """A key whose values differ; a side that lacks the key holds `ABSENT`."""

    path: tuple[str, ...]
    left: Any
    right: Any

    @property
    def key(self) -> str:
        """The key with its dots."""
        return ".".join(self.path)

    @property
    def left_text(self) -> str:
        """The left value as it is shown to a person."""
        return _text(self.left)

    @property
    def right_text(self) -> str:
        """The right value as it is shown to a person."""
        return _text(self.right)


def differences(left: dict[str, Any], right: dict[str, Any]) -> list[Difference]:
    """The leaves in which two configs differ, in reading order."""
    return list(_differences(left, right, ()))


def _differences(left: Any, right: Any, path: tuple[str, ...]) -> Iterator[Difference]:
    if isinstance(left, dict) and isinstance(right, dict):
        for key in [*left, *(key for key in right if key not in left)]:
            yield from _differences(left.get(key, ABSENT), right.get(key, ABSENT), (*path, key))
    elif left != right or type(left) is not type(right):
        yield Difference(path, left, right)


def overrides_between(
    compose: Callable[[list[str]], dict[str, Any]], conf: Path, params: dict[str, Any]
) -> list[str]:
    """The overrides with which conf/ composes to the given params.

    Args:
        compose: Composes conf/ with a list of overrides.
        conf: The folder of configs; a folder in it is a group.
        params: The composed params.

    Returns:
        In Hydra's grammar, such as `model=svm` and `split.seed=7`; as few as can be found.
    """
    base = compose([])
    if not differences(base, params):
        return []
    found = [
        f"{group}={option}"
        for group in params
        if (option := _other_option(compose, conf / group, base, params)) is not None
    ]
    while rest := differences(compose(found), params):
        added = _override(rest[0])
        if added in found:
            break
        found.append(added)
    # A value that others are interpolated from brings theirs along.
    for override in list(found):
        fewer = [other for other in found if other != override]
        with contextlib.suppress(LockstepError):
            if compose(fewer) == params:
                found = fewer
    return found


def _other_option(
    compose: Callable[[list[str]], dict[str, Any]],
    group: Path,
    base: dict[str, Any],
    params: dict[str, Any],
) -> str | None:
    """The option of a group that comes closer to the params than the default does, if any."""
    name = group.name
    best = len(differences(base[name], params[name])) if group.is_dir() else 0
    chosen = None
    for option in sorted(group.glob("*.yaml")) if best > 1 else []:
        distance = len(differences(compose([f"{name}={option.stem}"])[name], params[name])) + 1
        if distance < best:
            best, chosen = distance, option.stem
    return chosen


def _override(item: Difference) -> str:
    if item.right is ABSENT:
        return f"~{item.key}"
    return f"{'+' if item.left is ABSENT else ''}{item.key}={hydra_value(item.right)}"


def hydra_value(value: Any) -> str:
    """A value in Hydra's override grammar."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{hydra_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(hydra_value(item) for item in value) + "]"
    if isinstance(value, str):
        # What looks like a number, or is another word of the grammar, is text only in quotes.
        plain = re.fullmatch(r"[^\W\d][\w.]*", value) and value.lower() not in WORDS
        return value if plain else json.dumps(value, ensure_ascii=False)
    return (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


def _text(value: Any) -> str:
    return "nothing" if value is ABSENT else json.dumps(value, ensure_ascii=False, default=str)
