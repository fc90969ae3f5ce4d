"""Files of params and metrics, in any format that DVC reads: YAML, JSON, TOML, Python."""

import json
from pathlib import Path
from typing import Any

from lockstep import LockstepError
from lockstep.files import read_yaml
from lockstep.workspace import COMPOSED, PARAMS


def read_values(path: Path) -> Any:
    """The content of a file of params or metrics; None if there is no such file.

    Raises:
        LockstepError: It is not valid.
    """
    if path.name in (PARAMS, COMPOSED):  # written by `lockstep compose`, so any parser agrees
        return read_yaml(path)
    return load(path) if path.is_file() else None


def load(path: Path) -> Any:
    """The content of a file of params or metrics as DVC reads it.

    Raises:
        LockstepError: It is not valid.
    """
    if path.suffix == ".json":
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise LockstepError(f"{path} is not valid JSON: {error}") from error
    from dvc.exceptions import DvcException
    from dvc.utils.serialize import LOADERS  # DVC reads YAML 1.2: `1e-3` is a number there

    try:
        values = LOADERS[path.suffix](str(path))
    except DvcException as error:
        raise LockstepError(str(error)) from error
    return json.loads(json.dumps(values, default=_plain))


def _plain(value: Any) -> Any:
    """A value that JSON lacks, as dvc.lock has it: a date as text, a set as a list."""
    return sorted(value) if isinstance(value, set) else str(value)
