"""`lockstep push`, `lockstep pull` and the git hooks: two clones play two colleagues."""

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from servers import Servers, mlflow
from tiny import Tiny

from lockstep import LockstepError
from lockstep.project import Project as Workspace
from lockstep.team.commits import outgoing, uncommitted
from lockstep.team.route import Route, find_route
from project import Project

DVC = (sys.executable, "-m", "dvc")


@pytest.fixture
def tiny(tiny_published: Tiny, origin: Path) -> Tiny:
    """A colleague's project: a result, committed and not yet pushed."""
    tiny_published.git("remote", "add", "origin", str(origin))
    return tiny_published


@pytest.fixture
def remote(tiny: Tiny) -> Path:
    """The folder that is its DVC remote."""
    return tiny.path.parent / "storage"


def clone(project: Tiny, name: str) -> Tiny:
    """The project of a colleague, who has cloned what was pushed."""
    path = project.path.parent / name
    project.git("clone", "--quiet", project.git("remote", "get-url", "origin"), str(path))
    return replace(project, path=path)


def objects(storage: Path) -> int:
    """The number of files that the DVC remote holds."""
    return sum(path.is_file() for path in (storage / "files").rglob("*"))


def dvc(project: Tiny, *arguments: str) -> None:
    """Run a DVC command in this process; it must succeed."""
    from dvc.cli import main

    with project.entered():
        assert main(arguments) == 0


def add_data(project: Tiny, text: str) -> str:
    """Commit a file of data, or its new content; the new commit."""
    project.write("data/more.csv", text)
    dvc(project, "add", "--quiet", "data/more.csv")
    return project.commit(text)


def states(project: Tiny) -> list[str]:
    """The states that have a run in the project's store."""
    query = "select value from tags where key = 'lockstep.state'"
    with contextlib.closing(sqlite3.connect(project.path / "mlflow.db")) as store:
        return [state for (state,) in store.execute(query)]


def refused(project: Tiny, *words: str) -> str:
    """What a verb prints that must not succeed."""
    code, output = project.answer(*words)
    assert code == 2, output
    assert "Traceback" not in output
    return output


def test_what_one_pushes_the_other_has(tiny: Tiny, remote: Path) -> None:
    assert "1 commit to origin/main" in tiny.lockstep("push", "--dry-run")
    assert (objects(remote), tiny.git("ls-remote", "origin")) == (0, ""), "only a plan"
    output = tiny.lockstep("push")
    assert f"data  7 files to {remote}\ngit   1 commit to origin/main\n" in output
    assert "stay on this machine" in output, "the embedded store is not shared"
    assert "0 files" in tiny.lockstep("push")

    grace = clone(tiny, "grace")
    away = remote.rename(remote.with_name("away"))
    remote.mkdir()
    output = refused(grace, "pull")
    assert f"{remote} does not have the data of data/raw.csv, data/test.csv" in output
    remote.rmdir()
    away.rename(remote)
    grace.lockstep("pull")
    model = "models/model.joblib"
    assert (grace.path / model).read_bytes() == (tiny.path / model).read_bytes()
    assert set(json.loads(grace.run(*DVC, "status", "--json"))) <= {"publish"}, "nothing to run"
    grace.lockstep("publish")
    assert states(grace) == states(tiny), "the same run, without computing"

    raw = grace.path / "data" / "raw.csv"
    known = raw.read_text()
    raw.write_text(f"{known}9,18\n")
    output = refused(grace, "pull")
    assert "data/raw.csv has changes that are not committed, and pulling would replace" in output
    assert raw.read_text() == f"{known}9,18\n"
    raw.write_text(known)

    middle = add_data(tiny, "one")
    add_data(tiny, "two")
    tiny.write("uv.lock", (tiny.path / "uv.lock").read_text() + "\n# an upgrade\n")
    tiny.commit("upgrade")
    tiny.lockstep("push")
    output = grace.lockstep("pull")
    assert "3 commits from origin/main" in output
    assert "uv.lock has changed: run `uv sync`" in output
    assert "1 added, 0 modified, 0 deleted; 1 file fetched" in output
    grace.git("checkout", "--quiet", middle)
    dvc(grace, "pull", "--quiet")
    more = grace.path / "data" / "more.csv"
    assert more.read_text() == "one", "the data of a commit between two pushes are there, too"

    grace.git("checkout", "--quiet", "main")
    grace.git("commit", "--quiet", "--allow-empty", "-m", "grace's")
    tiny.git("commit", "--quiet", "--allow-empty", "-m", "ada's")
    tiny.lockstep("push")
    output = refused(grace, "push")
    assert "origin/main has commits that are not here\nuv run lockstep pull\n" in output
    output = refused(grace, "pull")
    assert "main and origin/main have diverged: 1 commit here, 1 there" in output
    assert "git rebase origin/main" in output


