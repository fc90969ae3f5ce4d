"""What the classes behind `_target_` accept, remembered from when they were last imported.

Importing scikit-learn takes over a second, which was most of composing a changed value. What is
remembered can only say yes; whoever gets no other answer imports the class and asks it.
"""

import contextlib
import inspect
import json
import math
import sysconfig
from functools import cached_property
from pathlib import Path
from typing import Any

from lockstep.files import digest, file_digest, project_root, write_whole

FILE = ".dvc/tmp/lockstep/accepted.json"
# What a param may be: one of some plain values, or a number in a range.
Rule = dict[str, Any]
PLAIN = (str, int, float, bool, type(None))


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
        self._file = project_root(workspace) / FILE
        self._libraries = {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
        found = (path.name for folder in self._libraries for path in folder.glob("*.dist-info"))
        self._packages = digest(sorted(found))
        # For each class what its params depend on, and the rules for each; None takes anything.
        self._classes: dict[str, tuple[str, dict[str, list[Rule] | None] | None]] = {}
        with contextlib.suppress(OSError, ValueError):
            self._classes = json.loads(self._file.read_text(encoding="utf-8"))

    @cached_property
    def _code(self) -> str:
        files = [
            (path.relative_to(self._source).as_posix(), file_digest(path))
            for path in self._source.rglob("*.py")
        ]
        return digest([self._packages, sorted(files)])

    def accepts(self, node: dict[str, Any]) -> bool:
        """Whether a node's class is known to accept its params."""
        basis, params = self._classes.get(str(node["_target_"]), ("", {}))
        if basis not in (self._packages, self._code):
            return False
        return params is None or all(
            key in params and _meets(value, params[key])
            for key, value in node.items()
            if key != "_target_"
        )

    def learn(self, name: str, target: Any) -> None:
        """Remember a class that was imported, unless nobody knows when it may change."""
        file = Path(getattr(inspect.getmodule(target), "__file__", None) or "")
        if file.is_relative_to(self._source):
            basis = self._code
        elif any(file.is_relative_to(folder) for folder in self._libraries):
            basis = self._packages
        else:
            return
        params = inspect.signature(target).parameters
        limits = getattr(target, "_parameter_constraints", {})
        takes_any = any(param.kind is param.VAR_KEYWORD for param in params.values())
        rules = {key: _rules(limits.get(key, "no_validation")) for key in params}
        self._classes[name] = basis, None if takes_any else rules
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._file, json.dumps(self._classes))


def _rules(constraints: Any) -> list[Rule] | None:
    """Those of scikit-learn's constraints that plain values can meet; None for no constraint.

    They are no public API, so whatever looks otherwise than expected is left out.
    https://github.com/scikit-learn/scikit-learn/blob/main/sklearn/utils/_param_validation.py
    """
    if constraints == "no_validation":
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
    if type(value).__name__ != rule["kind"] or not math.isfinite(value):
        return False
    low, high, closed = rule["low"], rule["high"], rule["closed"]
    above = low is None or value > low or (value == low and closed in ("left", "both"))
    below = high is None or value < high or (value == high and closed in ("right", "both"))
    return above and below
