"""Run one stage: its params, its paths, its errors."""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from lockstep import LockstepError
from lockstep.config.check import check_components
from lockstep.dvc.dvcfile import Stage
from lockstep.dvc.environment import stage_name
from lockstep.dvc.pipeline import Pipeline
from lockstep.dvc.values import read_values
from lockstep.garbage import importing
from lockstep.history import fail_live_run
from lockstep.workspace import COMPOSED, PARAMS, project_folder


def run_stage(module: str, paths: Sequence[Path]) -> None:
    """Call `main(cfg, *paths)` of a stage's module.

    Args:
        module: Imported from the current workspace.
        paths: Their parent folders are created.

    Raises:
        LockstepError: A class that the params name does not accept them, or the stage reads a
            param that dvc.yaml does not list for it.
    """
    declared, workspace = running_stage("run", module)
    stage, cfg = declared.name, params_of(declared, workspace)
    params: Any = OmegaConf.to_container(cfg)
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with importing():
            code = importlib.import_module(module)
            check_components(params, workspace)
        with unlisted_params_explained(stage):
            code.main(cfg, *paths)
    except BaseException:
        fail_live_run(workspace)
        raise
    finally:
        sys.stdout.flush()


def running_stage(verb: str, module: str) -> tuple[Stage, Path]:
    """The stage that runs `lockstep VERB MODULE` in the current folder, and the project's folder.

    Raises:
        LockstepError: dvc.yaml has no such stage.
    """
    workspace = project_folder(Path.cwd())
    folder = Path(os.path.relpath(Path.cwd(), workspace)).as_posix()
    pipeline = Pipeline(workspace)
    if address := stage_name():
        return pipeline.running(address, folder.removeprefix(".")), workspace
    runs = [s for s in pipeline.stages.values() if f"lockstep {verb} {module} " in f"{s.cmd} "]
    stage = runs[0] if len(runs) == 1 else pipeline.stage(module.rpartition(".")[2])
    return stage, workspace


@contextlib.contextmanager
def unlisted_params_explained(stage: str) -> Iterator[None]:
    """Raise a LockstepError where the code of a stage reads a param that is not listed for it."""
    try:
        yield
    except (ConfigAttributeError, ConfigKeyError) as error:
        raise LockstepError(
            f"stage {stage} reads the param {error.full_key!r}, not listed for it in dvc.yaml\n"
            f"add it under stages.{stage}.params in dvc.yaml: a change of it then reruns {stage}"
        ) from error


def params_of(stage: Stage, workspace: Path) -> DictConfig:
    """The params that dvc.yaml lists for a stage: read-only, and reading any other one raises.

    Raises:
        LockstepError: A file lacks one of them, or two files have the same.
    """
    listed = OmegaConf.create()
    for file, keys in stage.params.items():
        if file == COMPOSED:  # what it records shapes a result, but is no param
            continue
        values = read_values(workspace / file)
        if values is None:
            raise LockstepError(f"{file} does not exist yet: run `uv run dvc repro`")
        _copy(OmegaConf.create(values), keys or values, listed, stage.name, file)
    return _closed(listed)


def listed_params(everything: DictConfig, keys: Iterable[str], stage: str) -> DictConfig:
    """The params at some dotted keys: read-only, and reading any other one raises.

    Args:
        everything: All params, without interpolations.
    """
    return _closed(_copy(everything, keys, OmegaConf.create(), stage, PARAMS))


def _copy(
    everything: DictConfig, keys: Iterable[str], listed: DictConfig, stage: str, file: str
) -> DictConfig:
    """Copy the params at some dotted keys of a file to those that are listed."""
    missing = object()
    for key in keys:
        value = OmegaConf.select(everything, key, default=missing)
        if value is missing:
            place = "conf/" if file == PARAMS else file
            raise LockstepError(
                f"stage {stage} needs the param {key!r}, which {place} does not set"
            )
        if file != PARAMS and OmegaConf.select(listed, key, default=missing) is not missing:
            raise LockstepError(f"stage {stage} reads the param {key!r} from two files")
        OmegaConf.update(listed, key, value, force_add=True)
    return listed


def _closed(config: DictConfig) -> DictConfig:
    OmegaConf.set_struct(config, True)
    OmegaConf.set_readonly(config, True)
    return config
