"""What dvc.yaml declares for a stage."""

import re
from typing import Any

from lockstep import LockstepError
from lockstep.values import selected


def stage_params(pipeline: dict[str, Any], stage: str) -> list[str]:
    """The keys of params.yaml that dvc.yaml lists for a stage.

    Raises:
        LockstepError: dvc.yaml has no such stage.
    """
    entries = stage_definition(pipeline, stage).get("params", [])
    return [entry for entry in entries if isinstance(entry, str)]


def stage_definition(pipeline: dict[str, Any], stage: str) -> dict[str, Any]:
    """The definition of a stage in dvc.yaml; `train@a`, one of a matrix, has that of `train`.

    Raises:
        LockstepError: dvc.yaml has no such stage.
    """
    stages = pipeline.get("stages", {})
    definition = stages.get(stage.partition("@")[0])
    if definition is None:
        raise LockstepError(f"dvc.yaml has no stage {stage!r}; it has {', '.join(stages)}")
    own: dict[str, Any] = definition.get("do", definition)
    return own


def path_of(entry: str | dict[str, Any]) -> str:
    """The path that an entry of `deps`, `outs` or `metrics` names."""
    return entry if isinstance(entry, str) else next(iter(entry))


def interpolated(pipeline: dict[str, Any]) -> dict[str, Any]:
    """dvc.yaml with each `${name}` that its own `vars` define replaced by its value."""
    variables: dict[str, Any] = {}
    for entry in pipeline.get("vars", []):
        if isinstance(entry, dict):
            variables.update(entry)

    def value_of(match: re.Match[str]) -> str:
        value = selected(variables, match[1].strip())
        return match[0] if value is None else str(value)

    def resolved(node: Any) -> Any:
        if isinstance(node, str):
            return re.sub(r"\$\{([^}]+)\}", value_of, node)
        if isinstance(node, list):
            return [resolved(item) for item in node]
        if isinstance(node, dict):
            return {resolved(key): resolved(value) for key, value in node.items()}
        return node

    result: dict[str, Any] = resolved(pipeline)
    return result
