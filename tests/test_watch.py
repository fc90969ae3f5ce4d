"""`lockstep watch`: what arrives is judged once, then the model is trained again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from tiny import Tiny

from lockstep.retrain.watch import Plan, Watcher


class Calls:
    """Keeps the verbs that are called; those with a bad file fail."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.fails = ""

    def __call__(self, words: Sequence[str]) -> int:
        self.made.append(" ".join(Path(word).name for word in words))
        return 2 if self.made[-1] == self.fails or "bad.csv" in self.made[-1] else 0

    def since(self) -> list[str]:
        """The new calls."""
        made, self.made = self.made, []
        return made


@pytest.fixture
def calls() -> Calls:
    return Calls()


def watcher(folder: Path, calls: Calls, every: float = 3600) -> Watcher:
    return Watcher(folder, Plan([folder / "new"], poll=1, every=every, options=["--push"]), calls)


def test_a_complete_file_is_judged_once(tmp_path: Path, calls: Calls) -> None:
    (tmp_path / "new").mkdir()
    loop = watcher(tmp_path, calls)
    loop.look()
    assert calls.since() == ["retrain --push"], "at the start: what came while it did not run"
    file = tmp_path / "new" / "july.csv"
    file.write_text("x\n", encoding="utf-8")
    loop.look()
    file.write_text("x\n1\n", encoding="utf-8")
    loop.look()
    assert calls.since() == [], "it is still being written"
    loop.look()
    assert calls.since() == ["monitor july.csv", "retrain --push"]
    loop.look()
    again = watcher(tmp_path, calls)
    for _ in range(2):
        again.look()
    assert calls.since() == ["retrain --push"], "a restart remembers"
    file.write_text("x\n1\n2\n", encoding="utf-8")
    for _ in range(2):
        again.look()
    assert calls.since() == ["monitor july.csv", "retrain --push"], "it was replaced"


def test_commits_of_others_are_pulled_and_imports_looked_at(
    tiny_project: Tiny,
    origin: Path,
    tmp_path: Path,
    calls: Calls,
    capfd: pytest.CaptureFixture[str],
) -> None:
    project, branch = tiny_project, tiny_project.git("branch", "--show-current")
    project.git("remote", "add", "origin", str(origin))
    project.git("push", "--quiet", "--set-upstream", "origin", branch)
    loop = Watcher(project.path, Plan([], 1, 3600, 0, ("origin", branch)), calls)
    loop.look()
    loop.look()
    assert calls.since() == ["retrain"], "the project has what its remote has"

    other = tmp_path / "other"
    project.git("clone", "--quiet", str(origin), str(other))
    project.git("-C", str(other), "commit", "--quiet", "--allow-empty", "--message", "theirs")
    project.git("-C", str(other), "push", "--quiet")
    loop.look()
    loop.look()
    assert calls.since() == ["pull", "retrain"], "once"
    calls.fails = "pull"
    again = Watcher(project.path, Plan([], 1, 3600, 0, ("origin", branch)), calls)
    again.look()
    again.look()
    assert calls.since() == ["pull", "retrain"], "at the start, as always; not after a refusal"
    calls.fails = ""

    # Data of another repository, which DVC imports, and which has moved on.
    dep = f"{{path: data, repo: {{url: '{other.as_posix()}', rev_lock: {'0' * 40}}}}}"
    pointer = project.path / "shared.dvc"
    pointer.write_text(f"frozen: true\ndeps: [{dep}]\nouts: [{{path: shared}}]\n", "utf-8")
    project.git("add", "--force", "shared.dvc")
    loop.look()
    loop.look()
    assert calls.since() == ["retrain"]

    capfd.readouterr()
    project.git("remote", "set-url", "origin", str(tmp_path / "gone"))
    loop.look()
    loop.look()
    assert calls.since() == [], "a remote that is away is no reason"
    assert capfd.readouterr().out.count("origin cannot be asked for new commits") == 1


def test_a_file_that_cannot_be_judged_keeps_no_other_from_it(tmp_path: Path, calls: Calls) -> None:
    (tmp_path / "new").mkdir()
    for name in ("bad.csv", "good.csv", ".hidden.csv", "notes.txt"):
        (tmp_path / "new" / name).write_text("x\n", encoding="utf-8")
    loop = watcher(tmp_path, calls)
    for _ in range(3):
        loop.look()
    assert calls.since() == [
        "retrain --push",
        *("monitor bad.csv good.csv", "monitor bad.csv", "monitor good.csv", "retrain --push"),
    ]
    loop = watcher(tmp_path, calls, every=0)
    for _ in range(2):
        loop.look()
    assert "monitor bad.csv" in calls.since(), "it is tried again when it is due"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM for a process to catch")
def test_it_can_be_stopped(tiny_published: Tiny) -> None:
    command = [sys.executable, "-m", "lockstep", "watch", "data", "--every", "1000"]
    env = {**tiny_published.env, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, cwd=tiny_published.path, env=env, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        told = [process.stdout.readline() for _ in range(2)]
        assert told[0] == "watching; Ctrl-C stops it\n"
        assert told[1].endswith("$ lockstep retrain\n")
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 130


def test_what_it_refuses(tiny_published: Tiny) -> None:
    code, output = tiny_published.answer("watch", "nowhere")
    assert (code, output.strip()) == (2, "error: there is no nowhere to watch")
