"""`lockstep retrain`: new data or an alarm lead to a version, which the gate judges."""

import contextlib
from pathlib import Path

import pytest
from tiny import Tiny

from lockstep import LockstepError
from lockstep.retrain.remote_lock import remote_lock
from project import Project


def test_the_cycle_of_new_data(published: Project) -> None:
    project = published
    project.run("lockstep", "promote")
    head = project.git("rev-parse", "HEAD")
    assert "nothing to do: no new data (--force trains anyway)" in project.run(
        "lockstep", "retrain"
    )

    # New rows: a version that a person is to look at. The workspace stays as it was.
    raw = project.path / "data" / "raw.csv"
    before = raw.read_text(encoding="utf-8")
    lines = before.splitlines()
    raw.write_text("\n".join([*lines, *lines[1:150]]) + "\n", encoding="utf-8")
    output = project.run("lockstep", "retrain", ok=None)
    assert "training again: new data" in output
    assert project.git("rev-parse", "HEAD") == head
    assert project.git("status", "--porcelain") == ""
    _, second = project.runs()
    assert second["tags"]["retrain.reason"] == "new data"
    assert "retrained: new data" in project.run("lockstep", "trace", "2")
    assert "nothing to do" in project.run("lockstep", "retrain"), "the same data train once"

    # One a day is enough.
    raw.write_text("\n".join([*lines, *lines[1:160]]) + "\n", encoding="utf-8")
    project.edit("conf/retrain/default.yaml", "per_day: 4", "per_day: 1")
    project.git("commit", "--quiet", "--all", "--message", "one a day")
    output = project.run("lockstep", "retrain")
    assert "put off (new data): 1 retraining within 24 hours" in output
    project.edit("conf/retrain/default.yaml", "per_day: 1", "per_day: 4")
    project.git("commit", "--quiet", "--all", "--message", "four a day")
    head = project.git("rev-parse", "HEAD")

    # Data that break the rules are not learned from.
    raw.write_text(before.replace("Adelie", "Dodo"), encoding="utf-8")
    code, output = project.answer("lockstep", "retrain")
    assert code == 2
    assert "the champion, the branch and the workspace are as they were" in output
    assert project.git("rev-parse", "HEAD") == head
    assert len(project.runs()) == 2

    # Under the policy `auto`, what passes becomes the champion, and the branch has its commit.
    raw.write_text("\n".join([*lines, *lines[1:200]]) + "\n", encoding="utf-8")
    project.edit("conf/registry/default.yaml", "policy: manual", "policy: auto")
    project.edit("conf/registry/default.yaml", "margin: 0.0", "margin: -1.0")
    project.git("add", "conf")
    project.git("commit", "--quiet", "--message", "promote what is not much worse")
    output = project.run("lockstep", "retrain")
    assert "version 3 is the champion; main is at" in output
    assert project.git("status", "--porcelain") == ""
    assert len(raw.read_text(encoding="utf-8").splitlines()) == len(lines) + 199
    assert project.repro() == [], "the branch has the state of the new champion"


def test_one_clone_at_a_time(tiny_project: Tiny, origin: Path) -> None:
    tiny_project.git("remote", "add", "origin", str(origin))
    root = tiny_project.path
    with remote_lock(root, "origin"):
        with pytest.raises(LockstepError, match="is retraining"), remote_lock(root, "origin"):
            pass
        listed = tiny_project.git("ls-remote", "origin")
        assert "refs/lockstep/retrain" in listed
    assert tiny_project.git("ls-remote", "origin") == ""
    with contextlib.suppress(RuntimeError), remote_lock(root, "origin"):
        raise RuntimeError
    assert tiny_project.git("ls-remote", "origin") == ""


def test_what_is_not_committed_stops_it(tiny_published: Tiny) -> None:
    tiny_published.edit("conf/config.yaml", "model: linear", "model: dummy")
    code, output = tiny_published.answer("retrain")
    assert code == 2
    assert "not committed: conf/config.yaml" in output
