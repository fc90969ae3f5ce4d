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

    def __call__(self, words: Sequence[str]) -> int:
        self.made.append(" ".join(Path(word).name for word in words))
        return 2 if "bad.csv" in self.made[-1] else 0

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
