"""DVC whose stages run `lockstep` in its own process: Python starts once for a pipeline."""

import contextlib
import os
import shlex
import sys
from pathlib import Path
from typing import Any
from unittest import mock

GLUE = Path(__file__).parent.parent / "{{cookiecutter.project_slug}}" / "packages" / "lockstep"
sys.path.insert(0, str(GLUE / "src"))

from dvc.cli import main  # noqa: E402
from dvc.stage import run  # noqa: E402
from dvc.stage.exceptions import StageCmdFailedError  # noqa: E402

from lockstep import cli  # noqa: E402

PROCESS = run._run


def run_inside(executable: str, cmd: str, **how: Any) -> None:
    """Run a command of a stage: `lockstep` here, any other as DVC does."""
    words = shlex.split(cmd)
    if words[0] != "lockstep":
        PROCESS(executable, cmd, **how)
        return
    path, env = list(sys.path), how["env"]
    with contextlib.chdir(how["cwd"]), mock.patch.dict(os.environ, env, clear=True):
        code = cli.main(words[1:])
    sys.path[:] = path
    if code:
        raise StageCmdFailedError(cmd, code)


if __name__ == "__main__":
    run._run = run_inside
    sys.exit(main(sys.argv[1:]))
