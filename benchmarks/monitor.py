"""Measure how often `lockstep monitor` is wrong, and how long it takes beside evidently.

    .venv/bin/python benchmarks/monitor.py errors                windows with and without drift
    .venv/bin/python benchmarks/monitor.py speed --rows 1000000  evidently in its own environment

The data are drawn: numbers, some skewed, whole numbers and categories, and a target that depends
on some of them. The checks are those of the command, with the limits of a new project; the model is
a gradient boosting classifier.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

TEMPLATE = Path(__file__).resolve().parent.parent
PROJECT = TEMPLATE / "{{cookiecutter.project_slug}}"
sys.path.insert(0, str(PROJECT / "packages" / "lockstep" / "src"))
EVIDENTLY = ("evidently==0.7.23", "pandas<3", "numpy<2.3", "pyarrow")
COLUMNS = 20


def table(rows: int, seed: int) -> pd.DataFrame:
    """Rows of one distribution: 16 numbers, some skewed or whole, four texts, and a label."""
    random = np.random.default_rng(seed)
    columns: dict[str, Any] = {}
    for place in range(8):
        columns[f"n{place}"] = random.normal(size=rows)
    for place in range(4):
        columns[f"s{place}"] = random.lognormal(size=rows)
    for place in range(4):
        columns[f"i{place}"] = random.integers(0, 24, rows).astype(float)
    names = np.array(["red", "green", "blue", "black", "white"])
    for place in range(4):
        columns[f"c{place}"] = names[random.choice(5, rows, p=[0.4, 0.3, 0.15, 0.1, 0.05])]
    made = pd.DataFrame(columns)
    logit = 1.5 * made.n0 + made.n1 - made.n2 + 0.8 * np.log(made.s0) + (made.c0 == "red")
    made["label"] = np.where(random.random(rows) < 1 / (1 + np.exp(-logit)), "yes", "no")
    return made


Change = Callable[[pd.DataFrame], pd.DataFrame]
CHANGES: dict[str, Change] = {
    "none": lambda t: t,
    "shift (0.5 sd)": lambda t: t.assign(n0=t.n0 + 0.5),
    "scale (x 1.5)": lambda t: t.assign(n1=t.n1 * 1.5),
    "new category (5%)": lambda t: t.assign(c0=t.c0.where(t.index % 20 > 0, "violet")),
    "missing (10%)": lambda t: t.assign(n2=t.n2.where(t.index % 10 > 0)),
    "unit (°C to °F)": lambda t: t.assign(s0=t.s0 * 1.8 + 32),
    "labels flipped (15%)": lambda t: t.assign(
        label=t.label.where(t.index % 7 > 0, t.label.map({"yes": "no", "no": "yes"}))
    ),
}


def errors(windows: int, changed: int, sizes: list[int]) -> None:
    """The share of windows with a finding, and of alarms by two of the last three windows.

    Args:
        windows: Without drift.
        changed: With each kind of drift.
    """
    monitor = _monitor(table(20_000, seed=0))
    print(f"{'windows of':>10}  {'change':22}  {'with a finding':>14}  {'alarm':>6}  kinds")
    for size in sizes:
        for name, change in CHANGES.items():
            results: list[dict[str, Any]] = []
            verdicts, kinds = [], set()
            for number in range(windows if name == "none" else changed):
                result = _judge(monitor, change(table(size, seed=1000 + number)))
                verdicts.append(_verdict(result, results[-2:], monitor.settings))
                results.append(result)
                kinds |= {item["kind"] for item in result["findings"]}
            found = np.mean([bool(result["findings"]) for result in results])
            alarms = np.mean([verdict == "alarm" for verdict in verdicts])
            told = ", ".join(sorted(kinds))
            print(f"{size:>10}  {name:22}  {found:14.1%}  {alarms:6.1%}  {told}", flush=True)


def _monitor(reference: pd.DataFrame) -> Any:
    """The checks against a reference, two thirds of which trained the model."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    from lockstep.config.group import settings_of
    from lockstep.monitor.reference import Reference
    from lockstep.monitor.result import Monitor
    from lockstep.monitor.settings import Settings

    cut = 2 * len(reference) // 3
    tested = reference[cut:].reset_index(drop=True)
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), [f"c{n}" for n in range(4)]),
        remainder="passthrough",
    )
    model = make_pipeline(encode, HistGradientBoostingClassifier(max_iter=60, random_state=0))
    model.fit(reference[:cut].drop(columns="label"), reference[:cut].label)

    def predict(file: Path) -> pd.DataFrame:
        rows = pd.read_parquet(file)
        features = rows.drop(columns="label")
        shares = model.predict_proba(features)
        answers = {"actual": rows.label, "predicted": model.predict(features)}
        names = [f"probability.{label}" for label in model.classes_]
        return pd.DataFrame(answers | dict(zip(names, shares.T, strict=True)))

    def scorer(predictions: pd.DataFrame, names: list[str]) -> Any:
        right = (predictions.actual == predictions.predicted).to_numpy()
        return lambda rows: {"accuracy": float(right[rows].mean())}

    with tempfile.TemporaryDirectory() as folder:
        tested.to_parquet(Path(folder) / "rows.parquet")
        predictions = predict(Path(folder) / "rows.parquet")
    from omegaconf import OmegaConf

    settings = yaml.safe_load((PROJECT / "conf/monitor/default.yaml").read_text(encoding="utf-8"))
    config = OmegaConf.create({"data": {"target": "label"}})
    about = Reference(
        "1", "run", reference, tested, predictions, ["accuracy"], {"accuracy": "maximize"},
        ".parquet", config, None, predict, scorer,
    )  # fmt: skip
    return Monitor(about, settings_of(Settings, settings, "conf/monitor"))


