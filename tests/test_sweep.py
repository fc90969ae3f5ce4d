"""`lockstep sweep`: what is tried, what MLflow shows, what is kept, and how it goes on."""

import contextlib
import csv
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import optuna
import pytest

from lockstep import LockstepError
from lockstep.commands.sweep import _ended_properly, _score
from lockstep.project import Project as Workspace
from lockstep.sweep import connection, pool
from lockstep.sweep.connection import receive, send
from lockstep.sweep.engines import Ray, Slurm
from lockstep.sweep.engines.base import LOOPBACK
from lockstep.sweep.job import Address, Job
from lockstep.sweep.plan import Plan, _basis
from lockstep.sweep.pool import Pool
from lockstep.sweep.runs import SweepRuns
from lockstep.sweep.space import Space
from lockstep.sweep.study import (
    StorageAwayError,
    TakenOverError,
    TrialLog,
    counted_trials,
    open_storage,
)
from lockstep.sweep.trials import Trials
from lockstep.sweep.worker import report_values
from project import Project

QUICK = ("model=knn", "sweep.pruner=null")


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A config with two groups."""
    for option in ("model/knn", "model/forest", "model/forest_big", "split/random"):
        path = tmp_path / f"{option}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def drawn(conf: Path, lines: dict[str, Any], trials: int = 200) -> list[list[str]]:
    """The overrides of many trials."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = Space(lines, {"model": "knn"}, conf)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [space.draw(study.ask()) for _ in range(trials)]


def values(conf: Path, line: str) -> set[str]:
    return {override.partition("=")[2] for (override,) in drawn(conf, {"x": line})}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("choice(a,b)", {"a", "b"}),
        ("a,b", {"a", "b"}),
        ("null,3", {"null", "3"}),
        ("choice(true,'two words','1')", {"true", '"two words"', '"1"'}),
        ("choice([1,2],{a:1})", {"[1,2]", "{a:1}"}),
        ("range(2,5)", {"2", "3", "4"}),
        ("range(10,0,-5)", {"5", "10"}),
        ("range(0,1,0.5)", {"0.0", "0.5"}),
        ("int(interval(1,3))", {"1", "2", "3"}),
        ("tag(log,int(interval(1,3)))", {"1", "2", "3"}),
    ],
)
def test_hydra_s_grammar_says_what_is_tried(conf: Path, line: str, expected: set[str]) -> None:
    assert values(conf, line) == expected


def test_an_interval_is_tried_between_its_ends(conf: Path) -> None:
    plain = sorted(map(float, values(conf, "interval(0.001,1000)")))
    assert 0.001 <= plain[0] < plain[-1] <= 1000
    log = sorted(map(float, values(conf, "tag(log,interval(0.001,1000))")))
    assert 0.001 <= log[0] < log[-1] <= 1000
    assert plain[len(plain) // 2] > 100 > 10 > log[len(log) // 2], "orders of magnitude alike"


def test_what_belongs_to_an_option_is_tried_where_that_is_chosen(conf: Path) -> None:
    lines = {
        "model": "choice(knn,forest)",
        "split.size": "choice(1,2)",
        "model=knn": {"model.n": "range(1,3)"},
        "model=forest": {"model.trees": "range(3,5)", "model.n": "range(7,9)"},
    }
    seen = {tuple(re.sub(r"=.*", "", item) for item in trial) for trial in drawn(conf, lines)}
    assert seen == {
        ("model", "split.size", "model.n"),
        ("model", "split.size", "model.trees", "model.n"),
    }
    for model, *rest in drawn(conf, lines):
        number = int(rest[-1].partition("=")[2])
        assert number in ((1, 2) if model == "model=knn" else (7, 8))


def test_a_glob_tries_options(conf: Path) -> None:
    tried = {trial[0] for trial in drawn(conf, {"model": "glob(forest*)"})}
    assert tried == {"model=forest", "model=forest_big"}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ({"x": "range(5,5)"}, "x=range(5,5): it is empty"),
        ({"x": "interval(2,1)"}, "it ends before it starts"),
        ({"x": "tag(log,interval(0,1))"}, "has to start above 0"),
        ({"x": "tag(log,range(1,9,2))"}, "the step has to be 1"),
        ({"x": 3}, "x=3, which is one value"),
        ({"x": "choice("}, "not in Hydra's grammar"),
        ({"model": "choice(knn,forst)"}, "conf/model/ has no forst.*did you mean forest"),
        ({"model=kn": {"x": "a,b"}}, "conf/ has no model=kn.*did you mean knn"),
    ],
)
def test_what_cannot_be_tried_is_refused(conf: Path, lines: dict[str, Any], said: str) -> None:
    pattern = said if ".*" in said else re.escape(said)
    with pytest.raises(LockstepError, match=pattern):
        Space(lines, {"model": "knn"}, conf)


def test_a_metric_that_is_not_defined_fails_the_trial_with_the_reason() -> None:
    driver: Any = SimpleNamespace(ask=lambda message: True)
    with pytest.raises(LockstepError, match="value 1 is not a number"):
        report_values(driver, iter([0.5, float("nan")]))


