"""`lockstep monitor`: what it finds in windows of new data."""

import http.server
import json
import re
import socket
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import yaml
from aiosmtpd.controller import Controller
from mlflow import MlflowClient
from omegaconf import OmegaConf
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from tiny import Tiny
from windows import limits, line, save

from lockstep.config.group import settings_of
from lockstep.monitor import window
from lockstep.monitor.distribution import bins_of
from lockstep.monitor.drift import Drift, drifts
from lockstep.monitor.notify import notify
from lockstep.monitor.performance import findings
from lockstep.monitor.reference import Reference
from lockstep.monitor.settings import Settings
from lockstep.monitor.shift import domain_auc, possible_classes, possible_numbers
from lockstep.monitor.slices import by_slice
from lockstep.project import Project
from lockstep.retrain.reasons import reasons
from project import runs_of


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other take seconds where other tests keep the cores busy."""
    with threadpool_limits(1):
        yield


def test_a_window_like_the_reference_is_fine_and_judged_once(watched: Tiny) -> None:
    window = save(watched, "july.csv", line(300, seed=1))
    code, output = watched.answer("monitor", window)
    assert code == 0, output
    assert "fine" in output
    code, again = watched.answer("monitor", window)
    assert code == 0
    assert again == output
    found = runs_of(MlflowClient(f"sqlite:///{watched.path / 'mlflow.db'}"))
    (run,) = [run for run in found if run["experiment"] == "toy-monitoring"]
    assert run["name"] == "toy v1"
    assert [step for step, _ in run["history"]["drift.psi.x"]] == [1]
    assert run["metrics"]["now.mean_absolute_error"] == pytest.approx(0.8, abs=0.1)
    version = MlflowClient(f"sqlite:///{watched.path / 'mlflow.db'}").get_model_version("toy", "1")
    assert version.tags["monitor.verdict"] == "fine"


def test_drift_is_a_warning_first_and_an_alarm_when_it_stays(watched: Tiny) -> None:
    windows = [save(watched, f"{n}.csv", line(300, n, shift=1 if n > 1 else 0)) for n in (1, 2, 3)]
    code, output = watched.answer("monitor", *windows, "--json")
    results = json.loads(output)
    assert code == 1
    assert [result["verdict"] for result in results] == ["fine", "warning", "alarm"]
    moved = {item["subject"] for item in results[1]["findings"] if item["kind"] == "drift"}
    assert moved == {"x", "y", "(prediction)", "(all columns)"}
    with watched.entered():
        project = Project(watched.path)
        assert list(reasons(project, project.store.client())) == [], "the same data teach nothing"
        watched.edit("data/raw.csv.dvc", "md5: ", "md5: 0")
        found = dict(reasons(project, project.store.client()))
        watched.git("checkout", "data/raw.csv.dvc")
    assert found == {"data": "new data", "alarm": "an alarm about version 1"}
    code, output = watched.answer("monitor", windows[1])
    assert code == 0, "an earlier window keeps its verdict"
    assert "drift: x: " in output


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        (lambda rows: rows.drop(columns="x").assign(z=1), "x: the column is absent"),
        (lambda rows: rows.astype({"x": object}).replace({"x": {rows.x[3]: "n/v"}}), "x: 0.3% of"),
        (lambda rows: rows.assign(x=rows.x.where(rows.index > 99)), "x: 33.3% are missing, 0.0%"),
        (lambda rows: rows.assign(x=rows.x * 1000), "are far outside the range of before"),
    ],
)
def test_invalid_data_are_an_alarm_at_once(watched: Tiny, broken: Any, text: str) -> None:
    code, output = watched.answer("monitor", save(watched, "a.csv", broken(line(300, seed=1))))
    assert code == 1
    assert text in output


def test_an_invalid_window_says_nothing_of_the_world(watched: Tiny) -> None:
    broken = save(watched, "1.csv", line(300, seed=1, shift=1).assign(x="n/v"))
    drifted = save(watched, "2.csv", line(300, seed=2, shift=1))
    code, output = watched.answer("monitor", broken, drifted, "--json")
    assert [result["verdict"] for result in json.loads(output)] == ["alarm", "warning"]
    assert code == 0


def test_worse_predictions_are_measured_or_estimated(watched: Tiny) -> None:
    noisy = save(watched, "noisy.csv", line(300, seed=1, noise=3.0))
    output = watched.lockstep("monitor", noisy, ok=None)
    assert "performance: mean_absolute_error: 2." in output
    unlabelled = line(300, seed=1).drop(columns="y")
    output = watched.lockstep("monitor", save(watched, "unlabelled.parquet", unlabelled), "--json")
    (metric,) = json.loads(output)[0]["performance"]
    assert metric["now"] is None
    assert metric["estimated"] == pytest.approx(0.8, abs=0.1)
    assert metric["error"] < 0.1


def test_a_folder_is_one_window(watched: Tiny) -> None:
    for day in (1, 2):
        save(watched, f"log/date={day}/part.parquet", line(80, seed=day).assign(request="a"))
    output = watched.lockstep("monitor", "new/log", "--json")
    assert json.loads(output)[0]["rows"] == 160


def test_a_window_is_the_newest_rows(watched: Tiny) -> None:
    rows = pd.concat([line(300, seed=1, shift=9), line(300, seed=2)])
    for name in ("a.csv", "a.parquet"):
        output = watched.lockstep("monitor", save(watched, name, rows), "--rows", "300", "--json")
        (result,) = json.loads(output)
        assert (result["rows"], result["verdict"]) == (300, "fine")


def test_a_slice_that_became_worse_is_named() -> None:
    def scorer(predictions: pd.DataFrame, names: list[str]) -> Any:
        right = (predictions.actual == predictions.predicted).to_numpy()
        return lambda rows: {"accuracy": float(right[rows].mean())}

    def answers(wrong_in_north: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        random = np.random.default_rng(seed)
        rows = pd.DataFrame({"place": random.choice(["north", "south"], 800), "y": "yes"})
        wrong = random.random(800) < np.where(rows.place == "north", wrong_in_north, 0.05)
        return rows, pd.DataFrame({"actual": "yes", "predicted": np.where(wrong, "no", "yes")})

    tested, before = answers(0.05, seed=0)
    about = Reference(
        "1", "run", tested, tested, before, ["accuracy"], {"accuracy": "maximize"}, ".parquet",
        OmegaConf.create({"data": {"target": "y"}}), None, lambda file: before, scorer, ["place"],
    )  # fmt: skip
    settings = settings_of(Settings, yaml.safe_load(limits()), "conf/monitor")
    for wrong, subjects in ((0.05, []), (0.4, ["accuracy, place = north"])):
        rows, now = answers(wrong, seed=1)
        found = findings(by_slice(about, now, rows, 0.95), about, settings)
        assert [item.subject for item in found] == subjects


def test_the_results_are_files_and_a_page(watched: Tiny) -> None:
    for month in (1, 2, 3):
        save(watched, f"2011-0{month}.csv", line(300, month, shift=float(month > 1)))
    words = ("monitor", "new", "--each", "--output", "reports/monitor", "--exit-zero")
    assert "wrote reports/monitor/report.html" in watched.lockstep(*words)
    folder = watched.path / "reports" / "monitor"
    rows = json.loads((folder / "windows.json").read_text(encoding="utf-8"))
    assert [row["window"] for row in rows] == [f"new/2011-0{month}.csv" for month in (1, 2, 3)]
    assert rows[2]["drift.wasserstein.x"] > 0.5
    assert json.loads((folder / "new-2011-03.csv.json").read_text())["verdict"] == "alarm"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/svg+xml;base64,") == 4, "the metric, x, y and the predictions"
    assert "<code>x</code></td>" in page
    assert "new/2011-02.csv" in page, "since when"
    assert "cannot see concept drift" in page
    assert not re.search(r'(src|href)="http', page), "it needs no network"
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    watched.lockstep(*words)
    assert files == {path.name: path.read_bytes() for path in folder.iterdir()}, "judged once"


def test_a_log_of_predictions_is_judged_with_the_true_values_that_came(watched: Tiny) -> None:
    rows = line(200, seed=1)
    keys = pd.DataFrame({"_request": [f"r{n}" for n in range(200)], "_row": np.int32(0)})
    answers = keys.assign(x=rows.x, _role="champion", _prediction=2 * rows.x)
    save(watched, "log/answers/date=2026-11-28/a.parquet", answers)
    _, output = watched.answer("monitor", "new/log", "--json")
    (result,) = json.loads(output)
    assert result["verdict"] == "fine", "labels that are late are no drift"
    assert result["performance"][0]["now"] is None
    told = keys[:150].assign(actual=rows.y[:150], _time=pd.Timestamp("2026-11-29", tz="UTC"))
    save(watched, "log/feedback/date=2026-11-29/b.parquet", told)
    _, output = watched.answer("monitor", "new/log", "--each", "--json")
    (result,) = json.loads(output)
    assert (result["rows"], result["verdict"]) == (200, "fine")
    assert result["performance"][0]["now"] == pytest.approx(0.8, abs=0.15)


class Received(http.server.BaseHTTPRequestHandler):
    """Keeps what is posted."""

    messages: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.messages.append(json.loads(body)["message"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Be quiet."""


