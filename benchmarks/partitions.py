"""Measure what partitions cost: the first run, one more file, and nothing new.

    .venv/bin/python benchmarks/partitions.py                     12, 365 and 5,000 files
    .venv/bin/python benchmarks/partitions.py --counts 12 365 --foreach

The same rows (the hours of a year of bike hire, or some of them twice) are one file, or many. Each
figure is the processor time of `dvc repro ingest`, user and system, of all its processes, so that
it is comparable on a busy machine; for no change, the best of three.
`--foreach` also measures a stage for each file, as DVC's `foreach` makes it, with trivial work.
The projects use this environment: DVC and the packages of the default pipeline must be installed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import yaml
from cookiecutter.main import cookiecutter  # type: ignore[import-untyped]

TEMPLATE = Path(__file__).resolve().parent.parent
SAMPLE = TEMPLATE / "samples" / "bikes"
LOCK = 'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n'
FOREACH = """\
stages:
  part:
    foreach: ${names}
    do:
      cmd: cp raw/${item} part/${item}
      deps: [raw/${item}]
      outs: [part/${item}]
vars: [names.yaml]
"""


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--counts", nargs="*", type=int, default=[12, 365, 5000])
    parser.add_argument("--foreach", action="store_true", help="measure foreach, too (slow)")
    arguments = parser.parse_args()
    print(f"{'files':>12} {'first run':>10} {'one more':>10} {'no change':>10}  (seconds)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for count in [1, *arguments.counts]:
            print(_line(str(count), *_default_pipeline(folder, count)), flush=True)
        for count in arguments.counts if arguments.foreach else ():
            print(_line(f"{count} foreach", *_foreach(folder, count)), flush=True)


def _line(label: str, *seconds: float) -> str:
    return f"{label:>12} " + " ".join(f"{value:10.1f}" for value in seconds)


def _default_pipeline(folder: Path, count: int) -> tuple[float, float, float]:
    """A project with its raw data in one file, or in many."""
    source = folder / f"source-{count}"
    source.mkdir()
    _write(source, count)
    project = Path(
        cookiecutter(
            str(TEMPLATE),
            no_input=True,
            accept_hooks=False,
            output_dir=str(folder),
            extra_context={
                "project_name": f"Files {count}",
                "data_source": str(source if count > 1 else source / "0000.csv"),
                "task": "regression",
                "target_column": "rentals",
            },
        )
    )
    (project / "uv.lock").write_text(LOCK)
    raw = project / ("data/raw" if count > 1 else "data/raw.csv")
    raw.parent.mkdir()
    if count > 1:
        shutil.copytree(source, raw)
    else:
        shutil.copy(source / "0000.csv", raw)
    config = project / "conf/data/default.yaml"
    config.write_text(config.read_text().replace("drop: []", "drop: [casual, registered]"))
    run = _Runner(project)
    run("git", "init", "--quiet")
    run("dvc", "add", "--quiet", str(raw.relative_to(project)))
    first = run("dvc", "repro", "ingest")
    if count > 1:
        shutil.copy(source / "0000.csv", raw / "9999.csv")
    else:
        raw.write_text(raw.read_text() + raw.read_text().splitlines()[1] + "\n")
    run("dvc", "add", "--quiet", str(raw.relative_to(project)))
    return first, run("dvc", "repro", "ingest"), run.best("dvc", "repro", "ingest")


def _foreach(folder: Path, count: int) -> tuple[float, float, float]:
    """A stage for each file, which copies it."""
    project = folder / f"foreach-{count}"
    (project / "raw").mkdir(parents=True)
    (project / "part").mkdir()
    names = _write(project / "raw", count)
    (project / "dvc.yaml").write_text(FOREACH)
    run = _Runner(project)
    run("git", "init", "--quiet")
    run("dvc", "init", "--quiet")
    (project / "names.yaml").write_text(yaml.safe_dump({"names": names}))
    first = run("dvc", "repro")
    shutil.copy(project / "raw" / names[0], project / "raw/9999.csv")
    (project / "names.yaml").write_text(yaml.safe_dump({"names": [*names, "9999.csv"]}))
    return first, run("dvc", "repro"), run.best("dvc", "repro")


def _write(folder: Path, count: int) -> list[str]:
    """Write the rows to a number of files, of at least 20 rows each; returns their names."""
    rows = pd.concat(pd.read_csv(path, dtype=str) for path in sorted(SAMPLE.glob("*.csv")))
    size = max(20, len(rows) // count)
    names = [f"{number:04}.csv" for number in range(count)]
    for number, name in enumerate(names):
        start = number * size % (len(rows) - size + 1)
        rows[start : start + size].to_csv(folder / name, index=False)
    return names


class _Runner:
    """Runs commands in a project, and measures them."""

    def __init__(self, project: Path) -> None:
        binaries = project.parent / "bin"
        if not binaries.exists():  # the glue is not installed here
            binaries.mkdir()
            script = binaries / "lockstep"
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lockstep "$@"\n')
            script.chmod(0o755)
        path = [str(binaries), str(Path(sys.executable).parent), os.environ["PATH"]]
        glue = project / "packages/lockstep/src"
        self._env = {**os.environ, "PATH": os.pathsep.join(path), "DVC_NO_ANALYTICS": "1"}
        self._env["PYTHONPATH"] = os.pathsep.join([str(glue), str(project / "src")])
        self._project = project

    def __call__(self, *command: str) -> float:
        start = os.times()
        done = subprocess.run(
            command, cwd=self._project, env=self._env, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        end = os.times()
        return end.children_user + end.children_system - start.children_user - start.children_system

    def best(self, *command: str) -> float:
        """The shortest of three times."""
        return min(self(*command) for _ in range(3))


if __name__ == "__main__":
    main()