def test_a_worker_stops_where_the_driver_has_seen_enough() -> None:
    values = iter([0.5, 0.25, 0.125])
    driver: Any = SimpleNamespace(ask=lambda message: message == ["value", 0, 0.5])
    report_values(driver, values)
    assert list(values) == [0.125]


Play = Callable[[Connection], None]


class Stage:
    """An engine whose workers are threads that a test plays."""

    threads = 1

    def __init__(self, *plays: Play) -> None:
        """Each worker in turn plays the next part."""
        self.plays = itertools.cycle(plays)
        self.actors: list[Actor] = []

    def host(self) -> str:
        return LOOPBACK

    def interface(self) -> str:
        return LOOPBACK

    def size(self) -> int:
        return 2

    def start(self, job: Job, log: Path) -> "Actor":
        self.actors.append(Actor(next(self.plays), job))
        return self.actors[-1]

    def close(self) -> None:
        pass


class Actor:
    """A worker in a thread."""

    def __init__(self, play: Play, job: Job) -> None:
        self.job, self.play = job, play
        self.stopped = False
        self.reason: str | None = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        if self.play is waits:
            return
        address = (self.job.driver.host, self.job.driver.port)
        try:
            with Client(address, authkey=self.job.driver.key.encode()) as driver:
                send(driver, self.job.worker)
                self.play(driver)
        except (EOFError, ConnectionError):  # the sweep ended
            pass
        except MemoryError as error:
            self.reason = str(error)

    def ended(self) -> bool:
        return self.play is not waits and not self.thread.is_alive()

    def failure(self) -> str | None:
        return self.reason

    def stop(self) -> None:
        self.stopped = True


def waits(driver: Connection) -> None:
    """For ever, in the queue of a cluster."""


def scores(driver: Connection) -> None:
    """Each trial with its own x, in two steps."""
    while (overrides := receive(driver)) is not None:
        x = float(overrides[0].partition("=")[2])
        for step, value in enumerate((x + 1, x)):
            send(driver, ["value", step, value])
            if not receive(driver):
                break
        send(driver, ["end", None])


def fails(driver: Connection) -> None:
    while receive(driver) is not None:
        send(driver, ["end", "ValueError: no such solver"])


def dies(driver: Connection) -> None:
    receive(driver)
    raise MemoryError("out of memory")


