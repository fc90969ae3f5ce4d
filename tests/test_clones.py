"""Clones and branches: line ends, merges of branches that both ran, data that got lost."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from scaffold import TEMPLATE, render
from tiny import Tiny

ATTRIBUTES = TEMPLATE / "{{cookiecutter.project_slug}}" / ".gitattributes"
DVC = (sys.executable, "-m", "dvc")


def test_a_clone_that_converts_line_ends_has_the_same_files(tmp_path: Path) -> None:
    project = render(tmp_path)
    (project / "conf/of_windows.yaml").write_bytes(b"a: 1\r\n")
    git = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "first"]):
        subprocess.run([*git, *words], cwd=project, check=True)
    options = ("-c", "core.autocrlf=true", "clone", "--quiet")
    subprocess.run(["git", *options, project, tmp_path / "clone"], check=True)
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=project, capture_output=True, check=True, text=True
    ).stdout
    for name in filter(None, names.split("\0")):
        assert (project / name).read_bytes() == (tmp_path / "clone" / name).read_bytes(), name


def two_branches(project: Tiny) -> subprocess.CompletedProcess[str]:
    """Two branches with a result each, of which one is merged into the other."""
    project.git("switch", "--quiet", "--create", "other")
    project.edit("conf/data/default.yaml", "rows: 3", "rows: 4")
    project.repro()
    project.commit("four rows")
    project.git("switch", "--quiet", "main")
    project.edit("conf/model/linear.yaml", "positive: false", "positive: true")
    project.repro()
    project.commit("a positive model")
    return subprocess.run(
        ["git", "merge", "other"], cwd=project.path, env=project.env, capture_output=True, text=True
    )


def test_a_merge_conflict_in_dvc_lock_is_named_with_how_to_end_it(tiny_project: Tiny) -> None:
    merged = two_branches(tiny_project)
    assert "CONFLICT (content): Merge conflict in dvc.lock" in merged.stdout
    for verb in ("publish", "doctor", "trace"):
        said = tiny_project.lockstep(verb, *(["HEAD"] if verb == "trace" else []), ok=False)
        assert "has a merge conflict: it holds the lines of both branches" in said
        assert "git checkout --ours " in said
        assert "not valid YAML" not in said


def test_two_branches_that_both_ran_are_merged_as_documented(tiny_project: Tiny) -> None:
    project = tiny_project
    shutil.copy(ATTRIBUTES, project.path)
    project.commit("attributes")
    merged = two_branches(project)
    assert "Merge conflict in dvc.lock" in merged.stdout
    assert "<<<<" not in (project.path / "dvc.lock").read_text(encoding="utf-8")
    said = project.lockstep("doctor", "--only", "dvc.lock", ok=False)
    assert "failed   a merge is not finished: resolve the conflicts in your own files" in said
    assert "$ uv run dvc repro" in said
    project.repro()
    project.commit("both")
    params = (project.path / "params.yaml").read_text(encoding="utf-8")
    assert "rows: 4" in params
    assert "positive: true" in params
    assert project.run(*DVC, "status", "compose", "split", "train", "evaluate").strip() == (
        "Data and pipelines are up to date."
    )


@pytest.mark.parametrize("place", ["cache", "remote", "nowhere"])
def test_the_doctor_looks_for_the_data(tiny_project: Tiny, place: str) -> None:
    project = tiny_project
    cache = project.path / ".dvc/cache"
    if place == "remote":
        project.run(*DVC, "push", "--quiet")
    if place != "cache":
        shutil.rmtree(cache)
    said = project.lockstep("doctor", "--only", "data", ok=place != "nowhere")
    if place == "cache":
        assert "ok       in DVC's cache" in said
    elif place == "remote":
        assert "warning  7 files only in the remote" in said
        assert "$ uv run dvc pull" in said
    else:
        assert "failed   neither DVC's cache nor its remote has " in said
        assert "data/raw.csv" in said


def test_a_project_in_a_submodule_can_be_restored(tiny_project: Tiny, tmp_path: Path) -> None:
    outer = Tiny(tmp_path / "outer", tiny_project.env)
    outer.path.mkdir()
    outer.git("init", "--quiet")
    outer.git("submodule", "--quiet", "add", str(tiny_project.path), "toy")
    outer.commit()
    project = Tiny(outer.path / "toy", tiny_project.env)
    shutil.copytree(tiny_project.path / ".dvc/cache", project.path / ".dvc/cache")
    command = ("reproduce", "HEAD", "--checkout-only", "--current-environment")
    said = project.lockstep(*command)
    restored = Path(said.partition("restored: ")[2].splitlines()[0])
    assert (restored / "data/raw.csv").exists()
    (remove,) = [line.split("`")[1] for line in said.splitlines() if "remove it with" in line]
    project.run(*remove.split())
    assert not outer.git("status", "--porcelain")
