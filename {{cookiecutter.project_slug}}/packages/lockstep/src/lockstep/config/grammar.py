"""Hydra's override grammar, read and written, and the objects that a config describes.

https://hydra.cc/docs/advanced/override_grammar/basic/
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from lockstep import LockstepError
from lockstep.values import first_line

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

KEYWORDS = {"true", "false", "null", "nan", "inf"}


def parsed(override: str) -> "Override":
    """An override as Hydra parses it.

    Raises:
        LockstepError: It does not follow Hydra's grammar.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(override)
    except HydraException as error:
        raise LockstepError(
            f"{override!r} is not in Hydra's grammar: {first_line(error)}"
        ) from error


def is_override(text: str) -> bool:
    """Whether a text follows Hydra's grammar."""
    try:
        parsed(text)
    except LockstepError:
        return False
    return True


def same_value(override: str, value: Any) -> bool:
    """Whether an override sets exactly a value, types of keys included."""
    return repr(parsed(override).value()) == repr(value)


def hydra_value(value: Any) -> str:
    """A value as Hydra's grammar writes it; a text is quoted unless it is an ASCII identifier."""
    from hydra.core.override_parser.types import Quote, QuotedString

    if isinstance(value, dict):
        return (
            "{" + ",".join(f"{_key(key)}:{hydra_value(item)}" for key, item in value.items()) + "}"
        )
    if isinstance(value, list):
        return "[" + ",".join(map(hydra_value, value)) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return str(value)
    if re.fullmatch(r"[A-Za-z_][\w.]*", value, re.ASCII) and value.lower() not in KEYWORDS:
        return value
    return QuotedString(value, Quote.double).with_quotes()


def hydra_text(value: Any) -> str:
    """A value as Hydra writes it; text is in its grammar already."""
    return value if isinstance(value, str) else hydra_value(value)


def is_key(key: Any) -> bool:
    """Whether a key can be a part of a dotted key to the left of an override's `=`."""
    return isinstance(key, str) and bool(
        re.fullmatch(r"[A-Za-z_$][\w$-]*|0|[1-9][0-9]*", key, re.ASCII)
    )


def instantiate(node: Any, *args: Any, **options: Any) -> Any:
    """The object that a config with a `_target_` describes.

    The options are arguments of the target, or Hydra's own, such as `_convert_`.
    """
    from hydra.utils import instantiate

    return instantiate(node, *args, **options)


def created(section: Any, **defaults: Any) -> Any:
    """The object that a section of conf/ describes, which may replace the default arguments.

    Raises:
        LockstepError: It cannot be created.
    """
    from hydra.errors import InstantiationException

    try:
        return section and instantiate({**defaults, **section})
    except InstantiationException as error:
        if isinstance(error.__cause__, LockstepError):
            raise error.__cause__ from None
        reason = first_line(error.__cause__ or error)
        raise LockstepError(f"{section['_target_']} cannot be created: {reason}") from error


def swept_values(override: "Override", options: list[str]) -> dict[str, Any]:
    """What an override sweeps over: its `choices`; or `low`, `high`, `step` and `log` of numbers.

    Args:
        override: A sweep: choice(...), glob(...), range(...) or interval(...).
        options: Those of the config group that it sweeps over, if it does.

    Raises:
        ValueError: There is no such value, or Optuna cannot draw from them.
    """
    from hydra.core.override_parser.types import (
        ChoiceSweep,
        Glob,
        IntervalSweep,
        RangeSweep,
        Transformer,
    )

    value = override.value()
    if isinstance(value, Glob):
        return {"choices": _not_empty(value.filter(options))}
    if isinstance(value, ChoiceSweep):
        # Lists and the like come as text in the grammar; so does text, once it is quoted.
        written = map(Transformer.encode, value.list)
        texts = (
            hydra_value(text) if text is raw and isinstance(raw, str) and not options else text
            for text, raw in zip(written, value.list, strict=True)
        )
        return {"choices": _not_empty(texts)}
    log = "log" in getattr(value, "tags", ())
    if isinstance(value, IntervalSweep):
        low, high, step = value.start, value.end, None
    else:
        assert isinstance(value, RangeSweep)
        # As in Python and in Hydra, the end is not among the values.
        numbers = _not_empty(value.range())
        low, high, step = numbers[0], numbers[-1], abs(value.step)
        low, high = min(low, high), max(low, high)
    if low is None or high is None or low > high:
        raise ValueError("it ends before it starts")
    if log and low <= 0:
        raise ValueError("with tag(log, ...) it has to start above 0")
    if log and step not in (None, 1):
        raise ValueError("with tag(log, ...) the step has to be 1")
    if log and not isinstance(low, int):
        step = None
    return {"low": low, "high": high, "step": step, "log": log}


def _key(key: Any) -> str:
    """A key within `{...}`, where Hydra knows escapes but no quotes."""
    return re.sub(r"[\\()\[\]{}:=, \t]", r"\\\g<0>", str(key))


def _not_empty(values: Iterable[Any]) -> tuple[Any, ...]:
    listed = tuple(values)
    if not listed:
        raise ValueError("it is empty")
    return listed
