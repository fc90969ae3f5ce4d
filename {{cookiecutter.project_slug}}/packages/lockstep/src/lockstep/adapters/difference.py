"""Why two fits of the same model have different bytes: the first attribute that differs."""

import functools
import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lockstep.adapters.sklearn import load_model

SHOWN_LENGTH = 40  # characters of a value
MISSING = object()


def difference_of_files(one: Path, other: Path) -> str | None:
    """The first difference between the estimators in two joblib files, as `differences` says it.

    Returns:
        None if they hold the same values, such as when only the order in a set differs.
    """
    return next(differences(load_model(one), load_model(other)), None)


def differences(one: Any, other: Any) -> Iterator[str]:
    """What differs between two objects, in the order of their attributes.

    Yields:
        Texts such as `steps[1][1].coef_ (by up to 0.003)`, an expression for each of the objects.
    """
    seen: set[int] = set()

    def walk(one: Any, other: Any, path: str) -> Iterator[str]:
        if one is other or id(one) in seen:
            return
        if type(one) is not type(other):
            yield f"{path} ({_shown(one)}, {_shown(other)})"
            return
        parts = _parts(one)
        if parts is None:
            if not _same(one, other):
                yield f"{path} ({_by_how_much(one, other)})"
            return
        seen.add(id(one))
        found = False
        for name in {**parts, **(others := _parts(other) or {})}:
            for difference in walk(
                parts.get(name, MISSING), others.get(name, MISSING), path + name
            ):
                found = True
                yield difference
        state = None if found else _own_state(one)
        if state is not None:
            yield from walk(state, _own_state(other), path)

    for difference in walk(one, other, ""):
        yield difference.removeprefix(".")


def _parts(value: Any) -> dict[str, Any] | None:
    """What an object consists of, by the text that follows its own name; None of a plain value."""
    if isinstance(value, Mapping):
        return {f"[{key!r}]": item for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        return {f"[{place}]": item for place, item in enumerate(value)}
    if isinstance(value, functools.partial):
        return {".func": value.func, ".args": value.args, ".keywords": value.keywords}
    if callable(getattr(value, "__func__", None)):  # a method
        return {".__self__": value.__self__, ".__func__": value.__func__}
    if hasattr(value, "__array__"):
        if getattr(getattr(value, "dtype", None), "kind", "") != "O":
            return None
        return {f".flat[{place}]": item for place, item in enumerate(value.flat)}
    attributes = getattr(value, "__dict__", None) or _own_state(value)
    return {f".{name}": item for name, item in attributes.items()} if attributes else None


def _own_state(value: Any) -> dict[str, Any] | None:
    """What an object of a compiled class, such as a Booster, has saved of it."""
    if getattr(type(value), "__getstate__", None) in (None, object.__getstate__):
        return None
    state = value.__getstate__()
    return state if isinstance(state, dict) else None


def _same(one: Any, other: Any) -> bool:
    if hasattr(one, "detach"):  # a tensor of PyTorch, which pickles addresses
        return bool((one.detach().cpu().numpy() == other.detach().cpu().numpy()).all())
    try:
        return pickle.dumps(one) == pickle.dumps(other)
    except Exception:  # what cannot be pickled is not in the file either
        return True


def _by_how_much(one: Any, other: Any) -> str:
    try:
        ours, theirs = np.asarray(one, "float64"), np.asarray(other, "float64")
        if ours.size > 1 and ours.shape == theirs.shape:
            return f"by up to {np.nanmax(np.abs(ours - theirs)):.2g}"
    except Exception:  # neither numbers nor arrays of them
        pass
    return f"{_shown(one)}, {_shown(other)}"


def _shown(value: Any) -> str:
    if value is MISSING:
        return "missing"
    text = " ".join(repr(value).split())
    return text if len(text) <= SHOWN_LENGTH else f"a {type(value).__name__}"
