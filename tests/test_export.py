"""`lockstep export`: DAG files that are plain Python."""

import ast
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
