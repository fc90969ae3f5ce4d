"""What killed commands leave behind: it is cleared where that is safe, and named where not."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock
from tiny import Tiny

DVC = (sys.executable, "-m", "dvc")


def leftovers(project: Tiny) -> dict[str, object]:
    """What `lockstep doctor` finds, without a check of anything else."""
    said = project.lockstep("doctor", "--only", "leftovers", "--json", ok=None)
    (found,) = json.loads(said[said.index("{") :])["checks"]
    return dict(found)


@pytest.fixture
def ended() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def other() -> Iterator[int]:
    """The number of a process that runs, and is not DVC."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process.pid
    process.kill()
    process.wait()


@pytest.mark.parametrize("place", ["rwlock", "exps/rwlock"])
@pytest.mark.parametrize("text", ["", '{"write": {"/a', "[]"])
def test_a_lock_that_is_half_written_is_removed(tiny_project: Tiny, place: str, text: str) -> None:
    lock = tiny_project.path / ".dvc/tmp" / place
    tiny_project.write(f".dvc/tmp/{place}", text)
    said = tiny_project.lockstep("compose")
    assert (
        f"note: removed {Path('.dvc', 'tmp', place)}, which a killed DVC command had left" in said
    )
    assert not lock.exists()
    assert "removed" not in tiny_project.lockstep("compose")


def test_dvc_works_again_after_it(tiny_project: Tiny) -> None:
    tiny_project.write(".dvc/tmp/rwlock", "")
    failing = subprocess.run(
        [*DVC, "repro", "split"], cwd=tiny_project.path, env=tiny_project.env, capture_output=True
    )
    assert b"JSON structure is corrupted" in failing.stderr
    tiny_project.lockstep("doctor", "--only", "dvc.lock")
    tiny_project.run(*DVC, "repro", "--dry", "split")


def held_by(project: Tiny, number: int) -> Path:
    lock = project.path / ".dvc/tmp/rwlock"
    holder = {"pid": number, "cmd": "dvc repro"}
    project.write(
        ".dvc/tmp/rwlock", json.dumps({"write": {"/a": holder}, "read": {"/b": [holder]}})
    )
    return lock


def test_a_lock_of_a_process_that_ended_is_removed(tiny_project: Tiny, ended: int) -> None:
    lock = held_by(tiny_project, ended)
    tiny_project.lockstep("compose")
    assert not lock.exists()


def test_a_lock_whose_process_number_another_process_got_is_removed(
    tiny_project: Tiny, other: int
) -> None:
    lock = held_by(tiny_project, other)
    earlier = time.time() - 3600
    os.utime(lock, (earlier, earlier))
    tiny_project.lockstep("compose")
    assert not lock.exists()


def test_a_lock_of_a_running_process_is_kept(tiny_project: Tiny, other: int) -> None:
    lock = held_by(tiny_project, other)
    assert "removed" not in tiny_project.lockstep("compose")
    assert lock.exists()


