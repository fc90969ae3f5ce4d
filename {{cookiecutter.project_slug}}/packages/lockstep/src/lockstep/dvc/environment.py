"""The environment variables that DVC sets for a stage.

https://dvc.org/doc/user-guide/pipelines/running-pipelines, https://dvc.org/doc/user-guide/env
"""

import os
from pathlib import Path

ROOT = "DVC_ROOT"
STAGE = "DVC_STAGE"
EXPERIMENT = "DVC_EXP_NAME"
BASELINE = "DVC_EXP_BASELINE_REV"
ALL = (ROOT, STAGE, EXPERIMENT, BASELINE)
NO_ANALYTICS = "DVC_NO_ANALYTICS"


def project_root(workspace: Path) -> Path:
    """The project's own folder, even from the temporary copy that `dvc exp run --temp` works in."""
    return Path(os.environ.get(ROOT) or workspace)


def stage_name() -> str | None:
    """The stage that DVC is running; None outside of one."""
    return os.environ.get(STAGE)


def experiment_name() -> str | None:
    """The name of the DVC experiment that is running; None outside of one."""
    return os.environ.get(EXPERIMENT)


def experiment_baseline() -> str | None:
    """The commit that the running DVC experiment started from; None outside of one."""
    return os.environ.get(BASELINE)


def unbound_variables() -> dict[str, str]:
    """The variables of this process without those of its stage, for DVC in another workspace.

    DVC sends no analytics there.
    """
    return {key: value for key, value in os.environ.items() if key not in ALL} | {NO_ANALYTICS: "1"}
