"""The rendered code with every option: format, lint, types, tests; the demo; the README."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from scaffold import render
from test_hooks import option_id

from conftest import Scaffold
from project import Project

# The options that change Python code; tests/test_hooks.py shows that the others do not.
OTHER_CODE: list[dict[str, str]] = [
    {},
    {"task": "regression"},
    {"package_name": "b"},
    {"package_name": "zz_a_name_so_long_that_the_lines_which_hold_it_have_to_be_broken"},
]
# The same, in as few projects as have all of them.
OTHER_PROJECTS = [OTHER_CODE[3], {**OTHER_CODE[1], **OTHER_CODE[2]}]


@pytest.mark.parametrize("answers", OTHER_CODE, ids=option_id)
def test_rendered_code_is_formatted_and_linted(answers: dict[str, str], tmp_path: Path) -> None:
    project = render(tmp_path, **answers)
    for command in (["format", "--check", "--diff"], ["check"]):
        done = subprocess.run(
            [str(Path(sys.executable).with_name("ruff")), *command, "--no-cache", "."],
            cwd=project,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.project
@pytest.mark.parametrize("answers", OTHER_PROJECTS, ids=option_id)
def test_types_tests_and_hooks_pass_as_generated(
    scaffold: Scaffold, answers: dict[str, str]
) -> None:
    project = scaffold(**answers)
    folders = [project.path / "src", project.path / "packages" / "lockstep" / "src"]
    path = os.pathsep.join(map(str, folders))
    source = {"MYPYPATH": path, "PYTHONPATH": path}
    assert " passed" in project.run("pytest", "-q", env=source)
    project.run("git", "add", "--all")
    # ruff, mypy and the checks of files; the hooks of push and checkout need a remote and a branch.
    output = project.run(
        "pre-commit",
        "run",
        "--all-files",
        env={**source, "UV_PROJECT_ENVIRONMENT": str(project.bin.parent)},
    )
    assert "Failed" not in output
    assert project.git("status", "--short", "--", "src", "conf", "tests") == ""


@pytest.mark.project
@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_a_project_lives_on_this_python(
    version: str, clean_env: dict[str, str], tmp_path: Path
) -> None:
    from conftest import make

    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    project = make({**clean_env, "UV_PYTHON": str(python)}, tmp_path, {}, None)
    assert f"Python {version}" in project.run("python", "--version")
    if version == "3.13":  # 3.12 is between the versions that are tested in full
        assert " passed" in project.run("pytest", "-q")
        project.run("mypy")
    assert project.repro()[-1] == "publish"
    (run,) = project.runs()
    assert run["status"] == "FINISHED"
    assert f"| system.python | {version}" in project.run("lockstep", "report", "--markdown")


def interpreter(version: str) -> Path | None:
    """A Python of that version on the path, or one that pyenv keeps."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    on_path = [Path(folder) / f"python{version}" for folder in os.environ["PATH"].split(os.pathsep)]
    kept = sorted(pyenv.glob(f"{version}.*/bin/python"))
    for python in [*kept, *on_path]:
        if python.exists() and not subprocess.run([python, "--version"], check=False).returncode:
            return python
    return None


@pytest.mark.project
def test_the_demo_shows_four_runs(tmp_path: Path, clean_env: dict[str, str]) -> None:
    template = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, str(template / "scripts" / "demo.py"), str(tmp_path)],
        env=clean_env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    table = done.stdout[done.stdout.index("=== uv run lockstep runs") :]
    models = re.findall(r" {2}(random_forest|ridge|hist_gradient_boost)", table)
    assert models == ["hist_gradient_boost", "ridge", "random_forest", "random_forest"]
    assert "uv run mlflow ui" in table


@pytest.mark.project
def test_the_commands_of_the_readme_work(project: Project, origin: Path) -> None:
    """The commands in the code blocks of the generated README, except for servers."""
    text = (project.path / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("uv run ") and "mlflow ui" not in line]
    assert len(commands) >= 4, lines
    project.git("remote", "add", "origin", str(origin))
    project.commit("environment")
    for command in commands:
        if "lockstep push" in command:
            project.run("dvc", "queue", "stop", "--kill", ok=None)
            project.commit("a result to share")
        project.run(*shlex.split(command.removeprefix("uv run ")))
