"""docs/architecture.md, as far as a machine can check it: imports, rooms, sizes."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from scaffold import TEMPLATE

SOURCE = TEMPLATE / "{{cookiecutter.project_slug}}" / "packages" / "lockstep" / "src"
GLUE = SOURCE / "lockstep"
MOST_LINES_OF_A_FILE = 250
MOST_LINES_OF_A_FUNCTION = 50

# What packages/lockstep/pyproject.toml lists, by import name, and what those packages bring.
DEPENDENCIES = {
    *("dvc", "filelock", "hydra", "mlflow", "optuna", "packaging", "pydantic", "rich", "skops"),
    *("apprise", "markdown_it", "psutil", "ray", "shtab", "submitit", "yaml"),
    *("cloudpickle", "joblib", "matplotlib", "numpy", "pandas", "pyarrow"),  # MLflow
    *("sklearn", "sqlalchemy", "starlette", "uvicorn"),  # MLflow
    *("prometheus_client", "pydantic_core"),
    *("dvc_data", "dvc_objects", "omegaconf"),
}
# What the models of a project may need: only `adapters` imports it, when it meets such a model.
FRAMEWORKS = {
    *("catboost", "lightgbm", "onnx", "onnxruntime", "spacy", "torch", "transformers", "xgboost"),
}
# The rooms in which the environment variables of a tool may be named.
ROOMS = {"DVC": "dvc/", "MLFLOW": "mlflow/"}

# What is still to be moved or split. Nothing may be added.
LONG_FILES: set[str] = set()
LONG_FUNCTIONS: set[str] = set()


def modules() -> Iterator[tuple[str, str, ast.Module]]:
    """Each module of the glue: its path in the package, its text and its syntax tree."""
    for path in sorted(GLUE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        yield path.relative_to(GLUE).as_posix(), text, ast.parse(text)


def test_imports_follow_the_layers_and_each_tool_stays_in_its_room() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
        + [str(TEMPLATE / "pyproject.toml")],
        cwd=SOURCE,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_glue_imports_its_dependencies_and_no_project() -> None:
    unknown = {
        f"{module}: {name}"
        for module, _, tree in modules()
        for node in ast.walk(tree)
        for name in _imported(node)
        if name not in {"lockstep", *DEPENDENCIES, *FRAMEWORKS, *sys.stdlib_module_names}
    }
    assert not unknown, "the glue must not import the user's package, nor what it does not declare"


def _imported(node: ast.AST) -> list[str]:
    """The top-level names that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level:
        return [str(node.module).partition(".")[0]]
    return []


@pytest.mark.parametrize("tool", ROOMS)
def test_environment_variables_are_named_in_the_room_of_their_tool(tool: str) -> None:
    naming = {
        module
        for module, _, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if re.search(rf"\b{tool}_[A-Z_]+\b", node.value)
    }
    elsewhere = {module for module in naming if not module.startswith(ROOMS[tool])}
    assert not elsewhere, f"name {tool}_* in lockstep/{ROOMS[tool]} only"


def test_files_and_functions_stay_short() -> None:
    files = {
        module for module, text, _ in modules() if text.count("\n") > MOST_LINES_OF_A_FILE
    } - LONG_FILES
    functions = {
        f"{module}: {node.name}"
        for module, _, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and (node.end_lineno or 0) - node.lineno >= MOST_LINES_OF_A_FUNCTION
    } - LONG_FUNCTIONS
    assert not files, f"split what is longer than {MOST_LINES_OF_A_FILE} lines"
    assert not functions, f"split what is longer than {MOST_LINES_OF_A_FUNCTION} lines"
