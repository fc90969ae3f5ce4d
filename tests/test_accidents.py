"""Commands that are killed, have no room on the disk, or may not write there.

The documented retry makes it as if nothing had happened. `make nightly` has 300 accidents, to all
kinds of commands. `pytest tests/test_accidents.py --accidents 300 --accident-seed 7` has others;
`--accidents-of sweep,retrain` has them happen to these commands only.
"""

import contextlib
import json
import os
import random
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import windows
from forks import PATIENCE, Ending, Forks, forks
from servers import Server, Servers, mlflow
from tiny import GLUE, Tiny

from lockstep.files import file_digest, read_yaml

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="forks, and sends POSIX signals"),
    pytest.mark.project,  # it lives in a tiny one, for as long as tests of whole ones do
]
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
METRICS = "metrics/metrics.json"
HERE = "--current-environment"
MOUNTS = sys.platform == "linux" and os.geteuid() == 0  # only root can mount a small disk
ROOM = (0, 10_000, 100_000, 500_000)  # bytes on a full disk
WINDOW = 150  # rows of new data
NIGHTLY = 100  # from this number on, commands that take seconds are among them
QUERIES = {
    "states": "select tags.value, runs.status from runs join tags using (run_uuid)"
    " where tags.key = 'lockstep.state' and runs.lifecycle_stage = 'active'",
    "running": "select name from runs where status = 'RUNNING'",
    "champion": "select version from registered_model_aliases where alias = 'champion'",
    "history": "select value from registered_model_tags where key like '%champion%'",
    "twice": "select value, count(*) from model_version_tags join model_versions"
    " using (name, version) where key = 'lockstep.state'"
    " and current_stage != 'Deleted_Internal' group by value having count(*) > 1",
}