def test_a_file_that_a_server_merges_meanwhile_is_read_again(
    watched: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, gone = window._batches_of, ["at first"]

    def read_later(*arguments: Any) -> Iterator[window.Batch]:
        if gone:
            raise FileNotFoundError(gone.pop())
        yield from read(*arguments)

    monkeypatch.setattr(window, "_batches_of", read_later)
    code, output = watched.answer("monitor", save(watched, "july.csv", line(300, seed=1)))
    assert code == 0, output
    assert not gone


def test_an_alarm_is_told_once_and_its_end(watched: Tiny) -> None:
    shifts = [1.0, 1.0, 1.0, 0.0]
    windows = [save(watched, f"{n}.csv", line(300, n, shift)) for n, shift in enumerate(shifts)]
    with http.server.HTTPServer(("127.0.0.1", 0), Received) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"json://127.0.0.1:{server.server_port}"
        for window in (*windows, windows[-1]):
            watched.lockstep("monitor", window, ok=None, LOCKSTEP_NOTIFY=url)
        server.shutdown()
    first, last = Received.messages
    assert first == "new/1.csv: alarm: (all columns), (prediction), x, y"
    assert last == "new/3.csv: the alarm is over"


def test_an_alarm_comes_by_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    mails: list[str] = []

    class Box:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
            mails.append(envelope.content.decode())
            return "250 OK"

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(Box(), hostname="127.0.0.1", port=port)
    controller.start()
    address = f"mailto://127.0.0.1:{port}?from=bot@example.org&to=ada@example.org"
    monkeypatch.setenv("LOCKSTEP_NOTIFY", address)
    try:
        assert notify("toy, version 1", "july.csv: alarm: x") is None
    finally:
        controller.stop()
    (mail,) = mails
    assert "Subject: toy, version 1" in mail
    assert "To: ada@example.org" in mail
    assert "july.csv: alarm: x" in mail


def test_a_dead_channel_is_said_and_harms_nothing(watched: Tiny) -> None:
    window = save(watched, "bad.csv", line(300, seed=1).drop(columns="x"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"json://127.0.0.1:{free.getsockname()[1]}"
        code, output = watched.answer("monitor", window, LOCKSTEP_NOTIFY=url)
    assert code == 1
    assert "note: a channel in LOCKSTEP_NOTIFY did not take the message" in output
    assert watched.answer("monitor", window)[0] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.csv"], "there are no data at nowhere.csv"),
        (["dvc.yaml"], "neither CSV nor Parquet"),
        (["new/few.csv"], "5 rows are too few"),
        (["new/other.csv"], "none of the model's columns"),
        (["new/few.csv", "--version", "7"], "no version 7"),
    ],
)
def test_what_cannot_be_judged(watched: Tiny, arguments: list[str], message: str) -> None:
    save(watched, "few.csv", line(5, seed=1))
    save(watched, "other.csv", pd.DataFrame({"a": range(300)}))
    code, output = watched.answer("monitor", *arguments)
    assert code == 2
    assert message in output


def mixed(count: int, seed: int) -> pd.DataFrame:
    """Rows with numbers, whole numbers and categories."""
    random = np.random.default_rng(seed)
    table = pd.DataFrame(random.normal(size=(count, 4)), columns=list("abcd"))
    table["hour"] = random.integers(0, 24, count)
    return table.assign(kind=random.choice(["p", "q", "r"], count, p=[0.5, 0.3, 0.2]))


CHANGES = {
    "shift": lambda rows: rows.assign(a=rows.a + 0.5),
    "scale": lambda rows: rows.assign(b=rows.b * 1.5),
    "missing": lambda rows: rows.assign(c=rows.c.where(rows.index % 8 > 0)),
    "category": lambda rows: rows.assign(kind=rows.kind.where(rows.index % 20 > 0, "new")),
    "unit": lambda rows: rows.assign(d=rows.d * 1.8 + 32),
}


@pytest.fixture(scope="module")
def judged() -> Any:
    """A function that compares a window with a reference of 5,000 rows."""
    reference = mixed(5000, seed=0)
    bins = {str(name): bins_of(reference[name]) for name in reference}
    counts = {name: column.count(reference[name]) for name, column in bins.items() if column}
    settings = settings_of(Settings, yaml.safe_load(limits()), "conf/monitor")

    def judge(window: pd.DataFrame) -> Drift:
        now = {name: column.count(window[name]) for name, column in bins.items() if column}
        return drifts(bins, counts, now, settings.floor, settings.false_alarms)[0]  # type: ignore[arg-type]

    return judge


def test_chance_seldom_exceeds_a_limit(judged: Any) -> None:
    for rows in (200, 500):
        alarms = [judged(mixed(rows, seed=100 + seed)).exceeds for seed in range(50)]
        assert sum(alarms) <= 2, f"{sum(alarms)} of 50 windows of {rows} rows without drift"


@pytest.mark.parametrize("change", CHANGES)
def test_drift_is_found(judged: Any, change: str) -> None:
    found = [judged(CHANGES[change](mixed(500, seed=100 + seed))) for seed in range(20)]
    assert sum(drift.exceeds for drift in found) >= 19
    column = {"shift": "a", "scale": "b", "missing": "c", "category": "kind", "unit": "d"}[change]
    assert {drift.column for drift in found} == {column}


def test_a_classifier_sees_what_no_column_shows() -> None:
    reference, current = mixed(1000, seed=0), mixed(1000, seed=1)
    assert domain_auc(reference, current)[0] == pytest.approx(0.5, abs=0.05)
    current["b"] = 0.9 * current["a"] + 0.44 * current["b"]  # with the same distribution
    area, error = domain_auc(reference, current)
    assert area - 3 * error > 0.6


def test_accuracy_is_estimated_without_labels() -> None:
    def predictions(shift: float, seed: int) -> pd.DataFrame:
        random = np.random.default_rng(seed)
        x = random.normal(size=3000) + shift
        truth = 1 / (1 + np.exp(-2 * x))
        said = 1 / (1 + np.exp(-4 * x))  # sure of itself beyond reason
        label = np.where(random.random(3000) < truth, "yes", "no")
        answers = {"actual": label, "predicted": np.where(said > 0.5, "yes", "no")}
        return pd.DataFrame(answers | {"probability.no": 1 - said, "probability.yes": said})

    tested = predictions(0, seed=0)
    for shift in (0.0, 1.5):
        window = predictions(shift, seed=1)
        drawn = possible_classes(tested, window, draws=10)
        estimate = np.mean([(labels == window["predicted"]).mean() for labels in drawn])
        assert estimate == pytest.approx((window.actual == window.predicted).mean(), abs=0.02)


def test_errors_are_estimated_without_labels() -> None:
    def rows(shift: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        random = np.random.default_rng(seed)
        x = random.normal(size=3000) + shift
        actual = x + (0.3 + np.abs(x)) * random.normal(size=3000)
        return pd.DataFrame({"actual": actual, "predicted": x}), pd.DataFrame({"x": x})

    tested, tested_rows = rows(0, seed=0)
    for shift in (0.0, 1.0):
        window, window_rows = rows(shift, seed=1)
        drawn = possible_numbers(tested, tested_rows, window, window_rows, draws=10)
        estimate = np.mean([np.abs(labels - window["predicted"]).mean() for labels in drawn])
        assert estimate == pytest.approx((window.actual - window.predicted).abs().mean(), rel=0.1)
