"""Compose conf/ into params.yaml, and never lose a value that somebody put there.

`dvc repro` knows nothing of Hydra (https://github.com/treeverse/dvc/issues/10750), so the first
stage composes. `dvc exp run` does: DVC itself writes params.yaml from conf/ and the overrides of
`-S` before the first stage runs, which then has to keep what it finds.
"""

import contextlib
import importlib.metadata
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lockstep import LockstepError
from lockstep.config.check import Checker
from lockstep.config.overrides import Difference, differences, overrides_between
from lockstep.dvc.environment import experiment_name
from lockstep.files import read_yaml, write_whole
from lockstep.values import digest
from lockstep.workspace import COMPOSED, PARAMS

HEADER = "# Composed from conf/ by the stage `compose`: edit conf/, not this file.\n"


def compose_params(workspace: Path, *, force: bool = False) -> None:
    """Write params.yaml and composed.yaml, which tells how the first came about.

    Args:
        workspace: The folder that holds conf/.
        force: Write what conf/ says, whatever params.yaml holds beyond it.

    Raises:
        LockstepError: conf/ is not valid, or writing would lose values that only params.yaml holds.
    """
    params_file, record_file = workspace / PARAMS, workspace / COMPOSED
    current, record = read_yaml(params_file), read_yaml(record_file) or {}
    with composer(workspace) as compose:
        conf, params, overrides = _chosen(compose, workspace, current, record, force=force)
    if lost := _lost(current if params is current else None, record, overrides):
        print(_lost_message(lost))

    write_whole(params_file, HEADER + OmegaConf.to_yaml(OmegaConf.create(params)))
    write_whole(
        record_file,
        OmegaConf.to_yaml(
            OmegaConf.create(
                {
                    "packages": _versions(params.get("environment", [])),
                    "overrides": overrides,
                    "digests": {"conf": digest(conf), "params": digest(params)},
                }
            )
        ),
    )
    _tell(differences(current, params) if current is not None else None, overrides)


def pending_changes(workspace: Path) -> list[Difference]:
    """What composing conf/ would change in params.yaml, which stays as it is.

    Args:
        workspace: The folder that holds conf/.

    Raises:
        LockstepError: conf/ is not valid, or writing would lose values that only params.yaml holds.
    """
    current, record = read_yaml(workspace / PARAMS), read_yaml(workspace / COMPOSED) or {}
    with composer(workspace) as compose:
        _, params, _ = _chosen(compose, workspace, current, record, force=False)
    return differences(current or {}, params)


class Composer:
    """Composes conf/ with overrides, exactly as DVC does."""

    def __init__(self, conf: Path) -> None:
        """Within `composer` only, which initialises Hydra."""
        self._conf = conf

    def __call__(self, overrides: list[str]) -> dict[str, Any]:
        """The params that conf/ and the overrides compose to.

        Raises:
            LockstepError: Hydra cannot compose them.
        """
        cfg = self.config(overrides)
        try:
            OmegaConf.resolve(cfg)
        except OmegaConfBaseException as error:
            raise LockstepError(f"conf/ cannot be composed: {error}") from error
        # Through YAML, so that it compares equal to what a file holds.
        params: dict[str, Any] = yaml.safe_load(OmegaConf.to_yaml(cfg))
        return params

    def config(self, overrides: list[str], *, hydra: bool = False) -> DictConfig:
        """The same before its interpolations are resolved.

        Args:
            overrides: In Hydra's grammar.
            hydra: Whether it holds Hydra's own section, too.

        Raises:
            LockstepError: Hydra cannot compose them.
        """
        from hydra import compose
        from hydra.errors import HydraException

        try:
            return compose("config", overrides=overrides, return_hydra_config=hydra)
        except (HydraException, OmegaConfBaseException) as error:
            raise LockstepError(f"conf/ cannot be composed: {error}") from error

    def options(self, overrides: list[str]) -> dict[str, str]:
        """The option of each config group."""
        return dict(self.config(overrides, hydra=True).hydra.runtime.choices)

    def files(self, overrides: list[str]) -> list[Path]:
        """The config files that take part, those that win over others first."""
        options = self.options(overrides).items()
        chosen = [self._conf / f"{group}/{option}.yaml" for group, option in options]
        return [path for path in [*reversed(chosen), self._conf / "config.yaml"] if path.exists()]


