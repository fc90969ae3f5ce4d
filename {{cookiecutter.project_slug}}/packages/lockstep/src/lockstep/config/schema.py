"""Check params against the project's pydantic schema."""

import importlib
import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep.config.settings import settings
from lockstep.values import nearest

if TYPE_CHECKING:
    from pydantic import BaseModel

# The path of a key, and a message that continues it, such as `: 5 is not a list`.
Problem = tuple[tuple[str, ...], str]


def load_schema(workspace: Path) -> "type[BaseModel] | None":
    """The schema that pyproject.toml names under `[tool.lockstep]`; None if it names none."""
    name = settings(workspace).get("schema")
    if name is None:
        return None
    module, _, attribute = name.partition(":")
    schema: type[BaseModel] = getattr(importlib.import_module(module), attribute)
    return schema


def schema_problems(schema: "type[BaseModel] | None", params: dict[str, Any]) -> Iterator[Problem]:
    """What a schema rejects in params."""
    from pydantic import ValidationError

    if schema is None:
        return
    try:
        schema.model_validate(params)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            path = _path_in(params, item["loc"])
            if item["type"] == "extra_forbidden":
                yield path, f" is unknown{nearest(path[-1], _fields(schema, path[:-1]))}"
            elif item["type"] == "missing":
                yield path, " is missing"
            else:
                message = item["msg"].removeprefix("Value error, ")
                value = item["input"]
                shown = "" if isinstance(value, dict) else f"{value!r} is not valid: "
                yield path, f": {shown}{message}"


def _path_in(params: Any, location: Iterable[str | int]) -> tuple[str, ...]:
    """A problem's path in the params; pydantic's location also names the members of unions."""
    *outer, last = location
    path = []
    for part in outer:
        inside = part in params if isinstance(params, dict) else isinstance(part, int)
        if inside:
            params = params[part]
            path.append(str(part))
    return (*path, str(last))


def _fields(schema: "type[BaseModel]", path: Iterable[str]) -> list[str]:
    """The names of the fields at a path in the schema."""
    from pydantic import BaseModel

    for part in path:
        field = schema.model_fields.get(part)
        if field is None:
            return []
        annotation = field.annotation
        if not (inspect.isclass(annotation) and issubclass(annotation, BaseModel)):
            return []
        schema = annotation
    return list(schema.model_fields)
