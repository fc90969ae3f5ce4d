"""Small functions on plain values: nested mappings, names, text for people."""

import difflib
import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, TypeVar

Item = TypeVar("Item")


def selected(params: Any, key: str) -> Any:
    """The value at a dotted key, in which numbers are places in lists; None if there is none."""
    for part in key.split("."):
        if isinstance(params, list) and part.isdecimal() and int(part) < len(params):
            params = params[int(part)]
        else:
            params = params.get(part) if isinstance(params, dict) else None
    return params


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The leaves of nested mappings with their paths; an empty mapping is a leaf."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, str(key)))
    elif path:
        yield path, value


def flattened(value: Any) -> dict[str, Any]:
    """The leaves of nested mappings by their dotted keys."""
    return {".".join(path): leaf for path, leaf in leaves(value)}


def overlap(path: str, others: Iterable[str], separator: str = "/") -> bool:
    """Whether one of the others is the path or the dotted key, is in it, or is around it."""
    inside = path + separator
    return any(
        path == other or other.startswith(inside) or path.startswith(other + separator)
        for other in others
    )


def digest(value: Any) -> str:
    """SHA-256 of a JSON-like value, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def under(prefix: str, values: Mapping[str, Item]) -> dict[str, Item]:
    """The values whose names start with a prefix, by the rest of their names."""
    return {
        name.removeprefix(prefix): value
        for name, value in values.items()
        if name.startswith(prefix)
    }


def nearest(name: str, known: Iterable[str]) -> str:
    """A question that offers the known name closest to a wrong one; empty if none is close."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def shortened(text: str, length: int) -> str:
    """A text, cut to a length if it is longer."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def shortest_names(keys: Collection[str]) -> dict[str, str]:
    """By dotted key, its shortest end that belongs to no other of the keys."""

    def ends(key: str) -> list[str]:
        parts = key.removesuffix("._target_").split(".")
        whole = key.removeprefix(".".join(parts))
        return [".".join(parts[at:]) + whole for at in range(len(parts) - 1, -1, -1)]

    counts = Counter(end for key in keys for end in ends(key))
    return {key: next((end for end in ends(key) if counts[end] == 1), key) for key in keys}


def slug(name: str) -> str:
    """A name that is safe for a folder."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)


def without_secrets(uri: str) -> str:
    """A URI for printing: without user name and password, and without what follows `?` or `#`."""
    scheme, found, rest = uri.partition("://")
    if not found or scheme == "sqlite":
        return uri
    place, slash, path = re.split("[?#]", rest, maxsplit=1)[0].partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{path}"


def driver_error(error: BaseException) -> str:
    """The first line of what a database's driver said; of the error itself if it said nothing."""
    return first_line(getattr(error, "orig", None) or error)


def first_line(error: BaseException | str) -> str:
    """The first line of an error's message; the error's class if it has no message."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def counted(count: int, noun: str) -> str:
    """A number and its noun: `1 file`, `2 files`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def number(value: float | None, missing: str = "-") -> str:
    """A metric with four significant digits, for printing."""
    return missing if value is None else f"{value:.4g}"
