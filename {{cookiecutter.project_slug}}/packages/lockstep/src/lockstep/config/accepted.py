"""What the classes behind `_target_` accept, remembered from when they were last imported.

Importing scikit-learn takes over a second, which was most of composing a changed value. What is
remembered can only say yes; whoever gets no other answer imports the class and asks it.
"""

import contextlib
import inspect
import json
import math
import sys
import sysconfig
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from lockstep.dvc.environment import project_root
from lockstep.files import file_digest, write_whole
from lockstep.values import digest
from lockstep.workspace import TEMPORARY

# What a param may be: one of some plain values, or a number in a range.
Rule = dict[str, Any]
PLAIN = (str, int, float, bool, type(None))
ANYTHING = "no_validation"  # as scikit-learn has it


def _range(
    kind: type, low: float | None = None, high: float | None = None, closed: str = "both"
) -> Rule:
    low = None if low is None else float(low)
    high = None if high is None else float(high)
    return {"kind": kind.__name__, "low": low, "high": high, "closed": closed}


NAMED: dict[str | None, list[Rule]] = {
    None: [{"options": [None]}],
    "boolean": [{"options": [True, False]}],
    "random_state": [{"options": [None]}, _range(int, 0, 2**32 - 1)],
    "verbose": [{"options": [True, False]}, _range(int, 0)],
}


class Accepted:
    """The params of classes, forgotten when any package changes; the project's own, any code."""

    def __init__(self, workspace: Path) -> None:
        """Remember.

        Args:
            workspace: The folder that holds conf/ and src/.
        """
        self._source = workspace.resolve() / "src"
        self._file = project_root(workspace) / TEMPORARY / "accepted.json"
        self._libraries = {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
        # For each class what its params depend on, the rules for each, and those it cannot lack;
        # None stands for anything.
        self._classes: dict[str, tuple[str, dict[str, list[Rule] | None] | None, list[str]]] = {}
        with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
            kept = json.loads(self._file.read_text(encoding="utf-8")).items()
            self._classes = {name: about for name, about in kept if len(about) == 3}

    @cached_property
    def _packages(self) -> str:
        found = (path for folder in self._libraries for path in folder.glob("*.dist-info"))
        return digest(sorted((path.name, path.stat().st_mtime_ns) for path in found))

    @cached_property
    def _code(self) -> str:
        files = [
            (path.relative_to(self._source).as_posix(), file_digest(path))
            for path in self._source.rglob("*.py")
            if path.is_file()
        ]
        return digest([self._packages, sorted(files)])

    def accepts(self, node: dict[str, Any]) -> bool:
        """Whether a node's class is known to accept its params."""
        name = node["_target_"]
        if not isinstance(name, str) or name not in self._classes:
            return False
        basis, rules, needed = self._classes[name]
        if basis != self._packages and basis != self._code:
            return False
        return rules is None or (
            all(key in node for key in needed)
            and all(
                key in rules and _meets(value, rules[key])
                for key, value in node.items()
                if key != "_target_"
            )
        )

    def learn(self, name: str, target: Any) -> None:
        """Remember a class that was imported, unless what it accepts may change unseen."""
        named = sys.modules.get(name.rpartition(".")[0])
        basis = self._basis(named, inspect.getmodule(target))
        limits = getattr(target, "_parameter_constraints", {})
        # A class that inherits scikit-learn's way to check may check more than that.
        if basis is None or (limits and not str(target.__module__).startswith("sklearn.")):
            return
        try:
            params = inspect.signature(target).parameters
            rules = {key: _rules(limits.get(key, ANYTHING)) for key in params}
        except (AttributeError, TypeError, ValueError):
            return
        needed = required(params) if limits else []
        self._classes[name] = basis, None if takes_any(params) else rules, needed
        with contextlib.suppress(OSError, ValueError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._file, json.dumps(self._classes))

    def _basis(self, *modules: ModuleType | None) -> str | None:
        """What a class depends on that comes from some modules; None if nobody knows."""
        files = [Path(getattr(module, "__file__", None) or "") for module in modules]
        if any(file.is_relative_to(self._source) for file in files):
            return self._code
        installed = all(any(file.is_relative_to(at) for at in self._libraries) for file in files)
        return self._packages if installed else None


def takes_any(params: Mapping[str, inspect.Parameter]) -> bool:
    """Whether a signature takes whatever name it is given."""
    return any(param.kind is param.VAR_KEYWORD for param in params.values())


def required(params: Mapping[str, inspect.Parameter]) -> list[str]:
    """The names of a signature's params that have no default."""
    return [
        key
        for key, param in params.items()
        if param.default is param.empty and param.kind is not param.VAR_POSITIONAL
    ]


def _rules(constraints: Any) -> list[Rule] | None:
    """Those of scikit-learn's constraints that plain values can meet; None for no constraint.

    They are no public API, so whatever looks otherwise than expected is left out.
    https://github.com/scikit-learn/scikit-learn/blob/main/sklearn/utils/_param_validation.py
    """
    if constraints == ANYTHING:
        return None
    rules: list[Rule] = []
    for item in constraints:
        if item is None or isinstance(item, str):
            rules += NAMED.get(item, [])
        elif isinstance(item, type):
            rules += [_range(kind) for kind in (int, float) if isinstance(kind(), item)]
        elif hasattr(item, "options"):
            options = sorted((one for one in item.options if isinstance(one, PLAIN)), key=repr)
            rules.append({"options": options})
        elif hasattr(item, "closed"):
            rules += [
                _range(kind, item.left, item.right, item.closed)
                for kind in (int, float)
                if isinstance(kind(), item.type)
            ]
    return rules


def _meets(value: Any, rules: list[Rule] | None) -> bool:
    return rules is None or any(_meets_one(value, rule) for rule in rules)


def _meets_one(value: Any, rule: Rule) -> bool:
    if "options" in rule:  # where 1 is neither True nor 1.0
        return any(type(value) is type(one) and value == one for one in rule["options"])
    if type(value).__name__ != rule["kind"]:
        return False
    if isinstance(value, float) and not math.isfinite(value):
        return False
    low, high, closed = rule["low"], rule["high"], rule["closed"]
    above = low is None or value > low or (value == low and closed in ("left", "both"))
    below = high is None or value < high or (value == high and closed in ("right", "both"))
    return above and below
