"""Check the components in params, the nodes with a `_target_`, against what their classes accept.

This imports the classes, so only code that is about to build them runs the check.
"""

import contextlib
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lockstep import LockstepError
from lockstep.config.grammar import instantiate
from lockstep.config.packages import how_to_install, targets
from lockstep.config.schema import Problem
from lockstep.files import read_yaml
from lockstep.values import first_line, nearest
from lockstep.workspace import PARAMS


def component_problems(node: Any, path: tuple[str, ...] = ()) -> Iterator[Problem]:
    """What is wrong with the components in params; of nested ones, with the innermost.

    Args:
        node: The params, or the part of them at `path`.
    """
    if not isinstance(node, dict | list):
        return
    children = node.items() if isinstance(node, dict) else enumerate(node)
    inner = [
        problem
        for key, value in children
        for problem in component_problems(value, (*path, str(key)))
    ]
    yield from inner
    if isinstance(node, dict) and "_target_" in node and not inner:
        yield from (((*path, key), message) for key, message in _problems(node))


def _problems(node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with one component, as pairs of a key and a message."""
    name = node["_target_"]
    if not isinstance(name, str) or not re.fullmatch(r"\w+(\.\w+)+", name):
        yield "_target_", f": {name!r} is not a class or function, such as sklearn.svm.SVC"
        return
    try:
        target = imported(name)
    except LockstepError as error:
        yield "_target_", f": {error}"
        return
    try:
        accepted = inspect.signature(target).parameters
    except TypeError:
        yield "_target_", f": {name} is not a class or function"
        return
    except ValueError:  # written in C, without a signature
        return
    if any(param.kind is param.VAR_KEYWORD for param in accepted.values()):
        return
    given = [key for key in node if not key.startswith("_")]
    if unknown := sorted(set(given) - set(accepted)):
        yield from ((key, f" is unknown to {name}{nearest(key, accepted)}") for key in unknown)
        return
    # An estimator of scikit-learn declares the types and ranges of its params and checks them in
    # `fit`. Neither name is public, hence used only where both exist.
    checks_itself = hasattr(target, "_parameter_constraints") and hasattr(
        target, "_validate_params"
    )
    if not checks_itself or node.get("_partial_"):
        return
    required = [
        key
        for key, param in accepted.items()
        if param.default is param.empty and param.kind is not param.VAR_POSITIONAL
    ]
    lacking = [key for key in required if key not in given]
    if lacking and "_args_" not in node:
        yield from ((key, f" is missing: {name} requires it") for key in lacking)
    else:
        yield from _rejected(node, given)


def _rejected(node: dict[str, Any], given: list[str]) -> Iterator[tuple[str, str]]:
    """What scikit-learn's own check rejects."""
    from hydra.errors import InstantiationException

    try:
        instantiate(node, _convert_="all")._validate_params()
    except InstantiationException as error:
        yield "_target_", f": it cannot be created: {first_line(error.__cause__ or error)}"
    except ValueError as error:
        message = first_line(error)
        yield next((key for key in given if f"'{key}'" in message), "_target_"), f": {message}"


def imported(name: str) -> Any:
    """The class or function of a dotted name.

    Raises:
        LockstepError: There is none, or it is not installed.
    """
    module_name, _, attribute = name.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:  # the latter of a name without a module
        package = name.partition(".")[0]
        raise LockstepError(
            f"{name} cannot be imported ({error}): is {package} installed? "
            f"({how_to_install(package, Path.cwd())})"
        ) from error
    if not hasattr(module, attribute):
        raise LockstepError(f"{module_name} has no {attribute}{nearest(attribute, dir(module))}")
    return getattr(module, attribute)


def estimators_of(workspace: Path) -> set[str]:
    """The estimators that a workspace's config names; that of a run may be a stranger's."""
    params = workspace / PARAMS
    groups = (workspace / "conf" / group for group in read_yaml(params) or {})
    files = [params, *(option for group in groups for option in group.rglob("*.yaml"))]
    trusted = set()
    for name in {name for file in files for name in targets(read_yaml(file))}:
        with contextlib.suppress(LockstepError):  # not installed
            target = imported(name)
            if inspect.isclass(target) and hasattr(target, "fit"):
                trusted.add(f"{target.__module__}.{target.__name__}")
    return trusted