@contextlib.contextmanager
def composer(workspace: Path) -> Iterator[Composer]:
    """Initialise Hydra for the conf/ of a workspace.

    Args:
        workspace: The folder that holds conf/.

    Raises:
        LockstepError: There is no conf/.
    """
    from hydra import initialize_config_dir

    conf = (workspace / "conf").resolve()
    if not conf.is_dir():
        raise LockstepError(f"{workspace} has no folder conf/: go to the project's root")
    with initialize_config_dir(str(conf), version_base=None):
        yield Composer(conf)


def _chosen(
    compose: Composer,
    workspace: Path,
    current: dict[str, Any] | None,
    record: dict[str, Any],
    *,
    force: bool,
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """What conf/ composes to, what params.yaml has to hold, and the overrides between the two."""
    conf = compose([])
    keep = current is not None and not force and _keeps(current, conf, record)
    params = current if current is not None and keep else conf
    overrides = overrides_between(compose, workspace / "conf", params) if keep else []
    Checker(workspace, compose.files)(params, overrides)
    return conf, params, overrides


def _keeps(current: dict[str, Any], conf: dict[str, Any], record: dict[str, Any]) -> bool:
    """Whether params.yaml stays as it is.

    Raises:
        LockstepError: It should not stay, but holds values that would be lost.
    """
    if current == conf or experiment_name():
        return True
    recorded = record.get("digests", {})
    untouched = digest(current) == recorded.get("params")
    if untouched and not record.get("overrides"):
        return False
    if untouched and digest(conf) == recorded.get("conf"):
        return True
    origin = f"{PARAMS} was edited by hand, but is composed from conf/"
    if untouched:
        left = " ".join(record["overrides"])
        origin = f"an experiment left {left} in {PARAMS}, and conf/ was edited since"
    raise LockstepError(_refusal(origin, differences(current, conf)))


def _refusal(origin: str, found: list[Difference]) -> str:
    rows = [
        f"  {item.key}: {item.left_text} in {PARAMS}, {item.right_text} in conf/" for item in found
    ]
    return "\n".join(
        [
            f"{origin}; to write it anew would lose:",
            *rows,
            "to keep a value: set it in conf/, then run `dvc repro`",
            "to drop them:    `lockstep compose --force`, then `dvc repro`",
        ]
    )


def _lost(
    current: dict[str, Any] | None, record: dict[str, Any], overrides: list[str]
) -> list[str]:
    """The overrides of the experiment before this one that DVC composed away."""
    if current is None or not experiment_name():
        return []
    keys = {override.partition("=")[0] for override in overrides}
    return [
        override
        for override in record.get("overrides", [])
        if override.partition("=")[0] not in keys
    ]


def _lost_message(lost: list[str]) -> str:
    return (
        f"note: the workspace held {' '.join(lost)}, which this experiment does not: "
        "DVC composes each one from conf/ alone\n"
        f"      to keep it, repeat it (-S {' -S '.join(lost)}) or set it in conf/"
    )


def _versions(packages: list[str]) -> dict[str, str]:
    """The installed versions of the packages that shape a result; `python` is Python's own."""
    found = {}
    for name in packages:
        try:
            found[name] = (
                platform.python_version() if name == "python" else importlib.metadata.version(name)
            )
        except importlib.metadata.PackageNotFoundError as error:
            raise LockstepError(
                f"conf/config.yaml lists the package {name!r} under environment, but it is not "
                f"installed: `uv add {name}`, or take it off the list"
            ) from error
    return found


def _tell(changed: list[Difference] | None, overrides: list[str]) -> None:
    if changed is None:
        print(f"{PARAMS}: composed from conf/")
    for item in changed or []:
        print(f"{PARAMS}: {item.key}: {item.left_text} -> {item.right_text}")
    if overrides:
        print(f"{PARAMS}: conf/ with {' '.join(overrides)}")