class Sweep:
    """A sweep without a project, whose workers a test plays."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.settings = {
            "n_trials": 3,
            "timeout": None,
            "metric": "neg_log_loss",
            "direction": None,
            "seed": 1,
            "sampler": {"_target_": "optuna.samplers.RandomSampler"},
            "pruner": None,
            **settings,
        }
        self.lines: list[str] = []

    @property
    def study(self) -> optuna.Study:
        """As another process reads it."""
        return optuna.load_study(study_name="x", storage=open_storage(self.storage))

    @property
    def storage(self) -> str:
        return str(self.folder / "journal.log")

    @property
    def plan(self) -> Plan:
        return Plan("x", [], [], {}, {}, self.settings, [], {"data": {}})

    def trials(self, study: optuna.Study | None = None) -> Trials:
        study = study or optuna.create_study(
            study_name="x", storage=open_storage(self.storage), load_if_exists=True
        )
        space = Space({"x": "interval(0,1)"}, {}, self.folder)
        return Trials(self.plan, space, TrialLog(study, "me"))

    def run(
        self,
        stage: Stage,
        study: optuna.Study | None = None,
        show: Callable[[Trials], None] = lambda trials: None,
    ) -> Trials:
        """Run it, or continue it."""
        trials = self.trials(study)

        def start(name: str, driver: Address) -> Actor:
            return stage.start(Job("", {}, "", driver, name, 1), self.folder)

        Pool(trials, stage, start, self.folder).work(2, lambda: show(trials), self.lines.append)
        return trials

    def states(self) -> list[str]:
        return [trial.state.name for trial in counted_trials(self.study.trials)]


def test_trials_are_scored_and_kept(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    trials = sweep.run(Stage(scores))
    assert sweep.states() == ["COMPLETE"] * 3
    for trial in sweep.study.trials:
        assert trial.intermediate_values == {0: trial.params["x"] + 1, 1: trial.params["x"]}
        assert trial.value == trial.params["x"]
        assert trial.user_attrs["overrides"] == [f"x={trial.params['x']!r}"]
        assert trial.user_attrs["worker"] in ("worker-0", "worker-1")
    assert trials.log.trials == sweep.study.trials
    assert sweep.lines == []


def test_one_worker_tries_the_same_again_and_a_continued_sweep_something_else(
    tmp_path: Path,
) -> None:
    tried = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        sweep = Sweep(tmp_path / name)
        sweep.run(Stage(scores, waits))
        tried.append([trial.params["x"] for trial in sweep.study.trials])
    assert tried[0] == tried[1]
    sweep.settings["n_trials"] = 6
    sweep.run(Stage(scores, waits))
    more = [trial.params["x"] for trial in sweep.study.trials]
    assert more[:3] == tried[0]
    assert len(set(more)) == 6


def test_a_trial_with_bad_first_values_is_stopped(tmp_path: Path) -> None:
    pruner = {"_target_": "optuna.pruners.ThresholdPruner", "upper": 1.5}
    sweep = Sweep(tmp_path, n_trials=20, pruner=pruner)
    sweep.run(Stage(scores))
    for trial in sweep.study.trials:
        pruned = trial.params["x"] > 0.5
        assert trial.state.name == ("PRUNED" if pruned else "COMPLETE")
        assert len(trial.intermediate_values) == (1 if pruned else 2)


def test_a_sampler_that_has_tried_everything_ends_the_sweep(tmp_path: Path) -> None:
    grid = {"_target_": "optuna.samplers.GridSampler", "search_space": {"x": [0.25, 0.5]}}
    sweep = Sweep(tmp_path, n_trials=20, sampler=grid)
    sweep.run(Stage(scores, waits))
    assert sorted(trial.params["x"] for trial in sweep.study.trials) == [0.25, 0.5]


@pytest.mark.parametrize("kind", ["sampler", "pruner"])
def test_a_sampler_or_pruner_that_does_not_exist_is_named(tmp_path: Path, kind: str) -> None:
    sweep = Sweep(tmp_path, **{kind: {"_target_": f"optuna.{kind}s.NoSuch"}})
    with pytest.raises(LockstepError, match="NoSuch cannot be created"):
        sweep.run(Stage(scores))


def test_no_trial_begins_after_the_timeout(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, timeout=0)
    sweep.run(Stage(scores))
    assert sweep.study.trials == []


def test_a_sweep_with_all_its_trials_does_not_wait_for_workers_in_a_queue(tmp_path: Path) -> None:
    stage = Stage(scores, waits)
    Sweep(tmp_path).run(stage)
    assert stage.actors[1].stopped


def test_a_sweep_in_which_every_trial_fails_ends(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, n_trials=1000)
    with pytest.raises(LockstepError, match=r"trials failed; the last one: .*no such solver"):
        sweep.run(Stage(fails))
    assert set(sweep.states()) == {"FAIL"}


@pytest.mark.parametrize("number", [3, 10])
def test_a_sweep_of_which_all_trials_fail_does_not_succeed(number: int, tmp_path: Path) -> None:
    shown = []
    sweep = Sweep(tmp_path, n_trials=number)
    with pytest.raises(LockstepError, match=f"all {number} trials failed"):
        sweep.run(Stage(fails), show=lambda trials: shown.append(len(trials.log.trials)))
    assert shown[-1] == number, "their reasons are printed"


def test_workers_that_die_in_turn_end_the_sweep(tmp_path: Path) -> None:
    """At each loss the other one has a trial on its way, and none ever ends."""
    sweep = Sweep(tmp_path)
    with pytest.raises(LockstepError, match="lost 3 times before a trial ended: out of memory"):
        sweep.run(Stage(dies))
    assert {trial.state.name for trial in sweep.study.trials} == {"FAIL"}
    assert sweep.states() == [], "lost ones do not count"


def test_a_lost_worker_is_replaced_and_its_trial_is_made_up_for(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    sweep.run(Stage(dies, waits, scores))
    assert sweep.lines == ["worker-0 is lost: out of memory; starting a replacement"]
    assert sweep.states() == ["COMPLETE"] * 3
    assert len(sweep.study.trials) == 4


def test_a_worker_that_hangs_without_a_connection_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "BROKEN_SECONDS", 0.1)
    end = threading.Event()

    def hangs(driver: Connection) -> None:
        receive(driver)
        driver.close()
        end.wait(60)

    sweep, stage = Sweep(tmp_path), Stage(hangs, waits, scores)
    sweep.run(stage)
    end.set()
    assert sweep.lines == ["worker-0 is lost: its connection broke; starting a replacement"]
    assert stage.actors[0].stopped


def test_strangers_do_not_disturb(tmp_path: Path) -> None:
    def with_strangers(driver: Connection) -> None:
        port = socket.fromfd(driver.fileno(), socket.AF_INET, socket.SOCK_STREAM).getpeername()[1]
        with socket.create_connection((LOOPBACK, port)) as stranger:
            stranger.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with pytest.raises(AuthenticationError):
            Client((LOOPBACK, port), authkey=b"guess")
        scores(driver)

    sweep = Sweep(tmp_path)
    sweep.run(Stage(with_strangers, waits))
    assert sweep.states() == ["COMPLETE"] * 3


def test_a_storage_that_is_away_for_a_while_costs_no_trial(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, n_trials=5)
    study = optuna.create_study(study_name="x", storage=open_storage(sweep.storage))
    add_trial, calls = study.add_trial, itertools.count()

    def interrupted(trial: optuna.trial.FrozenTrial) -> None:
        back = bool(sweep.lines)
        if back or next(calls) == 1:  # then the answer gets lost, not the trial
            add_trial(trial)
        if not back:
            raise optuna.exceptions.StorageInternalError from ConnectionError("it was restarted")

    study.add_trial = interrupted  # type: ignore[method-assign]
    sweep.run(Stage(scores), study)
    assert sweep.states() == ["COMPLETE"] * 5
    assert len({trial.params["x"] for trial in sweep.study.trials}) == 5
    (line,) = sweep.lines
    assert line.endswith("does not answer: it was restarted; trying again for 60 s")


def test_a_storage_that_stays_away_ends_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "STORAGE_SECONDS", 0.3)
    sweep = Sweep(tmp_path)
    study = optuna.create_study(study_name="x", storage=open_storage(sweep.storage))

    def full(trial: optuna.trial.FrozenTrial) -> None:
        raise OSError("no space left on device")

    study.add_trial = full  # type: ignore[method-assign]
    with pytest.raises(StorageAwayError, match="no space left"):
        sweep.run(Stage(scores), study)


def test_a_driver_writes_nothing_after_another_one_took_over(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)

    def hands_over(driver: Connection) -> None:
        TrialLog(sweep.study, "other")
        scores(driver)

    with pytest.raises(TakenOverError):
        sweep.run(Stage(hands_over, waits))
    assert sweep.study.trials == []


class Broken(optuna.pruners.BasePruner, optuna.samplers.RandomSampler):
    """A pruner and a sampler that fail."""

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        raise ValueError("there are no quartiles")

    def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        raise ImportError("there is no cmaes")


def test_a_pruner_that_fails_fails_the_trial(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, pruner={"_target_": f"{__name__}.Broken"})
    with pytest.raises(LockstepError, match="all 3 trials failed; the last one: the pruner failed"):
        sweep.run(Stage(scores))
    assert sweep.states() == ["FAIL"] * 3
    reasons = {trial.user_attrs["error"] for trial in sweep.study.trials}
    assert reasons == {"the pruner failed: ValueError: there are no quartiles"}
    assert sweep.lines == []


def test_a_sampler_that_fails_ends_the_sweep(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, sampler={"_target_": f"{__name__}.Broken"})
    with pytest.raises(LockstepError, match=r"Broken failed: ImportError: there is no cmaes"):
        sweep.run(Stage(scores))
    assert sweep.lines == [], "no worker is lost"


def test_a_worker_that_nobody_started_is_sent_away(tmp_path: Path) -> None:
    def with_unknown(driver: Connection) -> None:
        address = stage.actors[0].job.driver
        with Client((address.host, address.port), authkey=address.key.encode()) as unknown:
            send(unknown, "worker-7")
            with pytest.raises((EOFError, ConnectionError)):
                receive(unknown)
        scores(driver)

    sweep, stage = Sweep(tmp_path), Stage(with_unknown, waits)
    sweep.run(stage)
    assert sweep.states() == ["COMPLETE"] * 3


def test_a_silent_stranger_keeps_no_worker_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HANDSHAKE_SECONDS", 0.2)

    def after_stranger(driver: Connection) -> None:
        address = stage.actors[0].job.driver
        with socket.create_connection((address.host, address.port)) as stranger:
            Client((address.host, address.port), authkey=address.key.encode()).close()
            stranger.settimeout(60)
            while stranger.recv(1000):  # the challenge, then the end
                pass
        scores(driver)

    sweep, stage = Sweep(tmp_path), Stage(after_stranger, waits)
    sweep.run(stage)
    assert sweep.states() == ["COMPLETE"] * 3


def test_a_driver_that_does_not_answer_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HANDSHAKE_SECONDS", 0.2)
    with socket.create_server((LOOPBACK, 0)) as silent:
        address = Address(LOOPBACK, silent.getsockname()[1], "key")
        with pytest.raises(LockstepError, match=r"is not at .*: no answer within"):
            connection.Driver(address)


def test_workers_connect_to_the_host_of_the_settings() -> None:
    reception = connection.Reception("login.cluster", "", lambda worker: send(worker, "hello"))
    host, port, key = reception.address
    assert host == "login.cluster", "by which this machine may not know itself"
    with Client((LOOPBACK, port), authkey=key.encode()) as worker:
        assert receive(worker) == "hello"
    reception.close()


@pytest.mark.parametrize(("engine", "settings"), [("ray", {}), ("slurm", {"workers": 1})])
def test_a_host_of_the_settings_may_be_no_interface(
    engine: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("cluster", "sweep.engines.slurm"):
        monkeypatch.setattr(f"lockstep.{module}.import_engine", lambda *_: None)
    kind = {"ray": Ray, "slurm": Slurm}[engine]
    chosen = kind(host="login.cluster", **settings)
    assert (chosen.host(), chosen.interface()) == ("login.cluster", "")


def test_trials_that_run_when_a_sweep_ends_are_written_as_lost(tmp_path: Path) -> None:
    received, interrupted = threading.Event(), threading.Event()

    def is_slow(driver: Connection) -> None:
        receive(driver)
        received.set()
        interrupted.wait(60)

    def interrupt(trials: Trials) -> None:
        if received.is_set():
            raise KeyboardInterrupt

    sweep = Sweep(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        sweep.run(Stage(is_slow, waits), show=interrupt)
    assert [trial.user_attrs["lost"] for trial in sweep.study.trials] == [True]
    interrupted.set()


def test_a_full_disk_leaves_a_journal_that_can_be_read(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    sweep = Sweep(tmp_path)
    trials = sweep.trials()
    draw_and_end(trials)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path(sweep.storage).stat().st_size + 100, hard))
    try:
        draw_and_end(trials)
        with pytest.raises(StorageAwayError):
            trials.log.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert len(sweep.study.trials) == 1
    trials.log.save()
    draw_and_end(trials)
    assert trials.log.is_saved
    assert sweep.states() == ["COMPLETE"] * 3


def test_a_journal_whose_writer_was_killed_is_continued(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    draw_and_end(sweep.trials())
    with Path(sweep.storage).open("ab") as stream:
        stream.write(b'{"op_code":4,"worker_id":"' + b"0" * 5000)
    draw_and_end(sweep.trials())
    assert sweep.states() == ["COMPLETE"] * 2


def draw_and_end(trials: Trials) -> None:
    """Score a trial without a worker."""
    trial = trials.draw("worker-0")
    assert trial
    trials.report(trial, 0, 0.5)
    trials.end(trial, None)


def test_a_trial_that_is_added_while_others_are_saved_is_saved_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Sweep(tmp_path).trials().log

    class Late(list[optuna.trial.FrozenTrial]):
        def append(self, trial: optuna.trial.FrozenTrial) -> None:
            log.save()
            super().append(trial)

    monkeypatch.setattr(log, "_added", Late())
    log.add(optuna.trial.create_trial(value=1.0))
    assert not log.is_saved
    log.save()
    assert log.is_saved
    assert len(log.trials) == 1


def test_a_sweep_is_not_done_before_its_last_trial_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = Sweep(tmp_path, n_trials=1).trials()
    add, answers = trials.log.add, []

    def add_slowly(trial: optuna.trial.FrozenTrial) -> None:
        asks = threading.Thread(target=lambda: answers.append(trials.is_done()))
        asks.start()
        asks.join(0.2)
        assert True not in answers
        add(trial)

    monkeypatch.setattr(trials.log, "add", add_slowly)
    draw_and_end(trials)
    assert trials.is_done()


def test_data_is_known_by_its_hash_before_the_first_complete_run(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n"
        "  split: {cmd: x, outs: [train.csv]}\n"
        "  train: {cmd: x, deps: [train.csv], outs: [model]}\n"
        "  publish: {cmd: lockstep publish, deps: [model]}\n"
    )
    (tmp_path / "dvc.lock").write_text(
        "schema: '2.0'\nstages: {split: {cmd: x, outs: [{path: train.csv, md5: abc}]}}\n"
    )
    for name in ("uv.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    settings = {"stage": "train", "objective": {"_target_": "json.loads"}}
    basis = _basis(Workspace(tmp_path), settings, {}, ["train.csv"])
    assert basis["data"] == {"train.csv": "abc"}


def fake_runs(sweep: Sweep, trials: Trials, client: Any) -> SweepRuns:
    """Runs in a store that a test plays."""
    store: Any = SimpleNamespace(
        client=lambda: client,
        experiment_id=lambda client: "0",
        errors_explained=contextlib.nullcontext,
    )
    project: Any = SimpleNamespace(store=store)
    return SweepRuns(sweep.plan, trials.log._study, trials.log, project)


def test_a_storage_that_is_away_at_the_end_is_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise optuna.exceptions.StorageInternalError from ConnectionError("it was stopped")

    sweep = Sweep(tmp_path)
    runs = fake_runs(sweep, sweep.trials(), None)
    monkeypatch.setattr(runs, "_opened", lambda: None)
    monkeypatch.setattr(runs, "_finish", away)
    runs.finish("FINISHED")
    assert runs.trouble == "the sweep's storage does not answer: it was stopped"


def test_a_storage_that_is_away_at_the_start_leads_to_no_second_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = Sweep(tmp_path)
    trials = sweep.trials()
    client = mock.Mock()
    run = client.create_run.return_value
    run.info.run_id = "abc"
    runs = fake_runs(sweep, trials, client)
    monkeypatch.setattr(runs, "_tags", dict)
    monkeypatch.setattr(runs, "_known_children", lambda client: {})
    known = [None, run]
    monkeypatch.setattr("lockstep.mlflow.runs.active_run", lambda *_: known.pop(0))
    study: Any = trials.log._study
    with mock.patch.object(study, "set_user_attr", side_effect=OSError("no space left")):
        runs.finish("KILLED")
    assert runs.trouble == "the sweep's storage does not answer: no space left"
    runs._retry = 0.0
    runs.update()
    assert runs.trouble is None
    assert client.create_run.call_count == 1
    assert sweep.study.user_attrs["mlflow.run"] == "abc"


def test_a_sweep_with_nothing_left_needs_no_engine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = Sweep(tmp_path, n_trials=1)
    trials = sweep.trials()
    draw_and_end(trials)
    engine: Any = None
    runs: Any = None
    project: Any = SimpleNamespace(root=tmp_path, workspace=tmp_path)
    _score(trials, sweep.plan, engine, runs, project)
    assert "no trials left to score" in capsys.readouterr().out


def test_a_driver_that_was_taken_over_leaves_mlflow_alone() -> None:
    engine, runs = mock.Mock(), mock.Mock()
    with pytest.raises(TakenOverError), _ended_properly(engine, runs, ""):
        raise TakenOverError
    engine.close.assert_called_once()
    runs.finish.assert_not_called()


@pytest.fixture
def swept(first_result: Project, tmp_path: Path) -> Project:
    """A project whose pipeline has run, to be swept in a folder with an odd name."""
    return first_result.copy(tmp_path, "größe zwei")


def family(project: Project, name: str, **env: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The run of a sweep, and those of its trials."""
    runs = [run for run in project.runs(**env) if run["tags"].get("sweep") == name]
    (parent,) = (run for run in runs if "sweep.trial" not in run["tags"])
    children = [run for run in runs if run["tags"].get("mlflow.parentRunId") == parent["id"]]
    assert len(children) == len({run["tags"]["sweep.trial"] for run in children}), "each once"
    return parent, sorted(children, key=lambda run: int(run["tags"]["sweep.trial"]))


