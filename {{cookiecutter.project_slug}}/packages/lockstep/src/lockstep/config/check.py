"""Check composed params: against the project's schema, and against what each `_target_` accepts."""

import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep import LockstepError
from lockstep.config.accepted import Accepted, required, takes_any
from lockstep.config.settings import settings
from lockstep.files import read_yaml
from lockstep.values import nearest

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError


# The path of a key, and what to say of it.
Problem = tuple[tuple[str, ...], str]


class Checker:
    """Checks params; all that is wrong with them is said at once."""

    def __init__(self, workspace: Path, files: Callable[[list[str]], list[Path]]) -> None:
        """Load the schema that pyproject.toml names under `[tool.lockstep]`; it may name none.

        Args:
            workspace: The folder that holds pyproject.toml, conf/ and dvc.lock.
            files: Gives the config files that compose with a list of overrides.
        """
        self._conf = workspace / "conf"
        self._files = files
        self._schema = _load_schema(workspace)
        self._accepted = Accepted(workspace)
        lock = read_yaml(workspace / "dvc.lock") or {}
        self._ran = [
            values
            for stage in lock.get("stages", {}).values()
            for values in stage.get("params", {}).get("params.yaml", {}).values()
        ]

    def __call__(self, params: dict[str, Any], overrides: list[str]) -> None:
        """Check params.

        Args:
            params: What conf/ composes to.
            overrides: Those that it was composed with.

        Raises:
            LockstepError: With one line for each thing that is wrong: the file, the key, what
                would be right.
        """
        problems = list(self._against_schema(params))
        known = {path for path, _ in problems}
        problems += [item for item in self._against_targets(params, ()) if item[0] not in known]
        if not problems:
            return
        files = self._files(overrides)
        lines = [f"  {self._place(path, files, overrides)}{text}" for path, text in problems]
        raise LockstepError("the config is not valid\n" + "\n".join(lines))

    def _against_schema(self, params: dict[str, Any]) -> Iterator[Problem]:
        from pydantic import ValidationError

        if self._schema is None:
            return
        try:
            self._schema.model_validate(params)
        except ValidationError as error:
            yield from self._explained(error, params)

    def _explained(self, error: "ValidationError", params: dict[str, Any]) -> Iterator[Problem]:
        assert self._schema is not None
        for item in error.errors(include_url=False):
            path = _path_in(params, item["loc"])
            if item["type"] == "extra_forbidden":
                yield path, f" is unknown{nearest(path[-1], _fields(self._schema, path[:-1]))}"
            elif item["type"] == "missing":
                yield path, " is missing"
            else:
                message = item["msg"].removeprefix("Value error, ")
                found = (
                    "" if isinstance(item["input"], dict) else f"{item['input']!r} will not do: "
                )
                yield path, f": {found}{message}"

    def _against_targets(self, node: Any, path: tuple[str, ...]) -> Iterator[Problem]:
        """What is wrong with the nodes that Hydra instantiates.

        A node that dvc.lock records has run, so importing its class once more is saved.
        """
        if not isinstance(node, dict | list) or node in self._ran:
            return
        children = node.items() if isinstance(node, dict) else enumerate(node)
        inner = [
            problem
            for key, value in children
            for problem in self._against_targets(value, (*path, str(key)))
        ]
        yield from inner
        if isinstance(node, dict) and "_target_" in node and not inner:
            if self._accepted.accepts(node):
                return
            problems = list(_target_problems(node))
            yield from (((*path, key), text) for key, text in problems)
            if not problems:
                self._accepted.learn(node["_target_"], _located(node["_target_"]))

    def _place(self, path: tuple[str, ...], files: list[Path], overrides: list[str]) -> str:
        """Where a key was set: `-S` or the file in conf/, and the key."""
        key = ".".join(path)
        if any(override.lstrip("+").startswith(f"{key}=") for override in overrides):
            return f"-S {key}"
        for depth in range(len(path), 0, -1):
            for file in files:
                content = read_yaml(file)
                relative = path[1:depth] if file.parent.name == path[0] else path[:depth]
                if relative and _holds(content, relative):
                    return f"conf/{file.relative_to(self._conf).as_posix()}: {key}"
        return next(
            (
                f"conf/{file.relative_to(self._conf).as_posix()}: {key}"
                for file in files
                if file.parent.name == path[0]
            ),
            f"conf/config.yaml: {key}",
        )


def _load_schema(workspace: Path) -> "type[BaseModel] | None":
    name = settings(workspace).get("schema")
    if name is None:
        return None
    module, _, attribute = name.partition(":")
    schema: type[BaseModel] = getattr(importlib.import_module(module), attribute)
    return schema


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
    """The names that the schema knows below a path."""
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


def _target_problems(node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with one node, as pairs of the key and what to say of it."""
    name = node["_target_"]
    if not isinstance(name, str) or not re.fullmatch(r"\w+(\.\w+)+", name):
        yield "_target_", f": {name!r} is not a class or function, such as sklearn.svm.SVC"
        return
    try:
        target = _located(name)
    except LockstepError as error:
        yield "_target_", f": {error}"
        return
    try:
        accepted = inspect.signature(target).parameters
    except TypeError:
        yield "_target_", f": {name} is not a class or function"
        return
    except ValueError:  # written in C, and does not tell
        return
    if takes_any(accepted):
        return
    given = {key for key in node if not key.startswith("_")}
    unknown = sorted(given - set(accepted))
    for key in unknown:
        yield key, f" is unknown to {name}{nearest(key, accepted)}"
    # An estimator of scikit-learn declares the types and ranges of its params, and checks them when
    # it fits; the same check now saves the wait.
    if not unknown and hasattr(target, "_parameter_constraints") and not node.get("_partial_"):
        from hydra.utils import instantiate

        missing = [key for key in required(accepted) if key not in given]
        if missing and "_args_" not in node:
            yield from ((key, f" is missing: {name} asks for it") for key in missing)
            return
        try:
            instantiate(node, _convert_="all")._validate_params()
        except ValueError as error:
            key = next((key for key in given if f"'{key}'" in str(error)), "_target_")
            yield key, f": {error}"


def _located(name: str) -> Any:
    module_name, _, attribute = name.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise LockstepError(
            f"{name} cannot be imported ({error}): is {package} installed? (`uv add {package}`)"
        ) from error
    if not hasattr(module, attribute):
        raise LockstepError(f"{module_name} has no {attribute}{nearest(attribute, dir(module))}")
    return getattr(module, attribute)


def _holds(content: Any, path: Iterable[str]) -> bool:
    for part in path:
        if not isinstance(content, dict) or part not in content:
            return False
        content = content[part]
    return True
