"""Check params, and report where in conf/ a wrong value is set."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from lockstep import LockstepError
from lockstep.config.components import component_problems
from lockstep.config.compose import Composer, composer
from lockstep.config.schema import Problem, load_schema, schema_problems
from lockstep.dvc.environment import experiment_name
from lockstep.files import read_yaml
from lockstep.values import flattened
from lockstep.workspace import COMPOSED, PARAMS

# The names of environment variables whose values must not be in a file.
SECRET = re.compile("TOKEN|SECRET|PASSW|API_?KEY|ACCESS_?KEY|CREDENTIAL", re.IGNORECASE)


class Checker:
    """Checks composed params; all problems are reported at once."""

    def __init__(self, workspace: Path, files: Callable[[list[str]], list[Path]]) -> None:
        """Load the project's schema; `files` is `Composer.files`."""
        self._conf = workspace / "conf"
        self._files = files
        self._schema = load_schema(workspace)

    def __call__(self, params: dict[str, Any], overrides: list[str]) -> None:
        """Check params against the schema, and their components against their classes.

        Raises:
            LockstepError: With a line for each problem: the file, the key, what would be right.
        """
        problems = list(schema_problems(self._schema, params))
        known = {path for path, _ in problems}
        problems += [item for item in component_problems(params) if item[0] not in known]
        self._require_none(problems, overrides)

    def check_schema(self, params: dict[str, Any], overrides: list[str]) -> None:
        """Check params against the schema only, which imports no library of the components."""
        self._require_none(list(schema_problems(self._schema, params)), overrides)

    def _require_none(self, problems: Sequence[Problem], overrides: list[str]) -> None:
        if problems:
            places = Places(self._conf, self._files(overrides), overrides)
            raise _error(f"{places.of(path)}{message}" for path, message in problems)


def check_components(params: dict[str, Any], workspace: Path) -> None:
    """Check the components in the params of a stage that is about to build them.

    Raises:
        LockstepError: With a line for each problem: the file, the key, what would be right.
    """
    problems = list(component_problems(params))
    if not problems:
        return
    overrides = (read_yaml(workspace / COMPOSED) or {}).get("overrides", [])
    try:
        with composer(workspace) as compose:
            places = Places(workspace / "conf", compose.files(overrides), overrides)
    except LockstepError:  # conf/ was edited since, and can no longer be composed
        raise _error(f"{PARAMS}: {'.'.join(path)}{message}" for path, message in problems) from None
    error = _error(f"{places.of(path)}{message}" for path, message in problems)
    if experiment_name() or not any(places.is_overridden(path) for path, _ in problems):
        raise error
    raise LockstepError(
        f"{error}\nan experiment left that in {PARAMS}; to discard it: "
        "`uv run lockstep compose --force`, then `uv run dvc repro`"
    )


def require_no_environment(compose: Composer, overrides: list[str], workspace: Path) -> None:
    """Refuse params whose values come from environment variables: params.yaml is committed.

    The config group `sweep` is not part of it.

    Raises:
        LockstepError: With a line for each of them, and what works.
    """
    cfg = OmegaConf.to_container(compose.config(overrides), resolve=False)
    found = [
        tuple(key.split("."))
        for key, value in flattened(cfg).items()
        if "${oc.env:" in str(value).replace(" ", "") and not key.startswith("sweep.")
    ]
    if found:
        in_dvc = bool(experiment_name())  # it has written params.yaml before the first stage
        places = Places(workspace / "conf", compose.files(overrides), overrides)
        raise LockstepError(
            "\n".join(
                (
                    f"{PARAMS} would contain values of environment variables, and it is committed",
                    *(f"  {places.of(path)}" for path in found),
                    "set another value in conf/, and read the variable where it is used: "
                    "os.environ in a stage; for tracking.uri, the variable that "
                    "conf/tracking/default.yaml names",
                    *(("then discard what DVC has written: `git checkout params.yaml`",) * in_dvc),
                )
            )
        )


def require_no_secret(params: dict[str, Any]) -> None:
    """Refuse params that repeat a secret from the environment, which `-S` may have put there.

    Raises:
        LockstepError: With the key and the variable, not the value.
    """
    secrets = {
        value: name for name, value in os.environ.items() if SECRET.search(name) and len(value) >= 8
    }
    for key, value in flattened(params).items():
        if name := secrets.get(str(value)):
            raise LockstepError(
                f"{key} in {PARAMS} is the value of the environment variable {name}, and "
                f"{PARAMS} is committed\nread {name} where it is used instead, with os.environ in "
                f"a stage; then discard the value: `uv run lockstep compose --force`"
            )


class Places:
    """Finds where a key is set: in which of the composed files, or by which override."""

    def __init__(self, conf: Path, files: Sequence[Path], overrides: Sequence[str]) -> None:
        """Read the config files; each comes before those that it overrides."""
        relative = [path.relative_to(conf.resolve()) for path in files]
        self._files = [(path, read_yaml(conf / path)) for path in relative]
        self._overridden = {override.lstrip("+").partition("=")[0] for override in overrides}

    def is_overridden(self, path: tuple[str, ...]) -> bool:
        """Whether an override sets a key."""
        return ".".join(path) in self._overridden

    def of(self, path: tuple[str, ...]) -> str:
        """`-S` or the file in conf/, and the dotted key; for a missing key, where it belongs."""
        key = ".".join(path)
        if self.is_overridden(path):
            return f"-S {key}"
        for depth in range(len(path), 0, -1):
            for file, content in self._files:
                # A file sets the keys below its group, or with `@package _global_` any.
                # The last folders may belong to the name of the option: `model=trees/extra`.
                folders = file.parent.parts
                starts = [n for n in range(depth) if path[:n] == folders[:n]]
                if any(_holds(content, path[start:depth]) for start in reversed(starts)):
                    return f"conf/{file.as_posix()}: {key}"
        groups = (file for file, _ in self._files if file.parent.parts == path[:1])
        return f"conf/{next(groups, Path('config.yaml')).as_posix()}: {key}"


def _error(lines: Iterable[str]) -> LockstepError:
    return LockstepError("\n".join(["the config is not valid", *(f"  {line}" for line in lines)]))


def _holds(content: Any, path: Iterable[str]) -> bool:
    for part in path:
        if not isinstance(content, dict) or part not in content:
            return False
        content = content[part]
    return True
