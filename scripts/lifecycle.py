"""Play a year of a model in minutes, unattended: `make lifecycle`.

A model of the bundled sample is trained on the first three months of 2011 and served. Then the
other months arrive, one after another: they are judged, and learned from after an alarm. One file
has its temperatures in another unit, one retraining makes a worse model. Meanwhile clients ask the
server all the time. At the end, the last champion is
rebuilt, and a page shows the error of each month with and without retraining, and what happened.

The project and `lifecycle.html` are made in the folder `lifecycle`, or in the one that is named.
"""

import argparse
import csv
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.demo import TEMPLATE, environment, say, shell
from scripts.lifecycle_page import page_of

SAMPLE = TEMPLATE / "samples" / "bikes"
TARGET, FAULTY = "rentals", "temperature"
UNSEEN = ("casual", "registered", TARGET)  # columns that the model does not take
METRIC = "root mean squared error, in rentals an hour"
PUT_OFF = "put off: invalid data are not learned from"
FAILED = "the pipeline stops; champion, branch and files stay as they were"
TRAINED = 3  # months that the first champion learns from


def main() -> None:
    """Make a project, unless one is given, and play."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=TEMPLATE / "lifecycle")
    parser.add_argument("--months", type=int, default=12, help="the last month (%(default)s)")
    parser.add_argument("--trees", type=int, default=50, help="of the forest (%(default)s)")
    parser.add_argument("--project", type=Path, help="a new project with the sample, to play in")
    parser.add_argument("--bin", type=Path, help="the commands of its environment")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    project = arguments.project or scaffold(arguments.folder)
    with Channel() as channel:
        life = Life(project, arguments.bin, arguments.folder / "arrivals", channel)
        life.play(arguments.months, arguments.trees)
        life.report(arguments.folder)


def scaffold(folder: Path) -> Path:
    """A new project with its environment."""
    names = ("bike-hire", *(f"bike-hire-{number}" for number in range(2, 1000)))
    project = next(folder / name for name in names if not (folder / name).exists())
    command = [sys.executable, "-m", "cookiecutter", str(TEMPLATE), "--no-input"]
    answers = [f"project_slug={project.name}", "package_name=bike_hire"]
    shell([*command, "--output-dir", str(folder), *answers], cwd=TEMPLATE)
    shell(["uv", "sync", "--quiet", "--extra", "notify", "--extra", "serve"], cwd=project)
    return project


class Channel:
    """A receiver of notifications on this machine."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        messages = self.messages

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                messages.append(json.loads(body)["message"])
                print(f"(notified) {messages[-1]}", flush=True)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                """Be quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Channel":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Clients:
    """Asks a server for predictions all the time, and counts the answers."""

    url: str
    rows: list[dict[str, str]]
    pause: float = 0.2
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    version: str = ""
    _stop: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Ask in the background."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Wait for the last answer."""
        self._stop.set()
        self._thread.join()

    def until(self, version: str, seconds: float = 60) -> float:
        """Wait until a version answers; how long it took."""
        start = time.monotonic()
        while self.version != version:
            if time.monotonic() - start > seconds:
                sys.exit(f"the server did not change to version {version} within {seconds:g} s")
            time.sleep(0.05)
        return time.monotonic() - start

    def _run(self) -> None:
        position = 0
        while not self._stop.wait(self.pause):
            asked = self.rows[position % len(self.rows) :][:5]
            position += 5
            body = json.dumps({"rows": [typed(row) for row in asked]}).encode()
            headers = {"content-type": "application/json"}
            request = urllib.request.Request(f"{self.url}/predict", body, headers)  # noqa: S310
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                    self.version = str(json.load(answer)["version"])
                    self.answers[self.version] += 1
            except (urllib.error.URLError, OSError, ValueError, KeyError) as error:
                self.failures.append(repr(error))


def typed(row: dict[str, str]) -> dict[str, Any]:
    """A row of the sample as a client sends it."""
    words = {"yes": True, "no": False}
    sent = {name: text for name, text in row.items() if name not in UNSEEN}
    return {name: words.get(text, number_or_text(text)) for name, text in sent.items()}


