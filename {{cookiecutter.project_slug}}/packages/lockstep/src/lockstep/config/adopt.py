"""For `lockstep adopt`: a params.yaml as the files of conf/ that compose to it."""

import re
import textwrap
from collections.abc import Iterator
from typing import Any

import yaml

from lockstep import LockstepError
from lockstep.values import selected
from lockstep.workspace import PARAMS

# Sections that the glue reads.
OWN = ("tracking", "registry", "sweep", "monitor", "retrain", "experiment")
CONFIG = """\
# `dvc repro` composes this folder into params.yaml and reruns what changed; for one experiment, set
# values on the command line: `dvc exp run -S {example}`

defaults:
  - _self_ # this file comes first; the others override it
{groups}  - tracking: default # where runs are published
  - registry: default # the registered model, and what a version must meet to become the champion
  - sweep: null # set by `lockstep sweep`
  - experiment: null # several changes with one name; -S experiment=NAME

environment: [python] # packages whose versions a run records: [python, numpy]
{rest}"""
TRACKING = """\
# Where runs are published. The environment variable of MLflow for that overrides uri.
experiment: {name}
uri: null # null: mlflow.db in the project; or a server: http://...
live: false # true: training streams its metrics while it runs
snapshot_limit: 10 # megabytes; `publish` refuses larger files outside DVC and .gitignore
"""
REGISTRY = """\
name: {name}
alias: challenger # the alias of the newest version
policy: manual # auto: `publish` promotes if the gate passes; none: no gate
metric: null # decides between two models; null: the first that was measured
direction: null # of this metric: maximize or minimize
thresholds: {{}} # bounds of metrics: {{accuracy: {{min: 0.9}}}}
"""


def conf_of(text: str, params: dict[str, Any], name: str) -> dict[str, str]:
    """The files of conf/ for the text of a params.yaml, with its comments, by path.

    A section becomes a config group with the option `default`; single values stay in config.yaml.

    Args:
        params: What the text says.
        name: Of the experiment and the registered model.

    Raises:
        LockstepError: A section has a name that means something else in conf/.
    """
    if taken := [key for key in (*OWN, "defaults", "hydra", "environment") if key in params]:
        raise LockstepError(
            f"{PARAMS} has {', '.join(taken)}: such a name means something else in conf/; choose "
            "another one, also in dvc.yaml and in the code"
        )
    groups, rest = {}, []
    for key, above, lines in _sections(text):
        value = params.get(key)
        if isinstance(value, dict) and value and re.fullmatch(r"[A-Za-z_]\w*", key):
            body = textwrap.dedent("".join(lines[1:]))
            if _read(body) != _read("".join(lines))[key]:  # `key: {flow: style}`
                body = yaml.safe_dump(value, sort_keys=False)
            groups[key] = above + body
        else:
            rest += [above, *lines]
    listed = "".join(f"  - {group}: default\n" for group in groups)
    example = next((f"{group}.{_leaf(params[group])}" for group in groups), "KEY=VALUE")
    config = CONFIG.format(groups=listed, rest="".join(rest), example=example)
    own = {"tracking": TRACKING, "registry": REGISTRY}
    return {
        "conf/config.yaml": config.rstrip() + "\n",
        **{f"conf/{group}/default.yaml": body.rstrip() + "\n" for group, body in groups.items()},
        **{f"conf/{group}/default.yaml": body.format(name=name) for group, body in own.items()},
    }


def differing(params: dict[str, Any], composed: dict[str, Any]) -> list[str]:
    """The keys of a params.yaml that conf/ composes differently."""
    return [key for key, value in params.items() if selected(composed, key) != value]


def _sections(text: str) -> Iterator[tuple[str, str, list[str]]]:
    """Each key at the top with the comments above it, and its lines."""
    key, above, lines = "", "", [""]
    for line in [*text.splitlines(keepends=True), "end:"]:
        found = re.match(r"([^\s#:-][^:]*):(\s|$)", line)
        if not found:
            lines.append(line)
            continue
        size = len(lines)
        while size > 1 and re.match(r"#|\s*$", lines[size - 1]):
            size -= 1
        if key:
            yield key.strip("'\""), above, lines[:size]
        key, above, lines = found[1], "".join(lines[size:]).lstrip("\n"), [line]


def _read(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None


def _leaf(section: dict[str, Any]) -> str:
    """The first setting of a section, as on a command line."""
    key, value = next(iter(section.items()))
    return f"{key}.{_leaf(value)}" if isinstance(value, dict) and value else f"{key}={value}"
