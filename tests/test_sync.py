"""`lockstep push`, `lockstep pull` and the git hooks: two clones play two colleagues."""

import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

from servers import Servers, mlflow

from project import Project


def colleague(ada: Project, origin: Path) -> Project:
    """Another one, who has cloned what was pushed."""
    path = ada.path.parent / "grace"
    subprocess.run(["git", "clone", "--quiet", origin, path], env=ada.env, check=True)
    return replace(ada, path=path)


def objects(storage: Path) -> int:
    """The number of files that the DVC remote holds."""
    return sum(path.is_file() for path in (storage / "files").rglob("*"))


def add_data(project: Project, text: str) -> str:
    """Commit a file of data, or its new content."""
    (project.path / "data" / "more.csv").write_text(text)
    project.run("dvc", "add", "--quiet", "data/more.csv")
    return project.commit(text)


def test_what_one_pushes_the_other_has_without_computing(
    ada: Project, origin: Path, storage: Path
) -> None:
    plan = ada.run("lockstep", "push", "--dry-run")
    assert "3 commits to origin/main" in plan
    assert (objects(storage), ada.git("ls-remote", "origin")) == (0, ""), "only a plan"
    output = ada.run("lockstep", "push")
    assert "3 commits to origin/main" in output
    assert "stay on this machine" in output, "the embedded store is not shared"
    assert "0 files" in ada.run("lockstep", "push")

    grace = colleague(ada, origin)
    shutil.move(storage, storage.with_name("away"))
    storage.mkdir()
    code, output = grace.answer("lockstep", "pull")
    assert code == 2
    assert f"{storage} does not have the data of data/raw.csv, data/table.parquet" in output
    storage.rmdir()
    shutil.move(storage.with_name("away"), storage)
    grace.run("lockstep", "pull")
    assert (grace.path / "models/model.joblib").exists()
    assert grace.repro() == []
    assert "Running" not in grace.run("lockstep", "publish"), "the run, without computing"
    (here,), (there,) = ada.runs(), grace.runs()
    assert here["tags"]["lockstep.state"] == there["tags"]["lockstep.state"]

    middle = add_data(ada, "one")
    add_data(ada, "two")
    with (ada.path / "uv.lock").open("a") as lock:
        lock.write("\n# an upgrade\n")
    ada.commit("upgrade")
    ada.run("lockstep", "push")
    output = grace.run("lockstep", "pull")
    assert "3 commits from origin/main" in output
    assert "uv.lock has changed: run `uv sync`" in output
    assert "1 added, 0 modified, 0 deleted; 1 file fetched" in output
    grace.git("checkout", "--quiet", middle)
    grace.run("dvc", "pull")
    more = grace.path / "data" / "more.csv"
    assert more.read_text() == "one", "the data of a commit between two pushes are there, too"

    grace.git("checkout", "--quiet", "main")
    grace.git("commit", "--quiet", "--allow-empty", "-m", "grace's")
    ada.git("commit", "--quiet", "--allow-empty", "-m", "ada's")
    ada.run("lockstep", "push")
    code, output = grace.answer("lockstep", "push")
    assert code == 2
    assert "origin/main has commits that are not here\nuv run lockstep pull\n" in output
    code, output = grace.answer("lockstep", "pull")
    assert code == 2
    assert "main and origin/main have parted: 1 commit here, 1 there" in output
    assert "git rebase origin/main" in output


def test_a_push_that_cannot_work_is_refused_before_it_begins(ada: Project, storage: Path) -> None:
    def refused(*command: str) -> str:
        code, output = ada.answer("lockstep", *command)
        assert code == 2, output
        assert "Traceback" not in output
        assert objects(storage) == 0
        return output

    metrics = ada.path / "metrics/metrics.json"
    content = metrics.read_text()
    metrics.write_text(content + "\n")
    assert "git add metrics/metrics.json && git commit" in refused("push")
    metrics.write_text(content)
    ada.git("rm", "--quiet", "--cached", "dvc.lock")
    assert "git add dvc.lock && git commit" in refused("push")
    ada.git("reset", "--quiet", "--hard")

    ada.git("checkout", "--quiet", "--detach")
    assert "git switch BRANCH" in refused("push")
    ada.git("switch", "--quiet", "main")

    ada.git("remote", "remove", "origin")
    assert "git remote add origin URL" in refused("push")
    assert "git remote add origin URL" in refused("pull")

    ada.git("remote", "add", "origin", str(ada.path))
    ada.run("dvc", "remote", "remove", "storage")
    assert "uv run dvc remote add --default storage URL" in refused("push")