def number_or_text(text: str) -> float | str:
    """The number that a text says, or the text."""
    try:
        return float(text)
    except ValueError:
        return text


@dataclass
class Month:
    """A month of the story.

    Attributes:
        error: Of the champion of that time; of the first champion, without any retraining.
    """

    name: str
    champion: str
    verdict: str
    error: float
    unchanged: float = 0.0


@dataclass
class Event:
    """Something that happened, and its outcome."""

    month: str
    what: str
    outcome: str


class Life:
    """The life of a project."""

    def __init__(
        self, project: Path, binaries: Path | None, arrivals: Path, channel: Channel
    ) -> None:
        self.project = project
        self.arrivals = arrivals
        self.channel = channel
        self.months: list[Month] = []
        self.events: list[Event] = []
        self.clients = Clients("", [])
        self.tally: Counter[str] = Counter()
        self._champion = "1"
        self._found: list[str] = []  # kinds of findings in the newest window
        # With the commands of another environment, there is none to install.
        self._rebuild = ["--current-environment"] if binaries else []
        binaries = binaries or project / ".venv" / ("Scripts" if os.name == "nt" else "bin")
        self._env = {**environment(), "LOCKSTEP_NOTIFY": channel.url, "DVC_NO_ANALYTICS": "1"}
        self._env["PATH"] = os.pathsep.join([str(binaries), self._env["PATH"]])

    def play(self, last: int, trees: int) -> None:
        """The year, up to a month."""
        self._begin(trees)
        with self._served():
            self._quiet_traffic()
            for number in range(TRAINED + 1, last + 1):
                self._month(number, faulty=number == min(TRAINED + 3, last))
                if number == TRAINED + 2:
                    self._smaller(trees, self.months[-1].name)
            self.clients.stop()
        say("how the first champion would have done")
        files = [self._arrival(month.name) for month in self.months]
        self._env.pop("LOCKSTEP_NOTIFY")  # nobody served these answers
        _, results = self._judge(*files, options=["--version", "1"])
        for month, result in zip(self.months, results, strict=True):
            month.unchanged = error_of(result)

    def report(self, folder: Path) -> None:
        """Rebuild the last champion, and show what became of the year."""
        _, output = self._run("lockstep", "reproduce", "champion", *self._rebuild)
        story = {
            "project": self.project.name,
            "metric": METRIC,
            "months": [vars(month) for month in self.months],
            "events": [vars(event) for event in self.events],
            "answers": dict(sorted(self.clients.answers.items(), key=lambda item: int(item[0]))),
            "failures": self.clients.failures,
            "retrainings": dict(self.tally),
            "notifications": self.channel.messages,
            "rebuilt": output.strip(),
        }
        (folder / "lifecycle.json").write_text(json.dumps(story, indent=2) + "\n", "utf-8")
        page = folder / "lifecycle.html"
        page.write_text(page_of(story), encoding="utf-8")
        self._summary()
        print(f"wrote {page}")
        if self.clients.failures:
            sys.exit(f"{len(self.clients.failures)} requests failed: {self.clients.failures[0]}")

    def _summary(self) -> None:
        say(f"the error of each month: {METRIC}")
        print("month    champion  verdict  trained again  never again")
        for month in self.months:
            print(
                f"{month.name}  {month.champion:>8}  {month.verdict:7}  "
                f"{month.error:13.1f}  {month.unchanged:11.1f}"
            )
        asked = sum(self.clients.answers.values())
        print(f"\nrequests: {asked} answered, {len(self.clients.failures)} lost")
        print(f"retrainings: {self.tally['promoted']} promoted, {self.tally['refused']} refused")
        print(f"notifications: {len(self.channel.messages)}")

    def _begin(self, trees: int) -> None:
        """Train on the first months, and make the result the champion."""
        say(f"the first {TRAINED} months arrive")
        self._write_raw(TRAINED)
        (self.project / "schema.yaml").unlink(missing_ok=True)
        self._edit("conf/model/random_forest.yaml", "n_estimators: 100", f"n_estimators: {trees}")
        self._edit("conf/registry/default.yaml", "policy: manual", "policy: auto")
        self._edit("conf/retrain/default.yaml", "reasons: [data, alarm]", "reasons: [alarm]")
        self._edit("conf/retrain/default.yaml", "per_day: 4", "per_day: 100")
        # The test rows are the last weeks of the three months, whose level is higher.
        floors = "columns: {(prediction): {psi: 0.3, wasserstein: 0.5}}"
        self._edit("conf/monitor/default.yaml", "columns: {}", floors)
        self._run("dvc", "add", "--quiet", "data/raw.csv")
        self._run("dvc", "repro", "--quiet")
        self._commit("The first three months")

    def _quiet_traffic(self) -> None:
        """Judge what the clients asked so far: it is like what the model was trained on."""
        while sum(self.clients.answers.values()) < 60:
            time.sleep(0.1)
        time.sleep(3)  # the log is written every two seconds
        _, (result,) = self._judge(Path("predictions"))
        self.tally["quiet"] += result["verdict"] == "fine"

    def _month(self, number: int, *, faulty: bool) -> None:
        """A month arrives, is judged, and is learned from if there is an alarm."""
        name = f"2011-{number:02}"
        self.clients.rows = self._of(number)
        if faulty:
            self._fault(name, number)
        say(f"{name} arrives")
        self._write(self._arrival(name), self._of(number))
        self._write_raw(number)
        code, (result,) = self._judge(self._arrival(name))
        self.months.append(Month(name, self._champion, result["verdict"], error_of(result)))
        if code == 1:
            self._retrain(name, f"an alarm: {', '.join(self._found)}")

    def _fault(self, name: str, number: int) -> None:
        """The month comes with its temperatures in Fahrenheit, and somebody adds it to the data."""
        say(f"{name} arrives with its temperatures in °F")
        rows = [{**r, FAULTY: f"{float(r[FAULTY]) * 1.8 + 32:.1f}"} for r in self._of(number)]
        file = self._arrival(f"{name}-fahrenheit")
        self._write(file, rows)
        self._write_raw(number, rows)
        head = self._head()
        if self._judge(file)[0] != 1:
            sys.exit("the fault was not found")
        self._retrain(name, f"temperatures in °F, an alarm: {', '.join(self._found)}")
        self._retrain(name, "somebody forces a retraining all the same", "--force")
        if [event.outcome for event in self.events[-2:]] != [PUT_OFF, FAILED]:
            sys.exit("invalid data were learned from")
        if self._head() != head:
            sys.exit("the branch moved")
        self.tally["faults"] += 1

    def _smaller(self, trees: int, month: str) -> None:
        """Somebody tries a forest of one tree: that is worse, and the gate says so."""
        say("somebody tries a forest of one tree")
        names = ("conf/model/random_forest.yaml", f"n_estimators: {trees}", "n_estimators: 1")
        self._edit(*names)
        self._commit("One tree")
        self._retrain(month, "somebody tries a forest of one tree", "--reason", "one tree")
        self._edit(names[0], f"{names[2]}\n", f"{names[1]}\n")
        self._commit("More trees again")

    def _retrain(self, month: str, why: str, *options: str) -> None:
        """Train again, and note the outcome."""
        code, output = self._run("lockstep", "retrain", *options, codes=(0, 1, 2))
        promoted = re.search(r"version (\d+) is the champion", output)
        refused = re.search(r"version (\d+) does not become the champion", output)
        if promoted:
            self._champion = promoted[1]
            seconds = self.clients.until(self._champion)
            print(f"the server answers with version {self._champion}: {seconds:.1f} s later")
            kind, outcome = "promoted", f"version {promoted[1]} is promoted"
        elif refused:
            kind, outcome = "refused", f"the gate refuses version {refused[1]}"
        elif code == 2:
            kind, outcome = "failed", FAILED
        elif "put off" in output:
            kind, outcome = "put off", PUT_OFF
        else:
            sys.exit("neither trained again nor put off")
        self.tally[kind] += 1
        self.events.append(Event(month, why, outcome))

    def _judge(self, *files: Path, options: Sequence[str] = ()) -> tuple[int, list[dict[str, Any]]]:
        """Judge windows; the exit code, and a row of numbers for each."""
        output = self.arrivals / "judged"
        shown = [os.path.relpath(self.project / file, self.project) for file in files]
        words = ["lockstep", "monitor", *shown, "--output", str(output), *options]
        code, printed = self._run(*words, codes=(0, 1))
        self._found = sorted(set(re.findall(r"^  (\w+): ", printed, re.MULTILINE)))
        results: list[dict[str, Any]] = json.loads((output / "windows.json").read_text("utf-8"))
        return code, results

    def _served(self) -> "Server":
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        say(f"lockstep serve --port {port} --log")
        command = ["lockstep", "serve", "--port", str(port), "--log"]
        process = subprocess.Popen(command, cwd=self.project, env=self._env)
        self.clients = Clients(f"http://127.0.0.1:{port}", shuffled(self._up_to(TRAINED)))
        return Server(process, self.clients)

    def _arrival(self, name: str) -> Path:
        return self.arrivals / f"{name}.csv"

    def _of(self, number: int) -> list[dict[str, str]]:
        with (SAMPLE / f"2011-{number:02}.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def _up_to(self, number: int) -> list[dict[str, str]]:
        return [row for month in range(1, number + 1) for row in self._of(month)]

    def _write_raw(self, number: int, newest: list[dict[str, str]] | None = None) -> None:
        """The raw data: the months up to a number; the newest rows may be others."""
        rows = self._up_to(number) if newest is None else [*self._up_to(number), *newest]
        if newest and newest[0]["time"].startswith(f"2011-{number:02}"):
            rows = [*self._up_to(number - 1), *newest]
        self._write(self.project / "data" / "raw.csv", rows)

    def _write(self, path: Path, rows: list[dict[str, str]]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    def _edit(self, name: str, old: str, new: str) -> None:
        path = self.project / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{name} holds no {old!r}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def _head(self) -> str:
        return self._run("git", "rev-parse", "HEAD", quiet=True)[1].strip()

    def _commit(self, message: str) -> None:
        self._run("git", "add", "--all", quiet=True)
        self._run("git", "commit", "--quiet", "--no-verify", "--message", message, quiet=True)

    def _run(
        self, *command: str, codes: tuple[int, ...] = (0,), quiet: bool = False
    ) -> tuple[int, str]:
        """Run a command of the project; its exit code must be one of those given."""
        if not quiet:
            say(" ".join(command))
        printed = []
        with subprocess.Popen(
            command,
            cwd=self.project,
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=None if quiet else subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        ) as process:
            for line in process.stdout or ():
                printed.append(line)
                if not quiet:
                    print(line, end="", flush=True)
        if process.returncode not in codes:
            sys.exit(f"{' '.join(command)} ended with exit code {process.returncode}")
        return process.returncode, "".join(printed)


class Server:
    """The process of `lockstep serve`, and its clients."""

    def __init__(self, process: "subprocess.Popen[bytes]", clients: Clients) -> None:
        self._process = process
        self._clients = clients

    def __enter__(self) -> None:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{self._clients.url}/ready", timeout=5).close()  # noqa: S310
                break
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    sys.exit("the server did not start")
                time.sleep(0.2)
        self._clients.start()

    def __exit__(self, *error: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)


def shuffled(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows in a fixed order that is not that of time."""
    step = 787  # a prime: every row is met once
    return [rows[position * step % len(rows)] for position in range(len(rows))]


def error_of(result: dict[str, Any]) -> float:
    """The model's error in a window."""
    return float(result["now.root_mean_squared_error"])


if __name__ == "__main__":
    main()