@pytest.fixture(scope="module")
def forking(clean_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Runs commands of which each would need seconds to start."""
    folder = tmp_path_factory.mktemp("forks")
    site, shims = folder / "site", folder / "bin"
    site.mkdir()
    shims.mkdir()
    path = list(sys.path)
    tiny.install(site)
    sys.path[:] = path
    paths = [str(GLUE / "src"), str(GLUE.parent.parent.parent / "tests"), str(site)]
    shim = shims / "lockstep"  # which the stages of `dvc repro` run
    found = f"PYTHONPATH={shlex.quote(os.pathsep.join(paths))}"  # which a rebuild starts without
    shim.write_text(f'#!/bin/sh\n{found} exec {shlex.quote(sys.executable)} -m lockstep "$@"\n')
    shim.chmod(0o755)
    env = {
        **clean_env,
        "PYTHONPATH": os.pathsep.join(paths),
        "PATH": f"{shims}{os.pathsep}{clean_env['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",  # threads that wait for each other take long beside other tests
    }
    with forks(env, folder / "log") as made:
        yield made


@pytest.fixture
def forked(forking: Forks) -> Forks:
    """The same, without variables of the test before."""
    forking.env = {}
    return forking


class Life:
    """A project in which accidents happen.

    Attributes:
        number: How many accidents there were.
        start: A commit whose results a rebuild finds again.
    """

    def __init__(self, project: Tiny, forked: Forks, chance: random.Random) -> None:
        self.project, self.chance, self.number = project, chance, 0
        self.start = project.git("rev-parse", "HEAD")
        self._forked, self._story = forked, list[str]()
        self._seconds: dict[str, float] = {}  # how long each kind took when nothing killed it
        self._error = 1.0

    def another_state(self) -> None:
        """Another result, as if the evaluation had come to it."""
        self._error *= 0.99
        path, lock = self.project.path / METRICS, self.project.path / "dvc.lock"
        before = file_digest(path)
        metrics = json.loads(path.read_text())
        path.write_text(json.dumps({**metrics, "mean_absolute_error": self._error}))
        lock.write_text(lock.read_text().replace(before, file_digest(path)))

    def commit(self) -> None:
        """Commit what has changed, if anything has."""
        if self.project.git("status", "--porcelain"):
            self.project.commit()

    def act(self, kind: str, accident: "Accident") -> None:
        """Let something happen to a command of a kind, retry it, and look at what is there."""
        self.number, started = self.number + 1, time.monotonic()
        act = ACTS[kind](self)
        command = next(act)
        accident(self, command, self._seconds.get(kind, 1.0))
        again = self._retry(command)
        self._seconds[kind] = again.seconds
        assert again.code in command.codes, self.report()
        for _ in act:  # what a user does next
            pass
        self.look()
        seconds = time.monotonic() - started
        print(f"{self.number} {accident.__name__}: {kind}, {seconds:.1f} s", flush=True)

    def run(self, *words: str, kill: tuple[signal.Signals, float] | None = None) -> Ending:
        """Run a command, which must not end in a traceback unless it is killed."""
        ending = self._forked.run(self.project.path, *words, kill=kill)
        how = f"{kill[0].name} after {kill[1]:.3f} s: " if kill else ""
        told = f"{how}{ending.code}, {ending.seconds:.2f} s\n{ending.output}"
        self._story.append(f"$ {shlex.join(words)}  # {told}")
        # A stage's own code may end in a traceback.
        is_ours = words[0] == "lockstep" and words[1] != "run"
        assert kill or not is_ours or "Traceback" not in ending.output, self.report()
        return ending

    def at_once(self, *commands: Sequence[str]) -> list[Ending]:
        """Run several commands at the same time; none may end in a traceback."""
        endings = self._forked.at_once(self.project.path, *commands)
        for words, ending in zip(commands, endings, strict=True):
            self._story.append(f"$ {shlex.join(words)} &  # {ending.code}\n{ending.output}")
            assert "Traceback" not in ending.output, self.report()
        return endings

    def look(self, store_path: Path | None = None) -> None:
        """Assert that MLflow, DVC and git are as if nothing had happened."""
        store_path = store_path or self.project.path / "mlflow.db"
        with contextlib.closing(sqlite3.connect(store_path)) as store:
            found = {name: store.execute(query).fetchall() for name, query in QUERIES.items()}
        finished = [state for state, status in found["states"] if status == "FINISHED"]
        assert len(finished) == len(set(finished)), self.report()
        assert found["running"] == [], f"{found['running']}\n{self.report()}"
        assert found["twice"] == [], self.report()
        champions = [str(number) for (number,) in found["champion"]]
        assert champions == [text.split()[-1] for (text,) in found["history"]], self.report()
        for name in ("dvc.lock", "params.yaml", "composed.yaml"):
            assert read_yaml(self.project.path / name), self.report()
        assert self.run("dvc", "status", "--quiet").code in (0, 1), self.report()
        doctor = self.run("lockstep", "doctor", "--only", "leftovers")
        assert "failed" not in doctor.output, self.report()
        changed = self.project.git("status", "--porcelain")
        assert not [line for line in changed.splitlines() if "draft" in line], changed

    def report(self) -> str:
        """What happened."""
        return f"round {self.number}\n" + "\n".join(self._story[-8:])

    def _retry(self, command: "Command") -> Ending:
        """Do what the documentation says: the same again, what a message names, the doctor."""
        retries = command.retries or [command.words]
        for words in [] if command.waits else retries:
            again = self._patiently(*words)
            if again.code in command.codes:
                return again
            if said := re.search("(if that was killed: |remove it with `)([^`\n]*)", again.output):
                self._do(said[2])
        for cure in self._cures():
            self._do(cure)
        return self._patiently(*retries[-1])

    def _patiently(self, *words: str) -> Ending:
        """Run a command again while the worker of a killed queue, which lives on, has the lock."""
        deadline = time.monotonic() + PATIENCE
        while True:
            ending = self.run(*words)
            if "Unable to acquire lock" not in ending.output or time.monotonic() > deadline:
                return ending

    def _cures(self) -> list[str]:
        ending = self.run("lockstep", "doctor", "--only", "leftovers", "--json")
        (found,) = json.loads(ending.output[ending.output.index("{") :])["checks"]
        return list(found["cure"])

    def _do(self, line: str) -> None:
        self._story.append(f"$ {line}")
        words = shlex.split(line.removeprefix("uv run "))
        if words[0] in ("dvc", "lockstep"):
            self.run(*words)
        else:
            subprocess.run(words, cwd=self.project.path, check=False, capture_output=True)


@dataclass(frozen=True)
class Command:
    """A command to kill.

    Attributes:
        retries: What completes it; the first that succeeds does. By default the same command.
        codes: Those of success.
        reads: Whether it only reads.
        waits: Whether it would wait for the killed one for ever, so that the doctor is asked first.
    """

    words: Sequence[str]
    retries: Sequence[Sequence[str]] = ()
    codes: tuple[int, ...] = (0,)
    reads: bool = False
    waits: bool = False


Act = Iterator[Command]
Accident = Callable[[Life, Command, float], None]


def kill(life: Life, command: Command, seconds: float) -> None:
    """Kill it at a random moment of the seconds that it takes."""
    life.run(*command.words, kill=(life.chance.choice(SIGNALS), life.chance.uniform(0.0, seconds)))


def fill_the_disk(life: Life, command: Command, seconds: float) -> None:
    """Run it with little room left on the disk."""
    del seconds
    filling, left = life.project.path.parent / "filling", life.chance.choice(ROOM)
    with contextlib.suppress(OSError):  # a worker of DVC's queue may take the last bytes first
        filling.write_bytes(bytes(max(shutil.disk_usage(filling.parent).free - left, 0)))
    life.run(*command.words)
    filling.unlink(missing_ok=True)


def forbid_writing(life: Life, command: Command, seconds: float) -> None:
    """Run it where nothing can be written, which fails unless it only reads."""
    del seconds
    disk = life.project.path.parent
    deadline = time.monotonic() + PATIENCE
    while subprocess.run(["mount", "-o", "remount,ro", disk], check=False).returncode:
        assert time.monotonic() < deadline, "something writes, though a worker of a queue ends"
        time.sleep(0.5)
    ending = life.run(*command.words)
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    if command.words[1] != "push":  # which writes elsewhere
        done = ending.code in command.codes if command.reads else ending.code != 0
        assert done, life.report()


def publish(life: Life) -> Act:
    life.another_state()
    yield Command(["lockstep", "publish"])


def publish_all(life: Life) -> Act:
    for _ in range(2):
        life.another_state()
        life.project.commit()
    yield Command(["lockstep", "publish", "--all"])


def promote(life: Life) -> Act:
    number = str(life.chance.choice([1, 2]))
    yield Command(["lockstep", "promote", number, "--force", "--reason", "it"])


def rollback(life: Life) -> Act:
    yield Command(["lockstep", "rollback"], codes=(0, 2))  # the first champion has none before it


def compose(life: Life) -> Act:
    rows = life.chance.choice([300, 350])
    life.project.edit("conf/data/default.yaml", "rows: 400", f"rows: {rows}")
    yield Command(["lockstep", "compose", "--force"])
    life.project.edit("conf/data/default.yaml", f"rows: {rows}", "rows: 400")
    assert life.run("lockstep", "compose", "--force").code == 0, life.report()


def push(life: Life) -> Act:
    life.another_state()
    life.project.commit()
    yield Command(["lockstep", "push"])


def pull(life: Life) -> Act:
    life.another_state()
    head = life.project.commit()
    assert life.run("lockstep", "push").code == 0, life.report()
    life.project.git("reset", "--quiet", "--hard", "HEAD~1")
    yield Command(["lockstep", "pull"])
    assert life.project.git("rev-parse", "HEAD") == head, life.report()


def stage(life: Life) -> Act:
    places = ["data/raw.csv", "data/train.csv", "data/test.csv"]
    yield Command(["lockstep", "run", "toy.split", *places])


def one_stage(life: Life) -> Act:
    yield Command(["dvc", "repro", "--force", "--single-item", "split"])


def pipeline(life: Life) -> Act:
    """Another model, by hand; then back to the first one."""
    life.project.edit("conf/model/linear.yaml", "positive: false", "positive: true")
    yield Command(["dvc", "repro"])
    life.project.git("checkout", "--quiet", "conf")
    assert life.run("dvc", "repro").code == 0, life.report()
    life.commit()


def experiment(life: Life) -> Act:
    """An experiment in the workspace; then back to the state before."""
    life.commit()
    rows = f"data.rows={200 + life.number}"
    yield Command(["dvc", "exp", "run", "-S", rows])
    life.project.git("reset", "--quiet", "--hard")
    assert life.run("dvc", "checkout", "--quiet").code == 0, life.report()


def temporary_experiment(life: Life) -> Act:
    yield Command(["dvc", "exp", "run", "--temp", "-S", f"data.rows={200 + life.number}"])


def queue(life: Life) -> Act:
    yield Command(["dvc", "exp", "run", "--queue", "-S", f"data.rows={200 + life.number}"])


def queued_experiments(life: Life) -> Act:
    life.run("dvc", "exp", "run", "--queue", "-S", f"data.rows={200 + life.number}")
    yield Command(["dvc", "exp", "run", "--run-all"], waits=True)


def sweep(life: Life) -> Act:
    name = f"sweep.name=s{life.number}"
    words = ["lockstep", "sweep", "model.positive=choice(true,false)", name]
    yield Command(words, [["lockstep", "sweep", "--resume", name], words])


def retrain(life: Life) -> Act:
    life.commit()
    yield Command(["lockstep", "retrain", "--force"], codes=(0, 1))


def reproduce(life: Life) -> Act:
    yield Command(["lockstep", "reproduce", life.start, HERE])


def checkout(life: Life) -> Act:
    yield Command(["lockstep", "reproduce", "main", HERE, "--checkout-only"])
    for line in life.project.git("worktree", "list", "--porcelain").splitlines():
        path = line.partition("worktree ")[2]
        if path and Path(path) != life.project.path:
            life.project.git("worktree", "remove", "--force", path)


def predict(life: Life) -> Act:
    made = f"new/predicted-{life.number}.csv"
    yield Command(["lockstep", "predict", "new/rows.csv", made])
    (path,) = (life.project.path / "new").glob("predicted*")
    assert len(path.read_text().splitlines()) == WINDOW + 1, life.report()
    path.unlink()


def monitor(life: Life) -> Act:
    windows.save(life.project, f"{life.number}.csv", windows.line(WINDOW, seed=life.number))
    yield Command(["lockstep", "monitor", f"new/{life.number}.csv"], codes=(0, 1))


def reading(*words: str, codes: tuple[int, ...] = (0,)) -> Callable[[Life], Act]:
    """An act that only reads."""
    return lambda life: iter([Command(words, codes=codes, reads=True)])


def report(life: Life) -> Act:
    yield Command(["lockstep", "report", "champion", "--output", "reports/page.html"])
    assert (life.project.path / "reports/page.html").read_text().endswith("</html>\n")


ACTS: dict[str, Callable[[Life], Act]] = {
    "publish": publish,
    "publish --all": publish_all,
    "promote": promote,
    "rollback": rollback,
    "compose": compose,
    "push": push,
    "pull": pull,
    "run": stage,
    "repro one": one_stage,
    "repro": pipeline,
    "exp": experiment,
    "exp --temp": temporary_experiment,
    "queue": queue,
    "queue start": queued_experiments,
    "sweep": sweep,
    "retrain": retrain,
    "reproduce": reproduce,
    "checkout": checkout,
    "predict": predict,
    "monitor": monitor,
    "report": report,
    "models": reading("lockstep", "models"),
    "trace": reading("lockstep", "trace", "models/model.joblib"),
    "doctor": reading("lockstep", "doctor", codes=(0, 1, 2)),  # depends on the machine
}
# Those that start other processes take seconds; a few rounds leave them out.
SLOW = ("repro", "exp", "exp --temp", "queue start", "sweep", "retrain", "reproduce")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk, where one can be made."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if MOUNTS:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", folder], check=True)
    yield folder
    if MOUNTS:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_commands_that_accidents_happen_to(
    watched_once: Tiny, forked: Forks, disk: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    option = request.config.getoption
    rounds, chance = option("--accidents"), random.Random(option("--accident-seed"))  # noqa: S311
    quick = [kind for kind in ACTS if kind not in SLOW]
    kinds = option("--accidents-of").split(",") if option("--accidents-of") else quick
    if rounds >= NIGHTLY and kinds == quick:
        kinds = [*ACTS]
    project = watched_once.copy(disk)
    windows.save(project, "rows.csv", windows.line(WINDOW, seed=1))
    project.write(".gitignore", project.path.joinpath(".gitignore").read_text() + "/new/\n")
    project.git("init", "--quiet", "--bare", str(tmp_path / "origin.git"))
    project.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    life = Life(project, forked, chance)
    life.another_state()
    project.commit()
    for first in (["lockstep", "publish"], ["lockstep", "push"]):  # a second version to promote
        assert life.run(*first).code == 0, life.report()
    life.look()
    accidents = [kill, kill, fill_the_disk, kill, kill, forbid_writing] if MOUNTS else [kill]
    for number in range(rounds):
        # Each kind in turn, so that none is left out, in an order of chance.
        if number % len(kinds) == 0:
            chance.shuffle(kinds)
        life.act(kinds[number % len(kinds)], accidents[number % len(accidents)])


ALL = ("lockstep", "publish", "--all")


def states(life: Life) -> int:
    """Make three commits with other results, and keep their number."""
    for _ in range(3):
        life.another_state()
        life.project.commit()
    return 3


def published(database: Path) -> int:
    """The number of finished runs."""
    with contextlib.closing(sqlite3.connect(database)) as store:
        (count,) = store.execute("select count(*) from runs where status = 'FINISHED'").fetchone()
    return int(count)


def test_commands_at_once(tiny_rivals: Tiny, forked: Forks) -> None:
    life = Life(tiny_rivals, forked, random.Random(0))  # noqa: S311
    store = tiny_rivals.path / "mlflow.db"
    life.another_state()
    endings = life.at_once(*[["lockstep", "publish"]] * 10)
    assert [ending.code for ending in endings] == [0] * 10, life.report()
    assert sum(ending.output.startswith("published") for ending in endings) == 1, life.report()
    life.look()
    before = published(store)
    force = ["--force", "--reason", "it"]
    promotes = [["lockstep", "promote", number, *force] for number in ("1", "2", "3")]
    codes = [ending.code for ending in life.at_once(*promotes)]
    assert set(codes) <= {0, 1}, life.report()  # 1: the champion changed meanwhile
    assert 0 in codes, life.report()
    life.look()
    made = states(life)
    assert {ending.code for ending in life.at_once(ALL, ALL)} == {0}, life.report()
    life.look()
    # The state of before was committed with the first of these.
    assert published(store) == before + made


def test_a_server_that_restarts_while_two_publish_all_and_loses_what_they_did(
    tiny_rivals: Tiny, forked: Forks, servers: Servers, empty_store: Path, tmp_path: Path
) -> None:
    place = SimpleNamespace(bin=Path(sys.executable).parent, environment=dict(os.environ))
    database = tmp_path / "server.db"
    shutil.copy(empty_store, database)
    server = servers.add(
        mlflow(servers, place, "--backend-store-uri", f"sqlite:///{database}")  # type: ignore[arg-type]
    )
    forked.env = {"MLFLOW_TRACKING_URI": server.url}
    life = Life(tiny_rivals, forked, random.Random(0))  # noqa: S311
    made = 2 + states(life)
    watcher = threading.Thread(target=restart_once, args=(server, database))
    watcher.start()
    life.at_once(ALL, ALL)
    watcher.join()
    assert life.run(*ALL).code == 0, life.report()
    life.look(database)
    assert published(database) == made
    for delete, words in DELETIONS:
        lose(server.url, delete)
        restored = life.run("lockstep", *words)
        assert restored.code == 0, life.report()
        life.look(database)
        lose(server.url, lambda client, run: None)  # all of it is there
        assert published(database) == made, life.report()


DELETIONS: list[tuple[Callable[[Any, Any], object], list[str]]] = [
    (lambda client, run: client.delete_run(run.info.run_id), ["publish"]),
    (lambda client, run: client.delete_registered_model("toy"), ["publish"]),
    (lambda client, run: client.delete_model_version("toy", newest(client).version), ["publish"]),
    (lambda client, run: client.delete_experiment(run.info.experiment_id), ["publish", "--all"]),
    (lambda client, run: files_of(run, client).delete_artifacts(), ["publish", "--all"]),
]


def lose(url: str, delete: Callable[[Any, Any], object]) -> None:
    """Delete something of the newest version's run on a server, which has all of it."""
    from mlflow import MlflowClient

    client = MlflowClient(url)
    run = client.get_run(newest(client).run_id)
    model = newest(client).source.removeprefix("models:/")
    assert (run.info.lifecycle_stage, run.info.status) == ("active", "FINISHED")
    assert "params.yaml" in {file.path for file in files_of(run, client).list_artifacts()}
    assert "MLmodel" in {file.path for file in client.list_logged_model_artifacts(model)}
    delete(client, run)


def newest(client: Any) -> Any:
    """The newest version."""
    return client.get_model_version_by_alias("toy", "challenger")


def files_of(run: Any, client: Any) -> Any:
    """The artifacts of a run."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(run.info.artifact_uri, client.tracking_uri)


def restart_once(server: Server, database: Path) -> None:
    """Restart a server as soon as it has a run."""
    deadline = time.monotonic() + PATIENCE
    while not published(database):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    server.stop(signal.SIGKILL)
    server.start()
