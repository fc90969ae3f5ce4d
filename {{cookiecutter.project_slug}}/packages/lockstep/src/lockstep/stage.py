"""Run one stage: its params, its paths, its errors."""

import importlib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from lockstep import LockstepError
from lockstep.config.check import check_components
from lockstep.dvc.dvcfile import stage_params
from lockstep.dvc.environment import stage_name
from lockstep.files import read_yaml
from lockstep.garbage import importing
from lockstep.history import fail_live_run
from lockstep.workspace import DVC_YAML, PARAMS


def run_stage(module: str, paths: Sequence[Path]) -> None:
    """Call `main(cfg, *paths)` of a stage's module.

    Args:
        module: Imported from the current workspace.
        paths: Their parent folders are created.

    Raises:
        LockstepError: A class that the params name does not accept them, or the stage reads a
            param that dvc.yaml does not list for it.
    """
    workspace = Path.cwd()
    stage = stage_name() or module.rpartition(".")[2]
    cfg = params_of(stage, workspace)
    params: Any = OmegaConf.to_container(cfg)
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with importing():
            code = importlib.import_module(module)
            check_components(params, workspace)
        code.main(cfg, *paths)
    except (ConfigAttributeError, ConfigKeyError) as error:
        fail_live_run(workspace)
        raise LockstepError(
            f"stage {stage} reads the param {error.full_key!r}, not listed for it in dvc.yaml\n"
            f"add it under stages.{stage}.params in dvc.yaml: a change of it then reruns {stage}"
        ) from error
    except BaseException:
        fail_live_run(workspace)
        raise
    finally:
        sys.stdout.flush()


def params_of(stage: str, workspace: Path) -> DictConfig:
    """The params that dvc.yaml lists for a stage: read-only, and reading any other one raises."""
    pipeline = read_yaml(workspace / DVC_YAML) or {}
    params = read_yaml(workspace / PARAMS)
    if params is None:
        raise LockstepError(f"{PARAMS} does not exist yet: run `uv run dvc repro`")
    return listed_params(OmegaConf.create(params), stage_params(pipeline, stage), stage)


def listed_params(everything: DictConfig, keys: Iterable[str], stage: str) -> DictConfig:
    """The params at some dotted keys: read-only, and reading any other one raises.

    Args:
        everything: All params, without interpolations.
    """
    listed = OmegaConf.masked_copy(everything, [])
    missing = object()
    for key in keys:
        value = OmegaConf.select(everything, key, default=missing)
        if value is missing:
            raise LockstepError(f"stage {stage} needs the param {key!r}, which conf/ does not set")
        OmegaConf.update(listed, key, value, force_add=True)
    OmegaConf.set_struct(listed, True)
    OmegaConf.set_readonly(listed, True)
    return listed