def test_a_lock_that_dvc_is_writing_is_kept_and_named(tiny_project: Tiny) -> None:
    tiny_project.write(".dvc/tmp/rwlock", "")
    writes = (
        "import sys, zc.lockfile; held = zc.lockfile.LockFile('.dvc/tmp/rwlock.lock'); "
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", writes], cwd=tiny_project.path, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout
        process.stdout.readline()
        found = leftovers(tiny_project)
        process.communicate()
    assert found["state"] == "failed"
    assert found["cure"] == [f"rm {Path('.dvc/tmp/rwlock')}"]


def test_git_locks_are_named_with_their_cure(tiny_project: Tiny) -> None:
    assert leftovers(tiny_project)["state"] == "ok"
    tiny_project.write(".git/index.lock", "")
    tiny_project.write(".git/refs/heads/main.lock", "")
    found = leftovers(tiny_project)
    assert found["state"] == "failed"
    assert found["cure"] == ["rm .git/index.lock .git/refs/heads/main.lock"]


def test_a_lock_that_is_gone_in_an_instant_is_none(
    tiny_project: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of the git that another check runs at the same time."""
    path = tiny_project.path / ".git/index.lock"
    path.write_text("")
    monkeypatch.setattr("lockstep.doctor.leftovers.time.sleep", lambda seconds: path.unlink())
    assert leftovers(tiny_project)["state"] == "ok"


@pytest.mark.skipif(os.name == "nt", reason="the shell's own process would be found")
def test_git_locks_of_a_git_that_runs_are_kept(tiny_project: Tiny) -> None:
    tiny_project.write(".git/index.lock", "")
    with subprocess.Popen(
        ["git", "cat-file", "--batch"], cwd=tiny_project.path, stdin=subprocess.PIPE
    ) as git:
        assert leftovers(tiny_project)["state"] == "ok"
        git.kill()


def test_an_experiment_of_the_queue_whose_worker_was_killed_is_named(
    tiny_project: Tiny, ended: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = SimpleNamespace(name="calm-gaur", stash_rev="abc")
    queue = SimpleNamespace(iter_active=lambda: [entry])
    repo = SimpleNamespace(experiments=SimpleNamespace(celery_queue=queue))
    monkeypatch.setattr("lockstep.dvc.leftovers.repo_of", lambda root: repo)
    tiny_project.write(".dvc/tmp/exps/celery/worker.pid", str(os.getpid()))
    assert leftovers(tiny_project)["state"] == "ok", "it is running"
    tiny_project.write(".dvc/tmp/exps/celery/worker.pid", str(ended))
    found = leftovers(tiny_project)
    assert found["state"] == "failed"
    assert "DVC's queue waits for calm-gaur, whose worker was killed" in str(found["text"])
    assert found["cure"] == [
        "uv run dvc queue kill --force calm-gaur",
        "uv run dvc queue remove calm-gaur",
    ]


def test_the_worktree_of_a_killed_rebuild_is_removed_by_the_next(
    tiny_published_once: Tiny, tmp_path: Path
) -> None:
    (tmp_path / "it's").mkdir()
    project = tiny_published_once.copy(tmp_path / "it's")
    said = project.lockstep("reproduce", "HEAD", "--checkout-only", "--current-environment")
    tree = Path(said.partition("restored: ")[2].splitlines()[0])
    assert f"git worktree remove --force {shlex.quote(str(tree))}`" in said
    again = project.lockstep(
        "reproduce", "HEAD", "--checkout-only", "--current-environment", ok=False
    )
    assert f"{tree} already exists" in again, "kept on purpose"
    assert leftovers(project)["state"] == "ok"
    # As if it had been killed: its claim is there, and nobody holds it.
    claim = project.path / f".dvc/tmp/lockstep/worktree-{tree.name}.lock"
    claim.touch()
    project.git("worktree", "lock", "--reason", "initializing", str(tree))
    found = leftovers(project)
    assert found["state"] == "warning"
    assert str(tree) in str(found["text"])
    with FileLock(claim):
        assert leftovers(project)["state"] == "ok", "it is running"
    said = project.lockstep("reproduce", "HEAD", "--checkout-only", "--current-environment")
    assert f"note: removing {tree}, which a killed rebuild left" in said
    assert len(project.git("worktree", "list").splitlines()) == 2
    assert not claim.exists()


@pytest.mark.parametrize("place", ["dvc.lock", "data/raw.csv.dvc"])
@pytest.mark.parametrize("part", [0.0, 0.3, 0.7])
def test_a_file_that_dvc_wrote_in_part_is_named_with_its_cure(
    tiny_published: Tiny, place: str, part: float
) -> None:
    """DVC itself says that a required key is not provided, or that the YAML is invalid."""
    file = tiny_published.path / place
    whole = file.read_text()
    if part and place == "dvc.lock":
        file.write_text(whole[: whole.index("outs:", int(part * len(whole))) + len("outs:")])
    else:
        file.write_text(whole[: int(part * 20)])
    found = leftovers(tiny_published)
    assert found["state"] == "failed"
    assert found["text"] == f"{place} is not as DVC writes it"
    assert found["cure"] == [f"git checkout {place}", "uv run dvc repro"]
    if place == "dvc.lock":
        said = tiny_published.lockstep("publish", ok=False)
        assert "dvc.lock is not as DVC writes it: a command that was killed may have left" in said
    tiny_published.git("rm", "--quiet", "--cached", place)
    assert leftovers(tiny_published)["cure"] == [f"rm {place}", "uv run dvc repro"]
