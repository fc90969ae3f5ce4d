"""`lockstep export`: DAG files that are plain Python."""

import ast
import json
import os
from pathlib import Path
from typing import Any

import pytest
from tiny import Tiny


def tasks_of(text: str) -> dict[str, Any]:
    """The tasks in a DAG file, which must be valid Python."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TASKS":
            tasks: dict[str, Any] = ast.literal_eval(node.value)
            return tasks
    raise AssertionError(text)


@pytest.mark.parametrize("tool", ["airflow", "dagster"])
def test_one_cycle(tiny_project: Tiny, tool: str) -> None:
    text = tiny_project.lockstep("export", tool, "--windows", "data/new", "--project", "/srv/toy")
    assert tasks_of(text) == {
        "monitor": ("uv run lockstep monitor data/new --each --exit-zero", []),
        "retrain": ("uv run lockstep retrain --push", ["monitor"]),
    }
    assert "PROJECT = '/srv/toy'" in text


def test_a_task_for_each_stage(tiny_project: Tiny) -> None:
    output = tiny_project.lockstep("export", "airflow", "--stages", "-o", "dags/toy.py")
    assert "wrote dags/toy.py" in output.replace("\\", "/")
    tasks = tasks_of((tiny_project.path / "dags" / "toy.py").read_text(encoding="utf-8"))
    before = {name: set(others) for name, (_, others) in tasks.items()}
    assert set(before) == {"compose", "split", "train", "evaluate", "publish"}
    assert before["split"] == {"compose"}, "whose params it reads; data/raw.csv.dvc is no task"
    assert before["evaluate"] == {"compose", "split", "train"}
    assert tasks["train"][0] == "uv run dvc repro --single-item train"


READ = """
import json, runpy, sys
dag = runpy.run_path(sys.argv[1])["dag"]
print(json.dumps({task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks}))
"""


@pytest.mark.server
def test_airflow_reads_it(tiny_project: Tiny, tmp_path: Path) -> None:
    tiny_project.lockstep("export", "airflow", "--windows", "data/new", "-o", "cycle.py")
    python = tmp_path / "airflow" / ("Scripts" if os.name == "nt" else "bin") / "python"
    tiny_project.run("uv", "venv", "--quiet", str(tmp_path / "airflow"))
    install = ("uv", "pip", "install", "--quiet", "--python", str(python))
    tiny_project.run(*install, "apache-airflow>=3,<4")
    tiny_project.env["AIRFLOW_HOME"] = str(tmp_path / "home")
    printed = tiny_project.run(str(python), "-c", READ, "cycle.py")
    assert json.loads(printed.splitlines()[-1]) == {"monitor": [], "retrain": ["monitor"]}
