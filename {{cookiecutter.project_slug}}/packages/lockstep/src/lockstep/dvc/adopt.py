"""For `lockstep adopt`: a dvc.yaml with the first and the last stage of a Lockstep project."""

import re
from collections.abc import Iterable
from pathlib import Path

from lockstep import LockstepError
from lockstep.dvc.declaration import Declaration
from lockstep.files import parse_yaml
from lockstep.values import overlap
from lockstep.workspace import COMPOSED, DVC_YAML, PARAMS, UV_LOCK

COMPOSE = """\
compose: # conf/ -> params.yaml
  cmd: lockstep compose
  deps:
{deps}  outs:
    - {params}: {{cache: false, persist: true}}
    - {composed}: {{cache: false, persist: true}}
"""
PUBLISH = """\
publish: # the results as a run in MLflow
  cmd: lockstep publish
  deps:
{deps}  params: [tracking, registry]
"""


def extended(workspace: Path) -> str:
    """The text of dvc.yaml with the stages `compose` and `publish`; the rest of it is as it was.

    What no stage reads is published, and the models.

    Raises:
        LockstepError: It has such stages, or the stages are not written one below the other.
    """
    declaration = Declaration(workspace)
    text = (workspace / DVC_YAML).read_text(encoding="utf-8")
    if taken := {"compose", "publish"} & {*declaration.stages}:
        raise LockstepError(f"{DVC_YAML} has a stage {taken.pop()} already: rename it")
    lines = text.splitlines(keepends=True)
    start = next((at for at, line in enumerate(lines) if re.match(r"stages:\s*(#|$)", line)), None)
    indents = [
        line[: len(line) - len(line.lstrip())]
        for line in lines[(start or 0) + 1 :]
        if _is_content(line)
    ]
    if start is None or not indents or not indents[0]:
        raise LockstepError(
            f"{DVC_YAML} has no block `stages:` with an indented stage in each line"
        )
    after = (at for at, line in enumerate(lines) if at > start and re.match(r"[^\s#]", line))
    end = next(after, len(lines))
    if end == len(lines) and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    while not lines[end - 1].strip() or lines[end - 1].startswith("#"):
        end -= 1
    shown = _published(declaration)
    read = [path for path in ("conf", UV_LOCK) if (workspace / path).exists() or path == "conf"]
    first = COMPOSE.format(deps=_listed(read), params=PARAMS, composed=COMPOSED)
    last = PUBLISH.format(deps=_listed(shown))
    parts = [*lines[: start + 1], _indented(first, indents[0]), *lines[start + 1 : end]]
    new = "".join([*parts, _indented(last, indents[0]), *lines[end:]])
    before, now = parse_yaml(text, DVC_YAML), parse_yaml(new, DVC_YAML)
    kept = {name: stage for name, stage in now["stages"].items() if name in before["stages"]}
    assert {**now, "stages": kept} == before
    return new


def _published(declaration: Declaration) -> list[str]:
    """What no stage reads, and the models."""
    stages = declaration.stages.values()
    read = [path for stage in stages for path in stage.deps]
    ends = [path for stage in stages for path in stage.outs if not overlap(path, read)]
    models = [model["path"] for model in declaration.own_models()]
    shown = dict.fromkeys([*models, *declaration.metrics, *ends])
    return [
        path for path in shown if not overlap(path, [p for p in shown if p != path and p in path])
    ]


def _listed(paths: Iterable[str]) -> str:
    return "".join(f"    - {path}\n" for path in paths)


def _indented(text: str, indent: str) -> str:
    return "".join(f"{indent}{line}\n" for line in text.splitlines())


def _is_content(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")
