"""Compose conf/ with Hydra."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lockstep import LockstepError


class Composer:
    """Composes conf/ with overrides exactly as DVC does; `composer` creates it."""

    def __init__(self, conf: Path) -> None:
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
        # Through YAML, so that the values compare equal to those read from a file.
        params: dict[str, Any] = yaml.safe_load(OmegaConf.to_yaml(cfg))
        return params

    def config(self, overrides: list[str], *, hydra: bool = False) -> DictConfig:
        """The composed config with its interpolations unresolved.

        Args:
            hydra: Whether to include Hydra's own section.

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
        """The chosen option of each config group."""
        choices = self.config(overrides, hydra=True).hydra.runtime.choices
        return {
            group: option
            for group, option in choices.items()
            if option and not group.startswith("hydra/")
        }

    def files(self, overrides: list[str]) -> list[Path]:
        """The config files that are composed; a file comes before those that it overrides."""
        options = self.options(overrides).items()
        chosen = [self._conf / f"{group}/{option}.yaml" for group, option in options]
        return [path for path in [*reversed(chosen), self._conf / "config.yaml"] if path.exists()]


@contextlib.contextmanager
def composer(workspace: Path) -> Iterator[Composer]:
    """Initialise Hydra for the conf/ of a workspace.

    Raises:
        LockstepError: There is no conf/.
    """
    from hydra import initialize_config_dir

    conf = (workspace / "conf").resolve()
    if not conf.is_dir():
        raise LockstepError(f"{workspace} has no folder conf/: run this in the project's root")
    with initialize_config_dir(str(conf), version_base=None):
        yield Composer(conf)
