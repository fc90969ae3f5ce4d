"""Measure what the glue costs, as ratios against the same work without it, in the same run.

    .venv/bin/python benchmarks/measure.py pipeline   the whole pipeline
    .venv/bin/python benchmarks/measure.py noop       `dvc repro` with nothing to do
    .venv/bin/python benchmarks/measure.py publish    `lockstep publish`, new and again
    .venv/bin/python benchmarks/measure.py scaffold   cookiecutter, to the first commit

The peers, all of them made from the scaffolded project's own stages: `script`, one plain process
that calls them in turn; `bare`, a hand-written DVC pipeline that runs each through a ten-line
script, without compose, publish, or `lockstep run`. Rounds take turns; medians are printed.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parent.parent
STAGES = ("ingest", "validate", "split", "train", "evaluate")
RUNNER = """import importlib, sys
from pathlib import Path
from omegaconf import OmegaConf
cfg = OmegaConf.load("params.yaml")
for words in " ".join(sys.argv[1:]).split(" + "):
    module, *paths = words.split()
    paths = [Path(path) for path in paths]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    importlib.import_module(module).main(cfg, *paths)
"""
Commands = dict[str, Callable[[], None]]


class Lab:
    """A scaffolded project with its environment, and its peers, in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        dropped = ("MLFLOW_", "DVC_", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
        self.env |= {
            "DVC_NO_ANALYTICS": "1",
            "GIT_AUTHOR_NAME": "bench", "GIT_AUTHOR_EMAIL": "bench@example.org",
            "GIT_COMMITTER_NAME": "bench", "GIT_COMMITTER_EMAIL": "bench@example.org",
        }  # fmt: skip
        self.env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{self.env['PATH']}"
        self.project = self.scaffold("measured")
        binaries = self.project / ".venv" / ("Scripts" if os.name == "nt" else "bin")
        self.env["PATH"] = f"{binaries}{os.pathsep}{self.env['PATH']}"

    def scaffold(self, slug: str, **answers: str) -> Path:
        """Make a project; with its environment unless an answer says otherwise."""
        answers = {
            "project_slug": slug,
            "package_name": "penguins",
            "data_source": str(TEMPLATE / "samples" / "penguins.csv"),
            "target_column": "species",
            **answers,
        }
        self.run(
            [sys.executable, "-m", "cookiecutter", str(TEMPLATE), "--no-input"]
            + ["-o", str(self.folder), *(f"{key}={value}" for key, value in answers.items())],
            self.folder,
        )
        return self.folder / slug

    def run(self, command: list[str], folder: Path) -> None:
        """Run a command; what it prints is shown only when it fails."""
        self.output(command, folder)

    def output(self, command: list[str], folder: Path) -> str:
        """Run a command; what it prints."""
        done = subprocess.run(command, cwd=folder, env=self.env, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed in {folder}\n{done.stdout}{done.stderr}")
        return done.stdout

    def peer(self, name: str) -> Path:
        """A copy of the project with a hand-written pipeline in place of the glue."""
        peer = self.folder / name
        shutil.copytree(
            self.project, peer, ignore=shutil.ignore_patterns(".venv", "mlflow.db", "mlartifacts")
        )
        text = (peer / "dvc.yaml").read_text()
        head, *stages = re.split(r"^  (?=\w+:(?: #.*)?\n    cmd:)", text, flags=re.MULTILINE)
        kept = [stage for stage in stages if stage.partition(":")[0] in STAGES]
        bare = head + "".join(f"  {stage}" for stage in kept)
        bare = bare.replace("lockstep run", "python run.py")
        (peer / "dvc.yaml").write_text(re.sub(r"\nartifacts:.*", "\n", bare, flags=re.DOTALL))
        (peer / "src" / "run.py").unlink(missing_ok=True)
        (peer / "run.py").write_text(RUNNER)
        shutil.rmtree(peer / ".dvc" / "cache", ignore_errors=True)
        return peer

    def script(self) -> list[str]:
        """One process that does the work of all stages."""
        text = (self.project / "dvc.yaml").read_text()
        paths = dict(re.findall(r"^      (\w+): (\S+)$", text, flags=re.MULTILINE))
        calls = [
            re.sub(r"\$\{paths\.(\w+)\}", lambda match: paths[match[1]], words)
            for words in re.findall(r"cmd: lockstep run (.+)", text)
        ]
        return ["python", "run.py", *" + ".join(calls).split()]


def main() -> None:
    """Run one measurement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("pipeline", "noop", "publish", "scaffold"))
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        lab = Lab(Path(folder))
        {"pipeline": pipeline, "noop": noop, "publish": publish, "scaffold": scaffold}[given.what](
            lab, given.rounds
        )


def pipeline(lab: Lab, rounds: int) -> None:
    """Every stage runs, each round with another seed, so that the state is a new one."""
    project = lab.project
    lab.run(["dvc", "repro"], project)
    bare, script = lab.peer("bare"), lab.peer("script")

    def reseed(number: int) -> None:
        for path in (
            project / "conf/split/stratified.yaml", bare / "params.yaml", script / "params.yaml",
        ):  # fmt: skip
            path.write_text(re.sub(r"seed: \d+", f"seed: {1000 + number}", path.read_text()))

    times = take_turns(
        rounds,
        {
            "lockstep": lambda: lab.run(["dvc", "repro", "--force"], project),
            "bare": lambda: lab.run(["dvc", "repro", "--force"], bare),
            "script": lambda: lab.run(lab.script(), script),
            "import mlflow": lambda: lab.run(["python", "-c", "import mlflow"], project),
        },
        before=reseed,
    )
    show(times)
    ratio(times, "lockstep", "script")
    ratio(times, "lockstep", "bare")
    allowed = [
        (a - c) / b
        for a, b, c in zip(times["lockstep"], times["bare"], times["import mlflow"], strict=True)
    ]
    print(
        f"(lockstep - import mlflow) / bare: {statistics.median(allowed):.2f}   (aim: at most 1.15)"
    )


def noop(lab: Lab, rounds: int) -> None:
    """`dvc repro` when all is up to date."""
    lab.run(["dvc", "repro"], lab.project)
    bare = lab.peer("bare")
    lab.run(["dvc", "repro"], bare)
    times = take_turns(
        rounds,
        {
            "lockstep": lambda: lab.run(["dvc", "repro"], lab.project),
            "bare": lambda: lab.run(["dvc", "repro"], bare),
        },
    )
    show(times)
    ratio(times, "lockstep", "bare", aim=1.05)


def publish(lab: Lab, rounds: int) -> None:
    """A new state, and the same once more."""
    lab.run(["dvc", "repro"], lab.project)
    times = take_turns(
        rounds,
        {
            "new": lambda: lab.run(["lockstep", "publish"], lab.project),
            "again": lambda: lab.run(["lockstep", "publish"], lab.project),
            "import mlflow": lambda: lab.run(["python", "-c", "import mlflow"], lab.project),
        },
        before=lambda number: another_state(lab.project, number),
    )
    show(times)
    print("aims: new at most 3 s, again at most 0.3 s")


def another_state(project: Path, number: int) -> None:
    """Change the metrics, and dvc.lock with them, as if an evaluation had ended otherwise."""
    metrics, lock = project / "metrics/metrics.json", project / "dvc.lock"
    metrics.write_text(json.dumps({**json.loads(metrics.read_text()), "round": number}))
    md5 = hashlib.md5(metrics.read_bytes(), usedforsecurity=False).hexdigest()
    entry = r"(path: metrics/metrics\.json\n\s+hash: md5\n\s+md5: )\w{32}"
    lock.write_text(re.sub(entry, rf"\g<1>{md5}", lock.read_text()))


def scaffold(lab: Lab, rounds: int) -> None:
    """cookiecutter, with the first commit, without an environment."""
    numbers = iter(range(10_000))
    show(
        take_turns(
            rounds,
            {
                "scaffold": lambda: void(
                    lab.scaffold(f"p{next(numbers)}", create_environment="false")
                )
            },
        )
    )


def void(_: object) -> None:
    """Drop a value."""


def take_turns(
    rounds: int, commands: Commands, before: Callable[[int], object] = void
) -> dict[str, list[float]]:
    """Time the commands in turn, after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        before(number)
        for name, command in commands.items():
            start = time.perf_counter()
            command()
            if number:
                times[name].append(time.perf_counter() - start)
    return times


def show(times: dict[str, list[float]]) -> None:
    """Print the median, minimum and maximum of each."""
    for name, seconds in times.items():
        low, high = min(seconds), max(seconds)
        print(f"{name:14} {statistics.median(seconds):7.3f} s   ({low:.3f} to {high:.3f})")


def ratio(times: dict[str, list[float]], one: str, other: str, aim: float | None = None) -> None:
    """Print the median of the ratios, round by round."""
    ratios = [a / b for a, b in zip(times[one], times[other], strict=True)]
    target = f"   (aim: at most {aim})" if aim else ""
    print(f"{one} / {other}: {statistics.median(ratios):.2f}{target}")


if __name__ == "__main__":
    main()