def test_without_a_git_remote_the_data_are_shared(tiny: Tiny, remote: Path) -> None:
    tiny.git("remote", "remove", "origin")
    output = tiny.lockstep("push")
    assert f"data  7 files to {remote}" in output
    assert "git remote add origin URL" in output
    assert objects(remote) == 7
    shutil.rmtree(tiny.path / ".dvc/cache")
    (tiny.path / "data/raw.csv").unlink()
    assert "1 added" in tiny.lockstep("pull")
    assert (tiny.path / "data/raw.csv").exists()


def test_a_push_that_cannot_work_is_refused_before_it_begins(tiny: Tiny, remote: Path) -> None:
    metrics = "metrics/metrics.json"
    content = (tiny.path / metrics).read_text()
    tiny.write(metrics, content + "\n")
    assert f"git add {metrics} && git commit" in refused(tiny, "push")
    tiny.write(metrics, content)
    tiny.git("rm", "--quiet", "--cached", "dvc.lock")
    assert "git add dvc.lock && git commit" in refused(tiny, "push")
    tiny.git("reset", "--quiet", "--hard")

    tiny.git("checkout", "--quiet", "--detach")
    assert "git switch BRANCH" in refused(tiny, "push")
    tiny.git("switch", "--quiet", "main")
    config = (tiny.path / ".dvc/config").read_text()
    tiny.write(".dvc/config", "")
    assert "uv run dvc remote add --default storage URL" in refused(tiny, "push")
    tiny.write(".dvc/config", config)
    tiny.git("checkout", "--quiet", "--orphan", "empty")
    assert "git add --all && git commit" in refused(tiny, "push")
    assert "git add --all && git commit" in refused(tiny, "pull")
    assert objects(remote) == 0


