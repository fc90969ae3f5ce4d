"""DVC whose stages run in its own process: Python starts once for a pipeline."""

import contextlib
import os
import runpy
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
    """Run a command of a stage: `lockstep` and `python` here, any other as DVC does."""
    program, *words = shlex.split(cmd)
    if program not in ("lockstep", "python"):
        PROCESS(executable, cmd, **how)
        return
    path, env, code = list(sys.path), how["env"], 0
    with contextlib.chdir(how["cwd"]), mock.patch.dict(os.environ, env, clear=True):
        if program == "lockstep":
            code = cli.main(words)
        else:
            with mock.patch.object(sys, "argv", words):
                runpy.run_path(words[0], run_name="__main__")
    sys.path[:] = path
    if code:
        raise StageCmdFailedError(cmd, code)


if __name__ == "__main__":
    run._run = run_inside
    sys.exit(main(sys.argv[1:]))
