"""`lockstep.load`, `lockstep.data` and `lockstep.predictions`, as a notebook uses them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from tiny import GLUE, Tiny

import lockstep
from lockstep import LockstepError
from lockstep.git import git_or_fail

ROWS = pd.DataFrame({"x": [1.0, 10.0]})


@pytest.fixture
def rivals(tiny_rivals: Tiny) -> Iterator[Tiny]:
    """In a subfolder of a project whose champion is a line, and whose challenger is a dummy."""
    (tiny_rivals.path / "notebooks").mkdir()
    with tiny_rivals.entered():
        os.chdir("notebooks")
        yield tiny_rivals


def names_of(project: Tiny) -> dict[str, list[str]]:
    """By version, the names that it can be called by."""
    head = git_or_fail("rev-parse", "HEAD", cwd=project.path)
    return {
        "1": ["champion", "1", "models:/toy@champion", "HEAD~1"],
        "2": ["challenger", "2", "models:/toy/2", "HEAD", head[:8]],
    }


def test_a_model_is_loaded_by_any_of_its_names(rivals: Tiny) -> None:
    names = names_of(rivals)
    lines = [lockstep.load(name).predict(ROWS).round(2).tolist() for name in names["1"]]
    dummies = [lockstep.load(name).predict(ROWS).round(2).tolist() for name in names["2"]]
    assert len(set(map(tuple, lines))) == len(set(map(tuple, dummies))) == 1
    assert lines[0][1] > lines[0][0]
    assert dummies[0][1] == dummies[0][0]


def test_predictions_are_those_of_the_run(rivals: Tiny) -> None:
    for version, names in names_of(rivals).items():
        tables = [lockstep.predictions(name) for name in names]
        assert list(tables[0]) == ["actual", "predicted"]
        assert (tables[0]["predicted"].nunique() == 1) == (version == "2")
        assert all(table.equals(tables[0]) for table in tables)


def test_data_come_from_the_workspace_or_from_dvc(rivals: Tiny) -> None:
    rivals.edit("data/test.csv", "y", "edited")
    assert list(lockstep.data("data/test.csv")) == ["x", "edited"]
    assert list(lockstep.data("data/test.csv", run="champion")) == ["x", "y"]
    assert list(lockstep.data("data/test.csv", usecols=["x"])) == ["x"]
    (rivals.path / "data/test.csv").unlink()
    assert list(lockstep.data("data/test.csv")) == ["x", "y"], "as dvc.lock records it"
    assert not (rivals.path / "data/test.csv").exists(), "the workspace is left as it is"
    assert len(lockstep.data("models/example.parquet", run="HEAD")) == 3


def test_what_git_keeps_is_data_of_a_run(rivals: Tiny) -> None:
    (rivals.path / "kept.csv").write_text("a\n1\n")
    rivals.commit("a table")
    (rivals.path / "kept.csv").write_text("a\n2\n")
    assert lockstep.data("kept.csv", run="HEAD")["a"].tolist() == [1]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: lockstep.load("nobody"), "'nobody' is not a run, model, DVC experiment or git"),
        (lambda: lockstep.load("9"), "'9' is not a run, model, DVC experiment or git"),
        (
            lambda: lockstep.data("data/tests.csv"),
            "nor in its dvc.lock; did you mean data/test.csv",
        ),
        (lambda: lockstep.data("data/x.csv", run="HEAD"), r"data/x.csv is neither a file of \w{7}"),
        (lambda: lockstep.data("dvc.yaml"), "dvc.yaml is not a table"),
    ],
)
def test_a_mistake_is_explained(rivals: Tiny, call: object, expected: str) -> None:
    with pytest.raises(LockstepError, match=expected):
        call()  # type: ignore[operator]


def test_data_that_nobody_has_are_reported(rivals: Tiny) -> None:
    for file in (rivals.path / ".dvc/cache").rglob("*"):
        if file.is_file():
            file.unlink()
    with pytest.raises(LockstepError, match="data are missing"):
        lockstep.data("data/train.csv", run="champion")
    assert lockstep.load("champion").predict(ROWS) is not None, "MLflow has the model"


def test_there_is_no_champion_at_first(tiny_published: Tiny) -> None:
    with (
        tiny_published.entered(),
        pytest.raises(LockstepError, match="the model toy has no version with the alias champion"),
    ):
        lockstep.load()


def test_outside_of_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LockstepError, match="is not in a project"):
        lockstep.data("data/train.csv")


def test_importing_lockstep_loads_no_library() -> None:
    code = "import sys, lockstep; print({'pandas', 'mlflow', 'dvc'} & set(sys.modules))"
    env = {**os.environ, "PYTHONPATH": str(GLUE / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
    assert lockstep.__all__ == ["LockstepError", "data", "load", "predictions"]
    with pytest.raises(AttributeError, match="has no attribute 'dats'"):
        lockstep.dats  # noqa: B018
