"""The packages that a config needs: their versions, and how to install one that is missing."""

import importlib.metadata
import importlib.util
import platform
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lockstep import LockstepError
from lockstep.workspace import PYPROJECT, uv_program


def versions_behind(params: dict[str, Any], workspace: Path) -> dict[str, str]:
    """The versions of the packages that shape a result; `python` is Python itself.

    They are those that `environment` lists, and those whose classes the params name.

    Raises:
        LockstepError: One of them is not installed.
    """
    versions = {}
    for name in params.get("environment", []):
        try:
            versions[name] = (
                platform.python_version() if name == "python" else importlib.metadata.version(name)
            )
        except importlib.metadata.PackageNotFoundError as error:
            raise LockstepError(
                f"conf/config.yaml lists the package {name!r} under environment, but it is not "
                f"installed: {how_to_install(name, workspace)}, or remove it from the list"
            ) from error
    for target in dict.fromkeys(targets(params)):
        package = target.partition(".")[0]
        if not _is_foreign(package, workspace):
            continue
        if importlib.util.find_spec(package) is None:
            raise LockstepError(
                f"conf/ names {target}, but {package} is not installed: "
                f"{how_to_install(package, workspace)}"
            )
        if name := distribution(package):
            versions[name] = importlib.metadata.version(name)
    return versions


def targets(node: Any) -> list[str]:
    """The names of everything that a config has Hydra instantiate."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    own = [str(node["_target_"])] if isinstance(node, dict) and "_target_" in node else []
    return [*own, *(name for child in children for name in targets(child))]


def distribution(package: str) -> str | None:
    """The name under which an imported package is installed; None if no installation has it."""
    if package == "sklearn":  # finding it out takes a third of a second
        return "scikit-learn"
    try:
        return str(importlib.metadata.metadata(package)["Name"])
    except importlib.metadata.PackageNotFoundError:
        return next(iter(importlib.metadata.packages_distributions().get(package, [])), None)


def how_to_install(package: str, workspace: Path) -> str:
    """The command that installs a package, in backquotes; an extra that has it comes first."""
    uv = uv_program()
    for extra, requirement in _extras(workspace):
        if _name(requirement) == _name(package):
            return f"`uv sync --extra {extra}`" if uv else f"`pip install '{requirement}'`"
    return f"`uv add {package}`" if uv else f"`pip install {package}`"


def extras_with(packages: Iterable[str], workspace: Path) -> list[str]:
    """The project's extras that install some of these packages."""
    names = {_name(package) for package in packages}
    found = {extra for extra, requirement in _extras(workspace) if _name(requirement) in names}
    return sorted(found)


def _is_foreign(package: str, workspace: Path) -> bool:
    """Whether a package is neither the project's own nor Python's nor this one."""
    own = workspace / "src" / package
    known = package == "lockstep" or package in sys.stdlib_module_names
    return package.isidentifier() and not (known or own.is_dir() or own.with_suffix(".py").exists())


def _extras(workspace: Path) -> list[tuple[str, str]]:
    """The requirements of the project's extras, each with the name of the extra."""
    try:
        about = tomllib.loads((workspace / PYPROJECT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    extras = about.get("project", {}).get("optional-dependencies", {})
    return [(extra, requirement) for extra, listed in extras.items() for requirement in listed]


def _name(requirement: str) -> str:
    """The name of the package that a requirement is for, as indexes compare names."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=!~;@(]", requirement, maxsplit=1)[0]).lower()