def test_a_push_that_was_stopped_goes_on(ada: Project, origin: Path, storage: Path) -> None:
    shutil.rmtree(storage)
    storage.write_text("a full disk, say")  # root could write to a folder that is read-only
    code, output = ada.answer("lockstep", "push")
    assert code == 2
    assert f"error: data: {storage}: " in output
    assert "done: nothing; left: data, git, runs\nthen go on with: uv run lockstep push" in output
    assert "Traceback" not in output
    assert ada.git("ls-remote", "origin") == "", "no commit without its data"
    storage.unlink()

    # A git server that takes its time, and a user who does not wait.
    hook = origin / "hooks" / "pre-receive"
    hook.write_text(f"#!/bin/sh\ntouch '{origin}/started'\nsleep 60\n")
    hook.chmod(0o755)
    process = subprocess.Popen(
        ["lockstep", "push"],
        cwd=ada.path,
        env=ada.environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (origin / "started").exists():
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "interrupted; left: git, runs\ngo on with: uv run lockstep push" in output
    assert objects(storage) > 0
    hook.unlink()
    output = ada.run("lockstep", "push")
    assert "0 files" in output, "what was done is not done again"
    assert ada.git("ls-remote", "origin", "main").split()[0] == ada.git("rev-parse", "HEAD")


def test_data_that_are_nowhere_are_not_left_behind(ada: Project, storage: Path) -> None:
    """DVC itself says `Everything is up to date` here."""
    md5 = ada.python(
        "import yaml; lock = yaml.safe_load(open('dvc.lock'))\n"
        "(out,) = [o for o in lock['stages']['train']['outs'] if o['path'].endswith('.joblib')]\n"
        "print(out['md5'])"
    ).strip()
    (ada.path / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    code, output = ada.answer("lockstep", "push")
    assert code == 2
    assert f"neither this machine nor {storage} has the data of models/model.joblib" in output
    assert ada.git("ls-remote", "origin") == ""
    assert ada.repro() == ["train"], "the cure"
    ada.run("lockstep", "push")


def test_experiments_are_pushed_when_asked(ada: Project, origin: Path, storage: Path) -> None:
    ada.experiment("--temp", "-S", "model=dummy", "--name", "draft")
    ada.run("lockstep", "push")
    assert "draft" not in ada.git("ls-remote", "origin")
    before = objects(storage)
    assert "1 experiment to origin" in ada.run("lockstep", "push", "--experiments")
    assert "draft" in ada.git("ls-remote", "origin")
    assert objects(storage) > before, "its data, too"
    grace = colleague(ada, origin)
    grace.run("dvc", "exp", "pull", "origin", "draft")
    grace.run("dvc", "exp", "apply", "draft")
    assert "DummyClassifier" in (grace.path / "params.yaml").read_text()


def test_git_push_takes_the_data_along_once_the_hooks_are_installed(
    ada: Project, storage: Path
) -> None:
    output = ada.run("pre-commit", "install")
    for name in ("pre-commit", "pre-push", "post-checkout"):
        assert f"installed at .git/hooks/{name}" in output, "one command for all"
    ada.edit("conf/model/random_forest.yaml", "n_estimators: 100", "n_estimators: 20")
    ada.repro()
    ada.commit("20 trees")
    add_data(ada, "one")
    add_data(ada, "two")
    assert ada.git("status", "--short") == "", "the hooks leave alone what the pipeline wrote"

    shutil.rmtree(storage)
    storage.write_text("a full disk, say")
    code, output = ada.answer("git", "push", "--set-upstream", "origin", "main")
    assert code != 0
    assert f"error: {storage}: " in output
    assert "Traceback" not in output
    assert ada.git("ls-remote", "origin") == ""

    storage.unlink()
    ada.git("push", "--set-upstream", "origin", "main")
    count = objects(storage)
    shutil.rmtree(storage)
    ada.run("dvc", "push", "--all-commits")
    assert count == objects(storage), "all that these commits ever referred to"


def test_runs_reach_the_server_with_the_push(
    ada: Project, origin: Path, servers: Servers, first_project: Project
) -> None:
    server = mlflow(servers, first_project)
    shared = {"MLFLOW_TRACKING_URI": server.url}
    code, output = ada.answer("lockstep", "push", env=shared)
    assert code == 2
    assert f"the MLflow server {server.url} cannot be reached" in output
    assert "done: data, git; left: runs" in output
    servers.add(server)
    assert "1 run to " in ada.run("lockstep", "push", "--dry-run", env=shared)
    assert f"every state has its run in {server.url}" in ada.run("lockstep", "push", env=shared)
    assert "0 runs to " in ada.run("lockstep", "push", "--dry-run", env=shared)
    grace = colleague(ada, origin)
    grace.run("lockstep", "pull", env=shared)
    assert "already published" in grace.run("lockstep", "publish", env=shared)
    assert len(grace.runs(**shared)) == 1
