"""Params and metrics as MLflow accepts them: few characters in names, short values."""

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any, TypeVar

from lockstep import LockstepError
from lockstep.mlflow import tag
from lockstep.workspace import PARAMS

KEY_LENGTH = 250  # of params and metrics
SIGNS = {
    **{"<": "lt", ">": "gt", "\N{LESS-THAN OR EQUAL TO}": "le"},
    **{"\N{GREATER-THAN OR EQUAL TO}": "ge", "=": "eq", "+": "plus", "%": "percent", "&": "and"},
    **{"@": "at", "#": "number", "*": "star", "!": "not", "~": "about", "^": "to", "|": "or"},
    **{"$": "dollar", "\N{EURO SIGN}": "euro", "\N{POUND SIGN}": "pound", "?": "unknown"},
}
Item = TypeVar("Item")


def key_of(name: str) -> str:
    """A name as the key of a param or metric, in which MLflow accepts few characters.

    Signs that tell names apart become words: `f1.>50K` is `f1.gt_50K`.
    """

    def spelled(sign: re.Match[str]) -> str:
        word = SIGNS.get(sign[0])
        if word is None:
            return "_"
        before, after = name[sign.start() - 1 : sign.start()], name[sign.end() : sign.end() + 1]
        return f"{'_' * (before.isalnum())}{word}{'_' * (after not in ('', '.', '/', ' '))}"

    key = re.sub(r"[^\w\-. :/]", spelled, name)
    # MLflow refuses keys that are not normal as paths.
    parts = [re.sub(r"^\.{1,2}$", "_", part) for part in key.split("/") if part]
    key = "/".join(parts) or "_"
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return key if len(key) <= KEY_LENGTH else f"{key[: KEY_LENGTH - 12]}...-{digest}"


def keyed(what: str, named: Iterable[tuple[str, str, Item]]) -> dict[str, Item]:
    """Values by the keys of their names.

    Args:
        what: What the values are, such as `metrics`, for the message.
        named: For each value where it is from, to show in the message, and its name.

    Raises:
        LockstepError: Two names have the same key.
    """
    values: dict[str, Item] = {}
    places: dict[str, str] = {}
    for place, name, value in named:
        key = key_of(name)
        if key in values:
            raise LockstepError(
                f"the {what} {places[key]} and {place} would both be called {key!r} in MLflow\n"
                "rename one of them, then run `uv run dvc repro`"
            )
        values[key], places[key] = value, place
    return values


def param_of(value: Any) -> str:
    """A value as one line; MLflow's pages break a list into lines if it is JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, list):
        text = f"[{', '.join(map(str, value))}]"
    note = f" ... (cut; {PARAMS} among the artifacts has all of it)"
    cut = len(text) > tag.PARAM_LENGTH
    return text[: tag.PARAM_LENGTH - len(note)] + note if cut else text
