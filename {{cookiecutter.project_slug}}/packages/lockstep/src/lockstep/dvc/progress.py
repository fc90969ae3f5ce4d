"""How far `dvc repro` is."""

from pathlib import Path

from lockstep.dvc.environment import stage_name
from lockstep.files import read_yaml
from lockstep.workspace import DVC_YAML


def announce(workspace: Path) -> None:
    """Print the number and the name of the stage that DVC is running; nothing outside of one."""
    if stage := stage_name():
        stages = list((read_yaml(workspace / DVC_YAML) or {}).get("stages", {}))
        name = stage.partition("@")[0]
        if name in stages:
            print(f"[{stages.index(name) + 1}/{len(stages)}] {stage}", flush=True)