def journal(project: Project, name: str) -> optuna.Study:
    path = project.path / "sweeps" / name / "journal.log"
    return optuna.load_study(study_name=name, storage=open_storage(str(path)))


def wait_for_trials(project: Project, name: str, count: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if (project.path / "sweeps" / name / "journal.log").exists():
            with_study = [study for study in [journal_or_none(project, name)] if study]
            if with_study and sum(t.state.is_finished() for t in with_study[0].trials) >= count:
                return
        time.sleep(0.2)
    raise AssertionError(f"{name} has no {count} trials")


def journal_or_none(project: Project, name: str) -> optuna.Study | None:
    try:
        return journal(project, name)
    except KeyError:
        return None


def started(project: Project, *words: str, **env: str) -> "subprocess.Popen[str]":
    """A sweep on its way, in its own process group."""
    return subprocess.Popen(
        ["lockstep", "sweep", *words],
        cwd=project.path,
        env={**project.environment, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def workers_of(project: Project) -> list[int]:
    """The processes that work for a project."""
    import psutil

    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        if "lockstep.sweep.worker" in (process.info["cmdline"] or []):
            try:
                if process.cwd() == str(project.path):
                    found.append(process.info["pid"])
            except psutil.Error:
                continue
    return found


def test_a_sweep_is_a_family_of_runs_and_its_best_trial_comes_home(swept: Project) -> None:
    before = len(swept.runs())
    words = ["model=choice(knn,logistic)", "preprocess=onehot,ordinal", "sweep.name=both"]
    output = swept.run("lockstep", "sweep", *words, "sweep.n_trials=9")
    assert output.rstrip().endswith("lockstep sweep --apply best sweep.name=both")
    assert "Running stage" not in output, "the data was there"
    parent, children = family(swept, "both")
    assert len(children) == 9
    assert len(swept.runs()) == before + 10
    assert parent["status"] == "FINISHED"
    states = [run["tags"]["sweep.state"] for run in children]
    assert parent["metrics"]["trials.complete"] == states.count("COMPLETE")
    assert {run["status"] for run in children} <= {"FINISHED", "KILLED"}
    for run in children:
        knn = run["params"]["model"] == "knn"
        own = {"model.n_neighbors", "model.weights"} if knn else {"model.C", "model.class_weight"}
        assert set(run["params"]) == {"model", "preprocess"} | own
        folds = len(run["history"]["validation.accuracy"])
        assert folds == 5 if run["tags"]["sweep.state"] == "COMPLETE" else folds < 5
        assert "accuracy" not in run["metrics"], "that one is measured on the test rows"
    data = swept.path / "data/train.parquet"
    assert set(parent["inputs"]) == {"data/train.parquet"}
    assert parent["inputs"]["data/train.parquet"] in (swept.path / "dvc.lock").read_text(), data
    shown = swept.python(
        "import sys; from mlflow import MlflowClient; client = MlflowClient()\n"
        "print(*[item.path for item in client.list_artifacts(sys.argv[1])])\n"
        "print(open(client.download_artifacts(sys.argv[1], 'trials.csv')).read())",
        parent["id"],
    )
    assert "params.png" in shown
    assert "importance.png" in shown
    table = list(csv.DictReader(shown[shown.index("trial,") :].splitlines()))
    assert len(table) == 9
    best = max(
        (run for run in children if run["status"] == "FINISHED"),
        key=lambda run: (run["metrics"]["validation.accuracy"], -int(run["tags"]["sweep.trial"])),
    )
    assert parent["metrics"]["validation.accuracy"] == best["metrics"]["validation.accuracy"]

    more = swept.run("lockstep", "sweep", "--resume", "sweep.n_trials=11")
    assert "both: 2 workers" in more
    assert len(family(swept, "both")[1]) == 11

    swept.edit("conf/split/stratified.yaml", "test_size: 0.2", "test_size: 0.3")
    code, refused = swept.answer("lockstep", "sweep", "--resume", "sweep.n_trials=12")
    assert code == 2
    assert "started with different code, data or config" in refused
    assert "data.data/train.parquet" in refused
    swept.edit("conf/split/stratified.yaml", "test_size: 0.3", "test_size: 0.2")

    number = best["tags"]["sweep.trial"]
    name = f"both-{number}"
    mine = swept.path / f"conf/experiment/{name}.yaml"
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("seed: 3\n")
    code, refused = swept.answer("lockstep", "sweep", "--apply", number)
    assert code == 2
    assert f"conf/experiment/{name}.yaml already exists and is different" in refused
    assert mine.read_text() == "seed: 3\n"
    mine.unlink()
    output = swept.run("lockstep", "sweep", "--apply", number)
    assert f"$ dvc exp run --name {name}" in output
    won = swept.runs()[-1]
    assert won["tags"]["dvc.experiment"] == name
    assert won["name"].endswith(f" · {name}")
    assert won["tags"]["sweep.run"] == parent["id"]
    assert family_tag(swept, parent["id"], f"sweep.applied.{number}") == won["id"]
    traced = json.loads(swept.run("lockstep", "trace", name, "--json"))
    assert traced["id"] == won["id"], "not the trial of that name"
    assert traced["came_from"]["sweep"] == "both"
    for key, value in best["params"].items():
        if key not in ("model", "preprocess"):
            assert won["params"][key] == value
    target = {"knn": "KNeighborsClassifier", "logistic": "LogisticRegression"}
    assert won["params"]["model._target_"].endswith(target[best["params"]["model"]])
    assert name in swept.git("for-each-ref", "refs/exps", "--format", "%(refname:lstrip=-1)")
    swept.commit("the best of a sweep")
    assert swept.repro() == []

    code, output = swept.answer("lockstep", "reproduce", children[0]["id"])
    assert code == 2
    assert f"lockstep sweep --apply {children[0]['tags']['sweep.trial']}" in output


def family_tag(project: Project, run_id: str, tag: str) -> str:
    (run,) = (run for run in project.runs() if run["id"] == run_id)
    return str(run["tags"][tag])


def test_what_cannot_be_swept_is_refused_before_the_first_trial(swept: Project) -> None:
    for words, said in [
        (["model.max_dept=range(1,3)"], "did you mean model.max_features?"),
        (["model=dummy"], "nothing to try"),
        (["model=knn", "model.n_neighbors=int(interval(0,3))"], "conf.*not valid|n_neighbors"),
        (["split.seed=range(1,3)"], "the stage train does not read"),
        (["data.target=species,island"], "changes data: the stages before train"),
        (["split.test_size=0.4"], "set it in conf/ first"),
        (["sweep.n_trial=3"], "sweep.n_trial"),
        (["sweep/engine=slurm"], "uv sync --extra slurm"),
        (["--apply", "best"], "there is no sweep in sweeps/"),
        (["--resume"], "there is no sweep in sweeps/"),
    ]:
        code, output = swept.answer("lockstep", "sweep", *words)
        assert code == 2, output
        assert re.search(said, output), output
        assert "Traceback" not in output
    assert not (swept.path / "sweeps").exists()
    assert not [run for run in swept.runs() if "sweep" in run["tags"]]


def test_a_killed_worker_is_replaced_and_a_killed_sweep_goes_on(swept: Project) -> None:
    sweep = started(swept, *QUICK, "sweep.n_trials=1000", "sweep.name=long")
    assert sweep.stdout is not None
    wait_for_trials(swept, "long", 3)
    (swept.path / "conf" / "experiment").mkdir(exist_ok=True)
    (swept.path / "conf" / "experiment" / "idea.yaml").write_text("# meanwhile\n")
    os.kill(workers_of(swept)[0], signal.SIGKILL)
    said = "is lost: its process ended with -9; starting a replacement"
    assert any(said in line for line in sweep.stdout)
    sweep.kill()
    sweep.communicate()
    deadline = time.monotonic() + 120
    while workers_of(swept) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert workers_of(swept) == [], "they end with the one who asked"

    done = {trial.number for trial in journal(swept, "long").trials if trial.state.is_finished()}
    wanted = len(done) + 10
    swept.run("lockstep", "sweep", "--resume", f"sweep.n_trials={wanted}")
    parent, children = family(swept, "long")
    lost = [run for run in children if run["tags"].get("error") == "its worker was lost"]
    assert 1 <= len(lost) <= 3, "at most one for each worker that was lost"
    assert {run["status"] for run in lost} == {"FAILED"}
    assert len(children) == wanted + len(lost)
    assert {run["status"] for run in children if run not in lost} == {"FINISHED"}
    assert done <= {int(run["tags"]["sweep.trial"]) for run in children}
    assert parent["status"] == "FINISHED"

    sweep = started(swept, *QUICK, "sweep.n_trials=1000", "sweep.name=stopped")
    wait_for_trials(swept, "stopped", 2)
    sweep.send_signal(signal.SIGINT)
    output = sweep.communicate(timeout=300)[0]
    assert sweep.returncode == 130
    assert "to continue: uv run lockstep sweep --resume sweep.name=stopped" in output
    assert family(swept, "stopped")[0]["status"] == "KILLED"
    assert workers_of(swept) == []

    sweep = started(swept, *QUICK, "sweep.n_trials=1000", "sweep.name=at-once")
    wait_for_trials(swept, "at-once", 1)
    sweep.send_signal(signal.SIGINT)
    time.sleep(0.1)
    sweep.send_signal(signal.SIGINT)
    output = sweep.communicate(timeout=300)[0]
    assert sweep.returncode == 130
    assert "to continue: uv run lockstep sweep --resume sweep.name=at-once" in output
    assert "Traceback" not in output
    assert workers_of(swept) == []


def test_a_trial_that_crashes_is_recorded_and_the_sweep_goes_on(swept: Project) -> None:
    words = [*QUICK, "model.n_neighbors=choice(3,100000)", "sweep.n_trials=12"]
    output = swept.run("lockstep", "sweep", *words, "sweep.name=crash")
    assert re.search(r"trial \d+ failed \(model.n_neighbors=100000", output)
    _, children = family(swept, "crash")
    by_status = {
        status: [run for run in children if run["status"] == status]
        for status in ("FINISHED", "FAILED")
    }
    assert len(by_status["FINISHED"]) + len(by_status["FAILED"]) == 12
    assert {run["params"]["model.n_neighbors"] for run in by_status["FINISHED"]} == {"3"}
    assert {run["params"]["model.n_neighbors"] for run in by_status["FAILED"]} == {"100000"}
    assert all("n_neighbors" in run["tags"]["error"] for run in by_status["FAILED"])

    words = [*QUICK, "model.n_neighbors=choice(90000,100000)", "sweep.n_trials=50"]
    code, output = swept.answer("lockstep", "sweep", *words, "sweep.name=all")
    assert code == 2
    assert "trials failed; the last one: " in output
    assert family(swept, "all")[0]["status"] == "FAILED"


def test_a_server_that_is_away_costs_a_later_resume(swept: Project) -> None:
    away = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    # Its space has a key that conf/ leaves out.
    words = ["model=hist_gradient_boosting", "model.max_iter=5", "sweep.n_trials=6"]
    code, output = swept.answer("lockstep", "sweep", *words, "sweep.name=away", env=away)
    assert code == 0, output
    assert "MLflow does not show all trials" in output
    assert "lockstep sweep --resume" in output
    swept.run("lockstep", "sweep", "--resume")
    parent, children = family(swept, "away")
    assert parent["status"] == "FINISHED"
    assert {run["status"] for run in children} <= {"FINISHED", "KILLED"}
    assert len(children) == 6
    assert all("model.l2_regularization" in run["params"] for run in children)
    assert "space.model hist_gradient_boosting model.max_leaf_nodes" in parent["params"]

    (swept.path / "mlflow.db").unlink()
    swept.run("lockstep", "sweep", "--resume")
    assert len(family(swept, "away")[1]) == 6, "a lost store is filled again"


def test_a_trial_has_the_config_that_the_pipeline_would_have(swept: Project) -> None:
    """Composed once for each option and then changed, it equals what Hydra composes again."""
    swept.run("lockstep", "sweep", *QUICK, "sweep.n_trials=1", "sweep.name=one")
    found = swept.python(
        """
import optuna
from pathlib import Path
from omegaconf import OmegaConf
from lockstep.config.compose import composer
from lockstep.sweep.plan import Plan
from lockstep.sweep.study import PLAN, open_storage
from lockstep.sweep.worker import TrialConfigs

storage = open_storage("sweeps/one/journal.log")
plan = Plan(**optuna.load_study(study_name="one", storage=storage).user_attrs[PLAN])
with composer(Path.cwd()) as compose:
    config_of = TrialConfigs(compose, plan, Path.cwd(), Path("conf"))
    for tried in (
        ["model.n_neighbors=7", "model.weights=distance"],
        ["model=random_forest", "model.max_features=0.123456789", "model.n_jobs=2"],
        ["model=logistic", "preprocess=ordinal", "model.class_weight=null", "+model.tol=1e-05"],
        ["model.weights=distance", "preprocess.number.impute.strategy=mean"],
        ["model=logistic", "model.class_weight={a:1,b:2}"],
    ):
        params = compose([*plan.overrides, *tried])
        cfg = OmegaConf.to_container(config_of(tried))
        for section in ("model", "preprocess"):
            assert cfg[section] == params[section], (cfg[section], params[section])
        assert set(cfg) == {"data", "model", "preprocess"}
        assert set(cfg["data"]) == {"group", "target", "task"}
print("same")
"""
    )
    assert found.endswith("same\n")
