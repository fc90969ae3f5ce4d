"""Run what `lockstep export` writes with the real Airflow and Dagster: `make orchestrators`.

Each has a separate environment, and runs the stages of a new project, one task each, then a
cycle of monitoring and retraining on new rows, whose result is pushed to a bare repository.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from scripts.demo import TEMPLATE, environment, say, shell
from scripts.lifecycle import scaffold

PACKAGES = {"dagster": "dagster>=1.13,<2", "airflow": "apache-airflow>=3,<4"}
STARTED, WINDOW = 6000, 800  # rows that the first model learns from; new ones for each cycle
JOB = """
import runpy, sys
defs = runpy.run_path(sys.argv[1])["defs"]
result = defs.resolve_job_def(next(iter(defs.jobs)).name).execute_in_process()
sys.exit(not result.success)
"""


def main() -> None:
    """Run both tools, and ask the project what they did."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=TEMPLATE / "orchestrators")
    folder = parser.parse_args().folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    project = scaffold(folder)
    rows = (project / "data" / "raw.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    shell(["git", "init", "--quiet", "--bare", f"{project}.git"], cwd=folder)
    shell(["git", "remote", "add", "origin", f"{project}.git"], cwd=project)
    write(project / "data" / "raw.csv", rows[: STARTED + 1])
    # The gate lets any model pass: a refusal would be an answer of the cycle, too.
    replace(project / "conf/registry/default.yaml", r"margin: [\d.]+", -1000.0)
    shell(["uv", "run", "dvc", "add", "--quiet", "data/raw.csv"], cwd=project)
    shell(["uv", "run", "dvc", "repro", "--single-item", "compose"], cwd=project)
    for number, tool in enumerate(PACKAGES, 1):
        python = installed(folder, tool)
        replace(project / "conf/model/random_forest.yaml", r"n_estimators: \d+", 50 + number)
        executed(tool, python, project, ["--stages"])
        require("up to date" in output(project, "dvc", "status"), f"{tool} ran all stages")
        shell(["uv", "run", "lockstep", "promote", "--force", "--reason", "newest"], cwd=project)
        shell(["git", "add", "--all"], cwd=project)
        shell(["git", "commit", "--quiet", "--no-verify", "--message", tool], cwd=project)
        shell(["git", "push", "--quiet", "--set-upstream", "origin", "main"], cwd=project)

        end = STARTED + number * WINDOW
        write(project / "data" / "new" / f"{number}.csv", [rows[0], *rows[end - WINDOW + 1 : end]])
        write(project / "data" / "raw.csv", rows[:end])
        before = len(branches(project))
        executed(tool, python, project, ["--windows", "data/new"])
        require(len(branches(project)) == before + 1, f"the cycle of {tool} pushed a branch")
        shell(["git", "checkout", "--quiet", "--", "data/raw.csv.dvc"], cwd=project)
        shell(["uv", "run", "dvc", "checkout", "--quiet", "--force"], cwd=project)


def installed(folder: Path, tool: str) -> Path:
    """The Python of a new environment with the tool."""
    place = folder / tool
    shell(["uv", "venv", "--quiet", "--clear", "--python", sys.executable, str(place)], cwd=folder)
    python = place / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = ["uv", "pip", "install", "--quiet", "--python", str(python), PACKAGES[tool]]
    shell(install, cwd=folder)
    return python


def executed(tool: str, python: Path, project: Path, options: list[str]) -> None:
    """Export a DAG and have the tool run it."""
    folder = python.parent.parent
    file = folder / "dags" / "dag.py"
    shell(["uv", "run", "lockstep", "export", tool, *options, "-o", str(file)], cwd=project)
    env = environment() | {"DAGSTER_HOME": str(folder), "AIRFLOW_HOME": str(folder)}
    env |= {"AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__DAGS_FOLDER": str(file.parent)}
    airflow = str(python.with_name("airflow"))
    commands = {
        "dagster": [[str(python), "-c", JOB, str(file)]],
        "airflow": [[airflow, "db", "migrate"], [airflow, "dags", "test", project.name]],
    }
    say(f"{tool} runs {file}")
    start = time.monotonic()
    for command in commands[tool]:
        subprocess.run(command, cwd=folder, env=env, check=True)
    print(f"{tool}, {' '.join(options)}: {time.monotonic() - start:.0f} s")


def branches(project: Path) -> list[str]:
    """The branches at the remote that wait for a person."""
    return output(project, "git", "ls-remote", "origin", "refs/heads/retrain/*").splitlines()


def output(project: Path, *command: str) -> str:
    """What a command of the project prints."""
    words = command if command[0] == "git" else ("uv", "run", *command)
    return subprocess.run(
        words, cwd=project, env=environment(), check=True, capture_output=True, text=True
    ).stdout


def require(holds: bool, claim: str) -> None:
    """Stop unless a claim holds."""
    if not holds:
        sys.exit(f"not true: {claim}")
    say(claim)


def replace(path: Path, pattern: str, value: float) -> None:
    """Change the value of a key in a file."""
    text = path.read_text(encoding="utf-8")
    key = pattern.partition(":")[0]
    changed, count = re.subn(pattern, f"{key}: {value}", text)
    require(count == 1, f"{path.name} has one {key}")
    path.write_text(changed, encoding="utf-8")


def write(path: Path, lines: list[str]) -> None:
    """Write a file with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