def test_a_push_that_was_stopped_goes_on(tiny: Tiny, origin: Path, remote: Path) -> None:
    remote.rmdir()
    remote.write_text("a full disk, say")  # root could write to a folder that is read-only
    output = refused(tiny, "push")
    assert f"error: data: {remote}: " in output
    assert output.endswith(
        "\nuv run lockstep doctor\n"
        "done: nothing; left: data, git, runs\nthen continue with: uv run lockstep push\n"
    )
    assert tiny.git("ls-remote", "origin") == "", "no commit without its data"
    remote.unlink()

    # A git server that takes its time, and a user who does not wait.
    hook = origin / "hooks" / "pre-receive"
    hook.write_text(f"#!/bin/sh\ntouch '{origin}/started'\nsleep 60\n")
    hook.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", "lockstep", "push"],
        cwd=tiny.path,
        env={**tiny.env, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (origin / "started").exists():
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 130, output
    assert "interrupted; left: git, runs\ncontinue with: uv run lockstep push" in output
    assert objects(remote) > 0
    hook.unlink()
    assert "0 files" in tiny.lockstep("push"), "what was done is not done again"
    assert tiny.git("ls-remote", "origin", "main").split()[0] == tiny.git("rev-parse", "HEAD")


def test_data_that_are_nowhere_are_not_left_behind(tiny: Tiny, remote: Path) -> None:
    """DVC itself says `Everything is up to date` here."""
    md5 = Workspace(tiny.path).pipeline.locked["train"].outs["models/model.joblib"]
    (tiny.path / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    output = refused(tiny, "push")
    assert f"neither this machine nor {remote} has the data of models/model.joblib" in output
    assert "`uv run dvc repro` makes them again" in output
    assert tiny.git("ls-remote", "origin") == ""
    tiny.repro("train")
    tiny.lockstep("push")


def test_experiments_are_pushed_when_asked(tiny: Tiny, remote: Path) -> None:
    add_data(tiny, "one")
    tiny.write("data/more.csv", "a draft")
    dvc(tiny, "add", "--quiet", "data/more.csv")
    dvc(tiny, "exp", "save", "--quiet", "--name", "draft")
    tiny.git("checkout", "--quiet", ".")
    tiny.lockstep("push")
    assert "draft" not in tiny.git("ls-remote", "origin")
    before = objects(remote)
    assert "1 experiment to origin" in tiny.lockstep("push", "--experiments")
    assert "draft" in tiny.git("ls-remote", "origin")
    assert objects(remote) == before + 1, "its data, too"


def test_the_hook_pushes_the_data_of_what_git_is_about_to_send(tiny: Tiny, remote: Path) -> None:
    first, last = add_data(tiny, "one"), add_data(tiny, "two")
    output = tiny.lockstep(
        "push", "--outgoing-data", PRE_COMMIT_TO_REF=first, PRE_COMMIT_REMOTE_NAME="origin"
    )
    assert f"data  9 files to {remote}\n" in output, "and those of the workspace"
    assert tiny.git("ls-remote", "origin") == "", "git itself pushes the commits"
    tiny.git("push", "--quiet", "origin", f"{first}:refs/heads/main")
    assert outgoing(tiny.path, "origin") == [last]
    assert outgoing(tiny.path, "origin", first) == []


def test_a_branch_goes_to_its_upstream_and_else_to_origin(tiny: Tiny) -> None:
    assert find_route(tiny.path) == Route("main", "origin", "main", is_upstream=False)
    tiny.git("remote", "add", "another", str(tiny.path))
    assert find_route(tiny.path).tracking == "origin/main"
    tiny.git("config", "branch.main.remote", "another")
    tiny.git("config", "branch.main.merge", "refs/heads/theirs")
    assert find_route(tiny.path) == Route("main", "another", "theirs", is_upstream=True)
    with pytest.raises(LockstepError, match="not a git repository\ngit init"):
        find_route(tiny.path.parent)


def test_only_what_records_the_state_has_to_be_committed(tiny: Tiny) -> None:
    tiny.write("notes.txt", "mine")
    tiny.write("data/more.csv.dvc", "outs: []\n")
    tiny.edit("src/toy/train.py", "the model", "a model")
    assert uncommitted(Workspace(tiny.path)) == ["data/more.csv.dvc"]
    tiny.edit("dvc.lock", "schema: '2.0'", "schema: '2.0' ")
    assert uncommitted(Workspace(tiny.path)) == ["data/more.csv.dvc", "dvc.lock"]


def test_two_colleagues_share_a_project_and_gits_hooks_take_the_data_along(
    ada: Project, origin: Path, storage: Path
) -> None:
    text = ada.run("pre-commit", "install")
    for name in ("pre-commit", "pre-push", "post-checkout"):
        assert f"installed at .git/hooks/{name}" in text, "one command for all"
    ada.edit("conf/model/random_forest.yaml", "n_estimators: 100", "n_estimators: 20")
    ada.repro()
    ada.commit("20 trees")
    for content in ("one", "two"):
        (ada.path / "data" / "more.csv").write_text(content)
        ada.run("dvc", "add", "--quiet", "data/more.csv")
        ada.commit(content)
    assert ada.git("status", "--short") == "", "the hooks leave alone what the pipeline wrote"

    shutil.rmtree(storage)
    storage.write_text("a full disk, say")
    code, text = ada.answer("git", "push", "--set-upstream", "origin", "main")
    assert code != 0
    assert f"error: {storage}: " in text
    assert "Traceback" not in text
    assert ada.git("ls-remote", "origin") == ""
    storage.unlink()
    ada.git("push", "--set-upstream", "origin", "main")
    count = objects(storage)
    shutil.rmtree(storage)
    ada.run("dvc", "push", "--all-commits")
    assert count == objects(storage), "all that these commits ever referred to"

    ada.experiment("--temp", "-S", "model=dummy", "--name", "draft")
    ada.run("lockstep", "push", "--experiments")
    ada.git("clone", "--quiet", str(origin), str(ada.path.parent / "grace"))
    grace = replace(ada, path=ada.path.parent / "grace")
    grace.run("lockstep", "pull")
    assert (grace.path / "models/model.joblib").exists()
    assert grace.repro() == []
    assert "Running" not in grace.run("lockstep", "publish"), "the run, without computing"
    (there,) = grace.runs()
    here = {run["tags"].get("lockstep.state") for run in ada.runs()}
    assert there["tags"]["lockstep.state"] in here
    grace.run("dvc", "exp", "pull", "origin", "draft")
    grace.run("dvc", "exp", "apply", "draft")
    assert "DummyClassifier" in (grace.path / "params.yaml").read_text()


def test_a_teams_server_gets_the_runs_and_the_doctor_looks_at_it(
    ada: Project, origin: Path, storage: Path, servers: Servers, first_project: Project
) -> None:
    ada.run("pre-commit", "install")
    ada.run("lockstep", "push")
    path = ada.path
    before = sorted([*storage.rglob("*"), *path.glob("mlartifacts/**/*")])
    assert findings(ada, "--strict") == (0, {}), "the project is healthy"
    after = sorted([*storage.rglob("*"), *path.glob("mlartifacts/**/*")])
    assert before == after, "it leaves nothing behind"
    assert len(ada.runs()) == 1

    server = mlflow(servers, first_project)
    shared = {"MLFLOW_TRACKING_URI": server.url}
    code, away = findings(ada, **shared)
    assert code == 1
    text, cure = away.pop("MLflow")
    assert text.startswith(f"failed {server.url} does not answer: ")
    assert cure == [f"uv run mlflow server --port {server.port}"]
    assert away == dict.fromkeys(
        ["artifacts", "registry", "runs", "live runs"], ("skipped waits for: MLflow", [])
    )
    code, text = ada.answer("lockstep", "push", env=shared)
    assert code == 2
    assert f"the MLflow server {server.url} cannot be reached" in text
    assert "done: data, git; left: runs" in text

    servers.add(server)
    code, away = findings(ada, **shared)
    assert code == 0
    assert list(away) == ["runs"]
    assert re.match(r"warning 1 not in MLflow yet: [0-9a-f]{7}", away["runs"][0])
    assert not [path for path in server.folder.rglob("*") if "doctor" in path.name]
    assert ada.runs(**shared) == [], "no run is made"
    assert "1 run to " in ada.run("lockstep", "push", "--dry-run", env=shared)
    assert f"every state has its run in {server.url}" in ada.run("lockstep", "push", env=shared)
    assert "0 runs to " in ada.run("lockstep", "push", "--dry-run", env=shared)
    assert findings(ada, **shared) == (0, {})
    ada.git("clone", "--quiet", str(origin), str(ada.path.parent / "grace"))
    grace = replace(ada, path=ada.path.parent / "grace")
    grace.run("lockstep", "pull", env=shared)
    assert "already published" in grace.run("lockstep", "publish", env=shared)
    assert len(grace.runs(**shared)) == 1


def findings(
    project: Project, *options: str, **env: str
) -> tuple[int, dict[str, tuple[str, list[str]]]]:
    """The exit code of `lockstep doctor`, and what is not ok: state and text, cure."""
    code, text = project.answer("lockstep", "doctor", "--json", *options, env=env)
    checks = json.loads(text)["checks"]
    return code, {
        check["name"]: (f"{check['state']} {check['text']}", check["cure"])
        for check in checks
        if check["state"] != "ok"
    }
