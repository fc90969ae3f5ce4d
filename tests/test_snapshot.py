"""The snapshot of the code behind a run, taken in all the places that a repository can be."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lockstep import LockstepError
from lockstep.dvc.pipeline import Pipeline
from lockstep.files import tree_digest
from lockstep.project import Project
from lockstep.record.provenance import Origin
from lockstep.record.snapshot import REFS, snapshot_of_workspace, unbundle, write_bundle

PIPELINE = """
stages:
  fit:
    cmd: lockstep run p.fit model.bin
    deps: [src/fit.py, conf]
    outs: [model.bin]
  publish:
    cmd: lockstep publish
    deps: [model.bin]
"""
LIMIT = 1.0


@pytest.fixture(autouse=True)
def _no_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which nobody has told git who they are."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("EMAIL", "")
    monkeypatch.delenv("DVC_EXP_BASELINE_REV", raising=False)


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    local = ("-c", "protocol.file.allow=always")
    done = subprocess.run(
        ["git", *identity, *local, *arguments], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def fill(project: Path) -> Path:
    """Write a project whose pipeline has run."""
    for name, text in {
        "dvc.yaml": PIPELINE,
        "src/fit.py": "fit = 1\n",
        "conf/config.yaml": "n: 1\n",
        ".gitignore": "/model.bin\n/secret.env\n",
    }.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    lock(project)
    return project


def lock(project: Path) -> None:
    """Write dvc.lock as DVC does when the stage has run on what is there now."""
    deps = "".join(
        f"    - {{path: {path}, md5: {tree_digest(project / path)}, hash: md5}}\n"
        for path in ("src/fit.py", "conf")
    )
    (project / "dvc.lock").write_text(
        f"stages:\n  fit:\n    cmd: x\n    deps:\n{deps}"
        "    outs: [{path: model.bin, md5: m1, hash: md5}]\n"
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one commit, in a folder with a difficult name."""
    made = fill(tmp_path / "mein schönes Projekt")
    git(made, "init", "--quiet", "--initial-branch", "main")
    git(made, "add", "--all")
    git(made, "commit", "--quiet", "-m", "one")
    return made


def take(workspace: Path, root: Path | None = None) -> tuple[str, list[str]]:
    listed = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", "HEAD"],
        cwd=workspace, capture_output=True, text=True,
    )  # fmt: skip
    origin = Origin(time=1_700_000_000_000, commit=listed.stdout.strip() or None, branch="main")
    project = Project(workspace)
    project.root = root or workspace
    revision, edited = snapshot_of_workspace(project, origin, LIMIT)
    assert revision
    return revision, edited


def content(root: Path, revision: str, path: str) -> str:
    return git(root, "show", f"{revision}:{path}")


def test_it_has_all_that_git_does_not_ignore_and_leaves_the_rest_alone(project: Path) -> None:
    (project / "src" / "fit.py").write_text("fit = 2\n")
    lock(project)
    (project / "staged.txt").write_text("staged\n")
    git(project, "add", "staged.txt")
    (project / "staged.txt").write_text("and edited\n")
    (project / "neu.txt").write_text("untracked\n")
    (project / "secret.env").write_text("password\n")
    (project / "conf" / "config.yaml").unlink()
    lock(project)
    head = git(project, "rev-parse", "HEAD")
    before = git(project, "status", "--porcelain=v2"), git(project, "diff", "--cached")

    revision, edited = take(project)

    assert edited == []
    assert git(project, "rev-parse", f"{revision}^") == head
    listed = git(project, "ls-tree", "-r", "--name-only", "-z", revision).split("\0")
    assert set(filter(None, listed)) == {
        ".gitignore", "dvc.lock", "dvc.yaml", "neu.txt", "src/fit.py", "staged.txt",
    }  # fmt: skip
    assert content(project, revision, "src/fit.py") == "fit = 2"
    assert content(project, revision, "staged.txt") == "and edited"
    assert (git(project, "status", "--porcelain=v2"), git(project, "diff", "--cached")) == before
    assert git(project, "branch", "--list") == "* main"
    assert git(project, "stash", "list") == ""
    assert git(project, "rev-parse", "HEAD") == head


def test_it_is_kept_by_a_ref_and_records_where_the_state_comes_from(project: Path) -> None:
    revision, _ = take(project)
    ref = f"{REFS}/{Pipeline(project).state}"
    assert git(project, "rev-parse", ref) == revision
    origin = Origin.of_message(git(project, "show", "-s", "--format=%B", revision))
    assert (origin.branch, origin.commit) == ("main", git(project, "rev-parse", "HEAD"))
    again, _ = take(project)
    assert again == revision, "the same again is no other commit"


def test_a_repository_without_a_commit(tmp_path: Path) -> None:
    project = fill(tmp_path / "p")
    git(project, "init", "--quiet")
    revision, _ = take(project)
    assert git(project, "rev-list", "--count", revision) == "1"
    write_bundle(project, Pipeline(project).state, tmp_path / "b")
    clone = empty_clone(tmp_path)
    unbundle(clone, Pipeline(project).state, tmp_path / "b")
    assert content(clone, revision, "src/fit.py") == "fit = 1"


