"""Models that the project's own code loads, and code that is a model itself."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lockstep.adapters.kind import Kind, pyfunc

SOURCE = Path("src")
CODE = "model.py"  # in a folder that is a model
LOAD = """\
from pathlib import Path

from {module} import {function}


def _load_pyfunc(path):
    return {function}(Path(path))
"""
RUN = """\
import runpy
import types
from pathlib import Path


def _load_pyfunc(path):
    file = Path(path)
    module = runpy.run_path(str(file / "{code}" if file.is_dir() else file))
    return types.SimpleNamespace(predict=module["predict"])
"""


def loaded_by(load: str, path: Path) -> Kind:
    """A file or folder that a function of the project loads; the result has `predict(table)`."""
    module, _, function = load.rpartition(".")
    packages = {module.partition(".")[0], *packages_behind(module)}
    return pyfunc(LOAD.format(module=module, function=function), path, packages)


def kind(path: Path) -> Kind | None:
    """A Python file with a function `predict(table)`, or a folder with such a `model.py`."""
    file = path / CODE if path.is_dir() else path
    if file.suffix != ".py" or not file.is_file():
        return None
    found = pyfunc(RUN.format(code=CODE), path)
    packages = set(_imports(file.read_text(encoding="utf-8"), "")) & set(sys.modules)
    return replace(found, packages={name.partition(".")[0] for name in packages})


def packages_behind(name: str, source: Path = SOURCE) -> set[str]:
    """The packages that a module of the project imports, also through others of its modules.

    Args:
        name: The dotted name of the module, or of something in it.
    """
    seen: set[Path] = set()
    found: set[str] = set()
    unvisited = [name]
    while unvisited:
        parts = unvisited.pop().split(".")
        if not ((source / parts[0]).is_dir() or (source / f"{parts[0]}.py").is_file()):
            found.add(parts[0])
            continue
        for depth in range(1, len(parts) + 1):
            place = source.joinpath(*parts[:depth])
            for file in {place.with_suffix(".py"), place / "__init__.py"} - seen:
                if file.is_file():
                    seen.add(file)
                    package = parts[:depth] if file.name == "__init__.py" else parts[: depth - 1]
                    unvisited += _imports(file.read_text(encoding="utf-8"), ".".join(package))
    return found


def _imports(text: str, package: str) -> Iterator[str]:
    """The dotted names that a module in a package imports."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            start = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            yield from (f"{start}.{alias.name}" for alias in node.names)
