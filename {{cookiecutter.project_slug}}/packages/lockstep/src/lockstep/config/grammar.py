"""Hydra's override grammar, read and written, and the objects that a config describes.

https://hydra.cc/docs/advanced/override_grammar/basic/
"""

import re
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


def is_key(text: str) -> bool:
    """Whether a text can be a part of a dotted key to the left of an override's `=`."""
    return bool(re.fullmatch(r"[A-Za-z_$][\w$-]*|0|[1-9][0-9]*", text, re.ASCII))


def instantiate(node: Any, *args: Any, **options: Any) -> Any:
    """The object that a config with a `_target_` describes.

    Args:
        node: The config.
        args: Positional arguments for the target.
        options: Further arguments for the target, or Hydra's own, such as `_convert_`.
    """
    from hydra.utils import instantiate

    return instantiate(node, *args, **options)


def _key(key: Any) -> str:
    """A key within `{...}`, where Hydra knows escapes but no quotes."""
    return re.sub(r"[\\()\[\]{}:=, \t]", r"\\\g<0>", str(key))
