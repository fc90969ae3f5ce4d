"""Measure the time and the peak memory of each stage on a table that may be larger than memory.

    .venv/bin/python benchmarks/large.py                              ten million rows, model=sgd
    .venv/bin/python benchmarks/large.py --rows 50_000_000
    .venv/bin/python benchmarks/large.py --model hist_gradient_boosting --train-rows 1_000_000

The stages run as `dvc repro --single-item STAGE`, with all that DVC does about them. Beside them,
what reads the same CSV and writes typed Parquet: pandas, Polars and DuckDB, each in its process.
Needs about four times the size of the CSV on the disk (75 MB for each million rows).
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Lab

STAGES = ("compose", "ingest", "validate", "split", "train", "evaluate", "publish")
PEERS = {
    "pandas": """import pandas
pandas.read_csv(source, parse_dates=["when"]).to_parquet(target)""",
    "Polars, streaming": """import polars
polars.scan_csv(source, try_parse_dates=True).sink_parquet(target)""",
    "DuckDB, 1 GB": """import duckdb
duckdb.execute("set memory_limit = '1GB'")
duckdb.execute(f"copy (from read_csv('{source}')) to '{target}' (format parquet)")""",
}
PACKAGES = ("duckdb", "pandas", "polars", "pyarrow", "numpy")
ROWS = """import sys
import numpy as np, pyarrow as pa, pyarrow.csv
random, at_once = np.random.default_rng(0), 500_000
cities = np.array([f"city_{i:03d}" for i in range(300)])
segments = np.array(["gold", "silver", "bronze"])
start, rows, writer = np.datetime64("2024-01-01T00:00:00"), int(sys.argv[2]), None
for first in range(0, rows, at_once):
    n = min(at_once, rows - first)
    amount, segment = random.normal(size=n), random.integers(0, 3, n)
    table = pa.table({
        "id": np.arange(first, first + n),
        "amount": pa.array(amount.round(6), mask=random.random(n) < 0.05),
        "rate": random.exponential(size=n).round(6),
        "quantity": random.integers(1, 100, n),
        "city": cities[random.integers(0, 300, n)],
        "segment": segments[segment],
        "when": start + random.integers(0, 730 * 86400, n).astype("timedelta64[s]"),
        "churned": amount + (segment == 0) + random.normal(size=n) / 2 > 0.5,
    })
    writer = writer or pa.csv.CSVWriter(sys.argv[1], table.schema)
    writer.write_table(table)
writer.close()
"""


class Large(Lab):
    """A project whose raw data are the generated table."""

    def scaffold(self, slug: str, **answers: str) -> Path:
        """Make the project; the rows exist."""
        data = {"data_source": str(self.folder / "rows.csv"), "target_column": "churned"}
        return super().scaffold(slug, **data, task="classification", **answers)


def main() -> None:
    """Run the benchmark."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--model", default="sgd")
    parser.add_argument("--folder", type=Path, help="for the files; by default a temporary one")
    parser.add_argument("--train-rows", type=int, help="split.train_rows; by default all")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder, ignore_cleanup_errors=True) as folder:
        source = Path(folder, "rows.csv")
        subprocess.run([sys.executable, "-c", ROWS, str(source), str(given.rows)], check=True)
        print(f"{given.rows:,} rows, {source.stat().st_size / 1e6:,.0f} MB of CSV", flush=True)
        for name, script in PEERS.items():
            _peer(Path(folder), name, script)
        lab = Large(Path(folder))
        _replace(lab.project / "conf/config.yaml", r"model: \w+", f"model: {given.model}")
        if given.train_rows:
            for split in (lab.project / "conf/split").iterdir():
                _replace(split, "train_rows: null", f"train_rows: {given.train_rows}")
        for stage in STAGES:
            command = ["dvc", "repro", "--single-item", stage]
            _show(stage, *_measured(command, lab.project, lab.env))


def _replace(path: Path, pattern: str, text: str) -> None:
    path.write_text(re.sub(pattern, text, path.read_text()))


def _peer(folder: Path, name: str, script: str) -> None:
    python = folder / "peers" / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not python.exists():
        subprocess.run(["uv", "venv", "--quiet", str(folder / "peers")], check=True)
        install = ["uv", "pip", "install", "--quiet", "--python", str(python), *PACKAGES]
        subprocess.run(install, check=True)
    target = folder / "peer.parquet"
    given = f"source, target = {str(folder / 'rows.csv')!r}, {str(target)!r}\n"
    _show(name, *_measured([str(python), "-c", given + script], folder, dict(os.environ)))
    target.unlink()


def _measured(command: list[str], folder: Path, env: dict[str, str]) -> tuple[float, float, float]:
    """The seconds, those of processors, and the peak megabytes of a process and its children."""
    start = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=output, stderr=output)
        _, code, usage = os.wait4(process.pid, 0)
        if code:
            output.seek(0)
            sys.exit(f"{' '.join(command)} failed:\n{output.read().decode()}")
    peak = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, peak


def _show(name: str, seconds: float, busy: float, peak: float) -> None:
    print(f"{name:20}{seconds:8.1f} s {busy:8.1f} s busy {peak:7,.0f} MB at the most", flush=True)


if __name__ == "__main__":
    main()
