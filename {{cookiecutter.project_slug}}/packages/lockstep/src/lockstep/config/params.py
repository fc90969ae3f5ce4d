"""Write params.yaml from conf/ without losing a value that somebody set there.

`dvc repro` does not know Hydra (https://github.com/treeverse/dvc/issues/10750), so the first stage
composes. `dvc exp run` does: DVC itself writes params.yaml from conf/ and the overrides of `-S`
before the first stage runs, which then has to keep these values.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf

from lockstep import LockstepError, git
from lockstep.config.check import Checker, require_no_environment, require_no_secret
from lockstep.config.compose import composer
from lockstep.config.overrides import Difference, Params, differences, overrides_between
from lockstep.config.packages import versions_behind
from lockstep.dvc.environment import experiment_name, project_root
from lockstep.files import read_yaml, write_whole
from lockstep.values import digest
from lockstep.workspace import COMPOSED, PARAMS

HEADER = "# Composed from conf/ by the stage `compose`: edit conf/, not this file.\n"
NOT_TRACKED = (
    "git does not track {0}, so the experiment's copy of the project lacks it: "
    "`git add {0}`, then run the experiment again"
)


@dataclass(frozen=True)
class Composition:
    """What params.yaml holds, and what it is to hold.

    Attributes:
        current: The content of params.yaml; None if there is no such file.
        conf: What conf/ composes to.
        params: What params.yaml is to hold.
        overrides: The overrides with which conf/ composes to that.
        options: The option of each config group that is then chosen.
    """

    current: Params | None
    conf: Params
    params: Params
    overrides: list[str]
    options: dict[str, str]


def compose_params(workspace: Path, *, force: bool = False) -> None:
    """Write params.yaml, and composed.yaml, which records how it was composed.

    Args:
        force: Discard the values in params.yaml that differ from conf/.

    Raises:
        LockstepError: conf/ is not valid, or writing would lose values that only params.yaml holds.
    """
    try:
        composition = _composition(workspace, force=force)
    except LockstepError as error:
        lacking = (name for name in _untracked(project_root(workspace)))
        if absent := " ".join(name for name in lacking if not (workspace / name).exists()):
            raise LockstepError(f"{NOT_TRACKED.format(absent)}\n{error}") from error
        raise
    record = {
        "packages": versions_behind(composition.params, workspace),
        "options": composition.options,
        "overrides": composition.overrides,
        "digests": {"conf": digest(composition.conf), "params": digest(composition.params)},
    }
    write_whole(workspace / PARAMS, HEADER + _as_yaml(composition.params))
    write_whole(workspace / COMPOSED, _as_yaml(record))
    _report(composition)


def untracked_options(root: Path, words: list[str]) -> str:
    """The option files that `dvc exp run --temp` or `--queue` names and git does not track.

    Such an experiment runs in a copy of what git tracks, so it would fail there.

    Args:
        words: Those after `dvc`.
    """
    if not {"--queue", "--temp"} & {*words}:
        return ""
    settings = (word.removeprefix("--set-param=").removeprefix("-S") for word in words)
    pairs = (setting.lstrip("+").partition("=") for setting in settings)
    named = {f"conf/{group}/{name}.yaml" for group, _, names in pairs for name in names.split(",")}
    return " ".join(name for name in _untracked(root) if name in named)


def _untracked(root: Path) -> list[str]:
    """The files of conf/ that git does not track."""
    listed = git.git("ls-files", "--others", "--exclude-standard", "-z", "conf", cwd=root) or ""
    return [name for name in listed.split("\0") if name]


def pending_changes(workspace: Path) -> list[Difference]:
    """What composing conf/ would change in params.yaml; imports nothing of the project.

    Raises:
        LockstepError: conf/ cannot be composed, or writing would lose values that only params.yaml
            holds.
    """
    composition = _composition(workspace, force=False, check=False)
    return differences(composition.current or {}, composition.params)


def _composition(workspace: Path, *, force: bool, check: bool = True) -> Composition:
    current, record = read_yaml(workspace / PARAMS), read_yaml(workspace / COMPOSED) or {}
    with composer(workspace) as compose:
        require_no_environment(compose, [], workspace)
        conf = compose([])
        if not force:
            require_no_secret(current or {})
        if current is None or force or not _keeps(current, conf, record):
            params, overrides = conf, []
        else:
            params, overrides = current, overrides_between(compose, workspace / "conf", current)
        if check:  # the schema is code of the project
            Checker(workspace, compose.files).check_schema(params, overrides)
        options = compose.options(overrides)
    return Composition(current, conf, params, overrides, options)


def _keeps(current: Params, conf: Params, record: Params) -> bool:
    """Whether to keep params.yaml; it is an error if composing it again would lose values."""
    if current == conf or experiment_name():
        return True
    recorded = record.get("digests", {})
    untouched = digest(current) == recorded.get("params")
    if untouched and recorded["params"] == recorded["conf"]:
        return False
    if untouched and digest(conf) == recorded["conf"]:
        return True
    origin = f"{PARAMS} was edited by hand, but is composed from conf/"
    if untouched:
        left = " ".join(record["overrides"]) or "values"
        origin = f"an experiment left {left} in {PARAMS}, and conf/ was edited since"
    rows = [
        f"  {item.key}: {item.left_text} in {PARAMS}, {item.right_text} in conf/"
        for item in differences(current, conf)
    ]
    raise LockstepError(
        "\n".join(
            [
                f"{origin}; composing it again would discard:",
                *rows,
                "to keep a value:  set it in conf/, then run `uv run dvc repro`",
                "to discard them:  `uv run lockstep compose --force`, then `uv run dvc repro`",
            ]
        )
    )


def _as_yaml(content: Params) -> str:
    return OmegaConf.to_yaml(OmegaConf.create(content))


def left_behind(workspace: Path, words: Iterable[str]) -> str:
    """A note about the overrides in the workspace that an experiment does not repeat.

    Args:
        words: The command line of `dvc exp run`.

    Returns:
        Empty if there are none.
    """
    record = read_yaml(workspace / COMPOSED) or {}
    given = {
        re.sub(f"^(-S|--set-param=)?({PARAMS}:)?", "", word).partition("=")[0] for word in words
    }
    lost = [item for item in record.get("overrides", []) if item.partition("=")[0] not in given]
    if not lost:
        return ""
    return (
        f"note: the workspace holds {' '.join(lost)}, which this experiment will not: DVC composes "
        "each experiment from conf/ alone\n"
        f"      to keep it, repeat it (-S {' -S '.join(lost)}) or set it in conf/"
    )


def _report(composition: Composition) -> None:
    """Print what changed."""
    if composition.current is None:
        print(f"{PARAMS}: composed from conf/")
    else:
        for item in differences(composition.current, composition.params):
            print(f"{PARAMS}: {item.key}: {item.left_text} -> {item.right_text}")
    if composition.overrides:
        print(f"{PARAMS}: conf/ with {' '.join(composition.overrides)}")