def _judge(monitor: Any, rows: pd.DataFrame) -> dict[str, Any]:
    from lockstep.monitor.window import Window

    window = Window()
    window.add((rows, {}), monitor.bins, monitor.reference.tested[:0])
    result: dict[str, Any] = monitor.judge(window)
    return result


def _verdict(result: dict[str, Any], earlier: list[dict[str, Any]], settings: Any) -> str:
    from lockstep.monitor.result import verdict

    return verdict(result, earlier, settings)


def speed(rows: int) -> None:
    """Univariate drift of a window as large as the reference: seconds and peak memory of each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("reference", "current"):
            _write(folder / f"{part}.parquet", rows, seed=len(part))
        script = [str(Path(__file__).resolve()), "one"]
        ours = _measured([sys.executable, *script, "lockstep", name])
        python = folder / "env" / "bin" / "python"
        subprocess.run(["uv", "venv", "--quiet", str(python.parent.parent)], check=True)
        command = ["uv", "pip", "install", "--quiet", "--python", str(python), *EVIDENTLY, "pyyaml"]
        subprocess.run(command, check=True)
        theirs = _measured([str(python), *script, "evidently", name])
    print(f"{rows} x {COLUMNS}: the drift of each column")
    for tool, (seconds, megabytes) in {"lockstep": ours, "evidently": theirs}.items():
        print(f"  {tool:10} {seconds:8.1f} s  {megabytes:8.0f} MB")
    print(f"  ratio      {theirs[0] / ours[0]:8.1f}    {theirs[1] / ours[1]:8.1f}")


def _write(path: Path, rows: int, seed: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    batch = 100_000
    writer = None
    for start in range(0, rows, batch):
        drawn = table(min(batch, rows - start), seed + start)
        part = pa.Table.from_pandas(drawn, preserve_index=False)
        writer = writer or pq.ParquetWriter(path, part.schema)
        writer.write_table(part)
    if writer:
        writer.close()


def _measured(command: list[str]) -> tuple[float, float]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    measured: tuple[float, float] = tuple(json.loads(done.stdout.splitlines()[-1]))
    return measured


def one(tool: str, folder: Path) -> None:
    """Measure one tool in this process."""
    start = time.perf_counter()
    {"lockstep": _lockstep, "evidently": _evidently}[tool](folder)
    seconds = time.perf_counter() - start
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


def _lockstep(folder: Path) -> None:
    import pyarrow.parquet as pq

    from lockstep.monitor.distribution import bins_of
    from lockstep.monitor.drift import drifts
    from lockstep.monitor.window import SAMPLE, read_window

    # The bins come from a sample of the reference, its counts from all of it.
    first = next(pq.ParquetFile(folder / "reference.parquet").iter_batches(5 * SAMPLE)).to_pandas()
    bins = {str(name): found for name in first if (found := bins_of(first[name]))}
    before, now = (
        read_window(folder / f"{part}.parquet", bins, first[:0]).counts
        for part in ("reference", "current")
    )
    assert len(drifts(bins, before, now, lambda column, measure: 0.1, 0.01)) == 2 * len(bins)


def _evidently(folder: Path) -> None:
    from evidently import Report  # type: ignore[import-not-found]
    from evidently.presets import DataDriftPreset  # type: ignore[import-not-found]

    reference, current = (
        pd.read_parquet(folder / f"{part}.parquet") for part in ("reference", "current")
    )
    Report([DataDriftPreset()]).run(current, reference).dict()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    wrong = verbs.add_parser("errors")
    wrong.add_argument("--windows", type=int, default=200)
    wrong.add_argument("--changed", type=int, default=30)
    wrong.add_argument("--sizes", type=int, nargs="+", default=[500, 2000])
    fast = verbs.add_parser("speed")
    fast.add_argument("--rows", type=int, default=1_000_000)
    single = verbs.add_parser("one")
    single.add_argument("tool")
    single.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    if arguments.verb == "errors":
        errors(arguments.windows, arguments.changed, arguments.sizes)
    elif arguments.verb == "speed":
        speed(arguments.rows)
    else:
        one(arguments.tool, arguments.folder)


if __name__ == "__main__":
    main()