def test_a_detached_head(project: Path) -> None:
    git(project, "checkout", "--quiet", "--detach")
    revision, _ = take(project)
    assert git(project, "rev-parse", f"{revision}^") == git(project, "rev-parse", "HEAD")


def test_a_linked_worktree(project: Path, tmp_path: Path) -> None:
    git(project, "worktree", "add", "--quiet", str(tmp_path / "linked"))
    linked = tmp_path / "linked"
    (linked / "neu.txt").write_text("only here\n")
    revision, _ = take(linked)
    assert content(project, revision, "neu.txt") == "only here"


def test_a_submodule_and_a_folder_within_a_repository(project: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "--quiet")
    git(outer, "submodule", "--quiet", "add", str(project), "inner")
    inner = outer / "inner"
    (inner / "neu.txt").write_text("in the submodule\n")
    revision, _ = take(inner)
    assert content(inner, revision, "neu.txt") == "in the submodule"

    nested = fill(outer / "team" / "model")
    (outer / "shared.txt").write_text("beside the project\n")
    revision, edited = take(nested)
    assert edited == []
    assert content(outer, revision, "team/model/src/fit.py") == "fit = 1"
    assert content(outer, revision, "shared.txt") == "beside the project"


def test_the_temporary_copy_of_an_experiment_leaves_it_in_the_project(
    project: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    git(tmp_path, "clone", "--quiet", str(project), str(copy))
    (copy / "src" / "fit.py").write_text("fit = 3\n")
    git(copy, "add", "--all")  # the blob is in the copy's own store, which goes with it
    lock(copy)
    revision, _ = take(copy, root=project)
    shutil.rmtree(copy)
    assert content(project, revision, "src/fit.py") == "fit = 3"


def test_a_folder_without_git_has_none(tmp_path: Path) -> None:
    project = fill(tmp_path / "p")
    origin = Origin(time=0)
    assert snapshot_of_workspace(Project(project), origin, LIMIT) == (None, [])


def test_a_large_file_is_refused_and_named(project: Path) -> None:
    (project / "weights.bin").write_bytes(b"0" * 2_000_000)
    with pytest.raises(LockstepError) as caught:
        take(project)
    message = str(caught.value)
    assert "weights.bin (2 MB) is too large" in message
    assert "`uv run dvc add weights.bin`" in message
    assert ".gitignore" in message
    assert "tracking.snapshot_limit" in message
    assert git(project, "for-each-ref", REFS) == ""


def test_code_that_was_edited_while_the_pipeline_ran_goes_in_as_it_was_read(project: Path) -> None:
    (project / "src" / "fit.py").write_text("fit = 'the next idea'\n")
    (project / "conf" / "config.yaml").write_text("n: 2\n")
    revision, edited = take(project)
    assert edited == []
    assert content(project, revision, "src/fit.py") == "fit = 1"
    assert content(project, revision, "conf/config.yaml") == "n: 1"


def test_code_that_nobody_has_any_more_is_reported(project: Path) -> None:
    (project / "src" / "fit.py").write_text("fit = 2\n")
    lock(project)
    (project / "src" / "fit.py").write_text("fit = 3\n")
    _, edited = take(project)
    assert edited == ["src/fit.py"]


def empty_clone(folder: Path) -> Path:
    clone = folder / "clone"
    clone.mkdir()
    git(clone, "init", "--quiet")
    return clone


def test_a_bundle_brings_what_no_remote_has(project: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(project), "hub.git")
    git(project, "remote", "add", "origin", str(tmp_path / "hub.git"))
    git(project, "fetch", "--quiet")
    (project / "never-pushed.txt").write_text("a commit that stays at home\n")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "-m", "two")
    (project / "neu.txt").write_text("never committed\n")
    revision, _ = take(project)
    write_bundle(project, Pipeline(project).state, tmp_path / "b")
    assert (tmp_path / "b").stat().st_size < 2000

    git(tmp_path, "clone", "--quiet", "hub.git", "clone")
    unbundle(tmp_path / "clone", Pipeline(project).state, tmp_path / "b")
    assert content(tmp_path / "clone", revision, "neu.txt") == "never committed"
    assert content(tmp_path / "clone", revision, "never-pushed.txt").startswith("a commit")


def test_a_bundle_whose_base_is_missing_names_it(project: Path, tmp_path: Path) -> None:
    take(project)
    write_bundle(project, Pipeline(project).state, tmp_path / "b")
    base = git(project, "rev-parse", "HEAD")
    with pytest.raises(LockstepError, match=rf"builds on the commit {base}.*lacks") as caught:
        unbundle(empty_clone(tmp_path), Pipeline(project).state, tmp_path / "b")
    assert "git fetch --all" in str(caught.value)
