"""Create a project, train four models in it, and compare the runs: `make demo`.

The projects are created in the folder `demo`, or in the one given as an argument.
"""

import os
import subprocess
import sys
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parent.parent


def main() -> None:
    """Create a project, run it four times and print a table."""
    project = create(Path(sys.argv[1]) if len(sys.argv) > 1 else TEMPLATE / "demo")
    shell(["uv", "run", "lockstep", "runs"], cwd=project)
    print(f"\nto open them:\n  cd {os.path.relpath(project)} && uv run mlflow ui")


def create(folder: Path) -> Path:
    """Create a project in a folder and run it four times; the first version is the champion."""
    folder.mkdir(exist_ok=True)
    names = ("bike-hire", *(f"bike-hire-{number}" for number in range(2, 1000)))
    project = next(folder / name for name in names if not (folder / name).exists())
    answers = [f"project_slug={project.name}", "package_name=bike_hire"]
    shell(
        [sys.executable, "-m", "cookiecutter", str(TEMPLATE), "--no-input"]
        + ["--output-dir", str(folder), *answers],
        cwd=TEMPLATE,
    )
    shell(["uv", "run", "dvc", "repro"], cwd=project)
    shell(["git", "add", "--all"], cwd=project)
    shell(["git", "commit", "--quiet", "--message", "First results"], cwd=project, required=False)
    shell(["uv", "run", "lockstep", "promote"], cwd=project)

    forest = project / "conf" / "model" / "random_forest.yaml"
    say(f"edit {forest.relative_to(project)}: n_estimators: 100 -> 30")
    text = forest.read_text(encoding="utf-8")
    forest.write_text(text.replace("n_estimators: 100", "n_estimators: 30"), encoding="utf-8")
    shell(["uv", "run", "dvc", "repro"], cwd=project)
    for overrides in (["model=ridge"], ["model=hist_gradient_boosting", "model.loss=poisson"]):
        options = [word for override in overrides for word in ("-S", override)]
        shell(["uv", "run", "dvc", "exp", "run", *options], cwd=project)
    return project


def say(text: str) -> None:
    """Print a heading."""
    print(f"\n=== {text}", flush=True)


def shell(command: list[str], *, cwd: Path, required: bool = True) -> None:
    """Print a command, run it, and stop if it fails."""
    say(" ".join(["cookiecutter", *command[3:]] if command[0] == sys.executable else command))
    done = subprocess.run(command, cwd=cwd, env=environment(), check=False)
    if required and done.returncode:
        sys.exit(f"the command failed with exit code {done.returncode}; the project is in {cwd}")


def environment() -> dict[str, str]:
    """The environment of this process, with the tools beside its Python first on the PATH."""
    env = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    # Some shells set this; Python would then compile every module at each start.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
    return env


if __name__ == "__main__":
    main()
