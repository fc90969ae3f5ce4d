"""Commands killed at random moments: the documented retry makes it as if nothing had happened.

`pytest tests/test_kills.py --kills 300 --kill-seed 7` kills more often, and at other moments.
"""

import json
import os
import random
import shlex
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import tiny
from forks import Ending, Forks, forks
from tiny import GLUE, Tiny

from lockstep.files import file_digest, read_yaml

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="forks, and sends POSIX signals"),
    pytest.mark.project,  # it lives in a tiny one, for as long as tests of whole ones do
]
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
METRICS = "metrics/metrics.json"
HERE = "--current-environment"


@pytest.fixture
def forked(clean_env: dict[str, str], tmp_path: Path) -> Iterator[Forks]:
    """Runs commands of which each would need seconds to start."""
    site, shims = tmp_path / "site", tmp_path / "bin"
    site.mkdir()
    shims.mkdir()
    path = list(sys.path)
    tiny.install(site)
    sys.path[:] = path
    shim = shims / "lockstep"  # which the stages of `dvc repro` run
    shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m lockstep "$@"\n')
    shim.chmod(0o755)
    paths = [str(GLUE / "src"), str(GLUE.parent.parent.parent / "tests"), str(site)]
    env = {
        **clean_env,
        "PYTHONPATH": os.pathsep.join(paths),
        "PATH": f"{shims}{os.pathsep}{clean_env['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with forks(env, tmp_path / "log") as made:
        yield made


class Life:
    """A project in which commands are killed.

    Attributes:
        story: What happened, for the report of a failure.
    """

    def __init__(self, project: Tiny, forked: Forks, chance: random.Random) -> None:
        self.project, self.story = project, list[str]()
        self._forked, self._chance = forked, chance
        self._seconds: dict[str, float] = {}  # how long each command took when nothing killed it
        self._error = 1.0

    def another_state(self) -> None:
        """Another result, as if the evaluation had come to it."""
        self._error *= 0.99
        path, lock = self.project.path / METRICS, self.project.path / "dvc.lock"
        before = file_digest(path)
        metrics = json.loads(path.read_text())
        path.write_text(json.dumps({**metrics, "mean_absolute_error": self._error}))
        lock.write_text(lock.read_text().replace(before, file_digest(path)))

    def kill(self, *command: str, codes: tuple[int, ...] = (0,)) -> None:
        """Kill a command at a random moment, retry it, and look at what is there."""
        number = self._chance.choice(SIGNALS)
        delay = self._chance.uniform(0.0, self._seconds.get(command[1], 1.0))
        killed = self._forked.run(self.project.path, *command, kill=(number, delay))
        self._tell(command, killed, f"{number.name} after {delay:.3f} s")
        again = self._forked.run(self.project.path, *command)
        self._tell(command, again, "again")
        if again.code not in codes:
            self._follow_the_doctor()
            again = self._forked.run(self.project.path, *command)
            self._tell(command, again, "after the doctor's cures")
        self._seconds[command[1]] = again.seconds
        assert again.code in codes, self.report()
        assert "Traceback" not in again.output, self.report()
        self.look()

    def look(self) -> None:
        """Assert that MLflow, DVC and git are as if nothing had been killed."""
        with closing(sqlite3.connect(self.project.path / "mlflow.db")) as store:
            states = store.execute(
                "select tags.value, runs.status from runs join tags using (run_uuid)"
                " where tags.key = 'lockstep.state' and runs.lifecycle_stage = 'active'"
            ).fetchall()
            unended = store.execute("select name from runs where status = 'RUNNING'").fetchall()
            champion = store.execute(
                "select version from registered_model_aliases where alias = 'champion'"
            ).fetchall()
            history = store.execute(
                "select value from registered_model_tags where key like '%champion%'"
            ).fetchall()
            versions = store.execute(
                "select value, count(*) from model_version_tags where key = 'lockstep.state'"
                " group by value having count(*) > 1"
            ).fetchall()
        finished = [state for state, status in states if status == "FINISHED"]
        assert len(finished) == len(set(finished)), self.report()
        assert unended == [], self.report()
        assert versions == [], self.report()
        assert [str(number) for (number,) in champion] == [
            text.split()[-1] for (text,) in history
        ], self.report()
        for name in ("dvc.lock", "params.yaml", "composed.yaml"):
            assert read_yaml(self.project.path / name), self.report()
        for command in (
            ["dvc", "status", "--quiet"],
            ["lockstep", "doctor", "--only", "leftovers"],
        ):
            ending = self._forked.run(self.project.path, *command)
            self._tell(command, ending, "")
            assert ending.code in (0, 1), self.report()
        assert "failed" not in ending.output, self.report()
        changed = self.project.git("status", "--porcelain")
        assert not [line for line in changed.splitlines() if "draft" in line], changed

    def report(self) -> str:
        """What happened."""
        return "\n".join(self.story[-8:])

    def _follow_the_doctor(self) -> None:
        doctor = ("lockstep", "doctor", "--only", "leftovers", "--json")
        ending = self._forked.run(self.project.path, *doctor)
        (found,) = json.loads(ending.output[ending.output.index("{") :])["checks"]
        for cure in found["cure"]:
            self.story.append(f"$ {cure}")
            words = shlex.split(cure.removeprefix("uv run "))
            if words[0] in ("dvc", "lockstep"):
                self._tell(words, self._forked.run(self.project.path, *words), "a cure")
            else:
                subprocess.run(words, cwd=self.project.path, check=False)

    def _tell(self, command: tuple[str, ...] | list[str], ending: Ending, what: str) -> None:
        self.story.append(
            f"$ {shlex.join(command)}  # {what}: {ending.code}, {ending.seconds:.2f} s\n"
            + ending.output
        )


def commands(life: Life, chance: random.Random) -> Iterator[tuple[str, ...]]:
    """Random commands, with what makes each of them have something to do."""
    project = life.project
    while True:
        kind = chance.choice(
            ["publish"] * 4 + ["promote"] * 3 + ["compose", "rollback", "all", "models", "trace"]
            + ["doctor", "push", "stage", "repro", "checkout"]
        )  # fmt: skip
        if kind == "publish":
            life.another_state()
            yield ("lockstep", "publish")
        elif kind == "all":
            for _ in range(2):
                life.another_state()
                project.commit()
            yield ("lockstep", "publish", "--all")
        elif kind == "promote":
            yield ("lockstep", "promote", str(chance.choice([1, 2])), "--force", "--reason", "it")
        elif kind == "rollback":
            yield ("lockstep", "rollback")
        elif kind == "compose":
            rows = chance.choice(["rows: 3", "rows: 4"])
            project.write("conf/data/default.yaml", f"target: y\n{rows}\n")
            yield ("lockstep", "compose", "--force")
        elif kind == "push":
            life.another_state()
            project.commit()
            yield ("lockstep", "push")
        elif kind == "stage":
            yield (
                "lockstep",
                "run",
                "toy.split",
                "data/raw.csv",
                "data/train.csv",
                "data/test.csv",
            )
        elif kind == "repro":
            yield ("dvc", "repro", "--force", "--single-item", "split")
        elif kind == "checkout":
            yield ("lockstep", "reproduce", "main", HERE, "--checkout-only")
            for line in project.git("worktree", "list", "--porcelain").splitlines():
                path = line.partition("worktree ")[2]
                if path and Path(path) != project.path:
                    project.git("worktree", "remove", "--force", path)
        elif kind == "trace":
            yield ("lockstep", "trace", "models/model.joblib")
        else:
            yield ("lockstep", kind)


def test_commands_killed_at_random_moments(
    tiny_rivals: Tiny, forked: Forks, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kills, seed = request.config.getoption("--kills"), request.config.getoption("--kill-seed")
    project = tiny_rivals
    (tmp_path / "storage").mkdir(exist_ok=True)
    project.git("init", "--quiet", "--bare", str(tmp_path / "origin.git"))
    project.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    chance = random.Random(seed)  # noqa: S311
    life = Life(project, forked, chance)
    life.look()
    for _, command in zip(range(kills), commands(life, chance), strict=False):
        # The doctor's answer depends on the machine; the first champion has none before it.
        may_refuse = command[1] in ("doctor", "rollback")
        life.kill(*command, codes=(0, 1, 2) if may_refuse else (0,))
