"""docs/updating.md, as a life: an older project is updated, then uses a released Lockstep."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from scaffold import TEMPLATE

from project import Project

# The last version of the template whose projects had the glue in src/lockstep/.
FORMER = "66b600899d982f88e243a52b3c253097832b8e65"
CRUFT = (sys.executable, "-m", "cruft")


def git(folder: Path, *arguments: str) -> str:
    """The output of a git command in a folder."""
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    return done.stdout


def commit(folder: Path, env: dict[str, str]) -> None:
    """Commit everything, as the user whose environment is given."""
    subprocess.run(["git", "add", "--all"], cwd=folder, env=env, check=True)
    subprocess.run(["git", "commit", "-q", "-m", "a version"], cwd=folder, env=env, check=True)


def become_current(template: Path) -> None:
    """Replace the files of an older template with those of this folder, uncommitted ones too."""
    git(template, "rm", "-rq", ".")
    for name in git(TEMPLATE, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split(
        "\0"
    ):
        if name and (TEMPLATE / name).is_file():
            (template / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TEMPLATE / name, template / name)


@pytest.mark.project
def test_an_older_project_is_updated_and_then_uses_a_released_lockstep(
    clean_env: dict[str, str], tmp_path: Path
) -> None:
    known = subprocess.run(["git", "cat-file", "-e", f"{FORMER}^{{commit}}"], cwd=TEMPLATE)
    if known.returncode:
        pytest.skip("this clone of the template does not have its history")
    template = tmp_path / "template"
    git(tmp_path, "clone", "--quiet", str(TEMPLATE), str(template))
    git(template, "checkout", "--quiet", "-B", "main", FORMER)
    answers = json.dumps({"create_environment": "yes"})
    created = subprocess.run(
        [*CRUFT, "create", str(template), "--no-input", "--extra-context", answers],
        cwd=tmp_path,
        env=clean_env,
        capture_output=True,
        text=True,
    )
    assert created.returncode == 0, created.stdout + created.stderr
    path = tmp_path / "penguins"
    project = Project(path, clean_env, path / ".venv" / ("Scripts" if os.name == "nt" else "bin"))
    project.edit("conf/model/random_forest.yaml", "n_estimators: 100", "n_estimators: 30")
    project.edit("pyproject.toml", 'version = "0.1.0"', 'version = "0.2.0"')
    assert project.repro()[-1] == "publish"
    project.commit("first result")
    (first,) = project.runs()

    # The template as it is now: a three-way merge, a new lock, one repro.
    become_current(template)
    commit(template, clean_env)
    project.run(*CRUFT, "update", "--skip-apply-ask")
    state = project.git("status", "--porcelain", "--untracked-files")
    assert "U" not in {line[:2].strip() for line in state.splitlines()}, state
    assert not list((path / "src" / "lockstep").rglob("*.py"))
    assert "n_estimators: 30" in (path / "conf/model/random_forest.yaml").read_text()
    project.run("uv", "sync", "--quiet")
    version = project.run("lockstep", "--version").split()[-1]
    assert f'template = "{version}"' in (path / "pyproject.toml").read_text()
    ran = project.repro()
    assert ran[0] == "compose"
    before, after = project.runs()
    assert before["id"] == first["id"]
    assert after["params"]["model.n_estimators"] == "30"
    assert project.repro() == [], "the updated pipeline is published once"
    project.commit("updated template")

    # A released Lockstep in place of the copy: one line.
    project.run("uv", "build", "--quiet", "--wheel", "packages/lockstep", "--out-dir", "wheels")
    (wheel,) = (path / "wheels").glob("lockstep-*.whl")
    released = f'lockstep = {{ path = "wheels/{wheel.name}" }}'
    project.edit("pyproject.toml", "lockstep = { workspace = true }", released)
    shutil.rmtree(path / "packages")
    project.run("uv", "sync", "--quiet")
    assert project.run("lockstep", "--version").split()[-1] == version
    assert "site-packages" in project.python("import lockstep; print(lockstep.__file__)")
    assert project.repro() == ["compose"], "which depends on uv.lock"
    project.commit("a released Lockstep")
    project.experiment("-S", "model=dummy")
    assert [run["params"]["model._target_"].rpartition(".")[2] for run in project.runs()] == [
        "RandomForestClassifier",
        "RandomForestClassifier",
        "DummyClassifier",
    ]
    rebuilt = project.run("lockstep", "reproduce", first["id"])
    assert rebuilt.rstrip().endswith("identical"), "of a run from before both changes"
