"""Render the template for tests: in this process without hooks, or with them, as a user does."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cookiecutter.main import cookiecutter  # type: ignore[import-untyped]

TEMPLATE = Path(__file__).parent.parent
PENGUINS = TEMPLATE / "samples" / "penguins.csv"


def with_penguins(answers: Mapping[str, Any]) -> dict[str, Any]:
    """The answers, with the Palmer penguins where they name no data: few rows, quick to fit.

    With an empty data_source, the project starts with the sample that users get.
    """
    if answers.get("data_source") == "":
        return dict(answers)
    target = "body_mass_g" if answers.get("task") == "regression" else "species"
    data = {"data_source": str(PENGUINS), "target_column": target}
    return {"project_name": "Penguins", **data, **answers}


def render(folder: Path, **answers: object) -> Path:
    """Render the files only, in this process; returns the project."""
    return Path(
        cookiecutter(
            str(TEMPLATE),
            no_input=True,
            extra_context=with_penguins(answers),
            output_dir=str(folder),
            config_file=str(_config(folder)),
            accept_hooks=False,
        )
    )


def generate(
    folder: Path,
    *options: str,
    env: Mapping[str, str] | None = None,
    template: str = str(TEMPLATE),
    **answers: str,
) -> subprocess.CompletedProcess[str]:
    """Run cookiecutter's command, hooks and all, as from a user's shell in a folder."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "cookiecutter", template, "--no-input"),
            *("--config-file", str(_config(folder))),
            *options,
            *(f"{key}={value}" for key, value in with_penguins(answers).items()),
        ],
        cwd=folder,
        env=os.environ | {"DVC_NO_ANALYTICS": "1", "PWD": str(folder)} | dict(env or {}),
        capture_output=True,
        encoding="utf-8",
    )


def git(project: Path, *argv: str) -> str:
    """The output of a git command in a project."""
    return subprocess.run(
        ["git", *argv], cwd=project, capture_output=True, check=True, text=True
    ).stdout.strip()


def _config(folder: Path) -> Path:
    """A configuration for cookiecutter that keeps its records out of the user's home."""
    config = folder / ".cookiecutter.yaml"
    config.write_text(f"replay_dir: {folder}/.replay\ncookiecutters_dir: {folder}/.clones\n")
    return config
