"""`lockstep retrain`: new data or an alarm lead to a version, which the gate judges."""

import contextlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from tiny import Tiny
from windows import line, save

from lockstep import LockstepError
from lockstep.project import Project as Facts
from lockstep.retrain.feedback import bring_in_feedback
from lockstep.retrain.remote_lock import remote_lock
from lockstep.workspace import import_from_workspace
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


def test_true_values_become_raw_data_unless_they_are_invalid(
    watched: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    """The raw data become a folder first: `data/raw`, with the file of before."""
    raw = watched.path / "data" / "raw"
    raw.mkdir()
    (watched.path / "data" / "raw.csv").rename(raw / "2026.csv")
    for name in ("dvc.yaml", "dvc.lock"):
        watched.edit(name, "data/raw.csv", "data/raw")
    watched.run("dvc", "add", "--quiet", "data/raw")
    for day, rows in {"01": line(50, 1), "02": line(50, 2) * 1000, "03": line(50, 3)}.items():
        keys = pd.DataFrame({"_request": [f"{day}-{n:02}" for n in range(50)], "_row": np.int32(0)})
        when = {"_time": pd.Timestamp(f"2026-11-{day}", tz="UTC")}
        answers = keys.assign(x=rows.x, _prediction=2 * rows.x, **when)
        # A version in the shadow answers, too; the true values of some rows are never known.
        both = pd.concat([answers.assign(_role=role) for role in ("champion", "shadow")])
        save(watched, f"log/answers/date=2026-11-{day}/a.parquet", both)
        told = keys[:40].assign(actual=rows.y[:40], **when)
        if day != "03":
            save(watched, f"log/feedback/date=2026-11-{day}/b.parquet", told)

    def bring_in() -> list[str]:
        with watched.entered():
            import_from_workspace()
            project = Facts(watched.path)
            return bring_in_feedback(project, project.store.client(), "new/log")

    assert bring_in() == ["2026-11-01"]
    assert "left out: the true values of 2026-11-02: x: 10" in capsys.readouterr().out
    assert sorted(path.name for path in raw.iterdir()) == [
        "2026.csv",
        "feedback-2026-11-01.parquet",
    ]
    kept = raw / "feedback-2026-11-01.parquet"
    pd.testing.assert_frame_equal(pd.read_parquet(kept), line(50, 1)[:40])
    about = pyarrow.parquet.read_schema(kept).metadata
    assert (about[b"lockstep.log"], about[b"lockstep.day"]) == (b"new/log", b"2026-11-01")
    before = kept.read_bytes()
    assert bring_in() == []
    assert kept.read_bytes() == before
