"""Measure the time and the peak memory of `lockstep predict` for inputs of different sizes.

    .venv/bin/python benchmarks/predict.py                    1 and 10 million rows
    .venv/bin/python benchmarks/predict.py 1 10 50            and 50
    .venv/bin/python benchmarks/predict.py --project DIR 1    with a project that has a result

The model is a logistic regression with the preprocessing of a new project; input and output are
Parquet files.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Lab

INPUT = """
import sys
import pandas as pd, pyarrow as pa, pyarrow.parquet as pq

table = pa.Table.from_pandas(pd.read_parquet("data/train.parquet").drop(columns="species"))
table = pa.concat_tables([table] * (100_000 // len(table) + 1)).slice(0, 100_000)
with pq.ParquetWriter(sys.argv[1], table.schema) as writer:
    for _ in range(int(float(sys.argv[2]) * 10)):
        writer.write_table(table)
"""


def main() -> None:
    """Run the benchmark."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("millions", type=float, nargs="*", default=[1, 10])
    parser.add_argument("--project", type=Path, help="instead of a new one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.project:
            project, env = arguments.project, {**os.environ}
            env["PATH"] = f"{project / '.venv' / 'bin'}{os.pathsep}{env['PATH']}"
        else:
            lab = Lab(Path(folder))
            lab.run(["dvc", "exp", "run", "-S", "model=logistic"], lab.project)
            project, env = lab.project, lab.env
        for millions in arguments.millions:
            source, target = Path(folder, "in.parquet"), Path(folder, "out.parquet")
            made = ["python", "-c", INPUT, str(source), str(millions)]
            subprocess.run(made, cwd=project, env=env, check=True)
            seconds, peak = measured(source, target, project, env)
            print(
                f"{millions:6g} million rows {seconds:8.1f} s {peak:6.0f} MB at the most",
                flush=True,
            )
            target.unlink()


def measured(source: Path, target: Path, project: Path, env: dict[str, str]) -> tuple[float, float]:
    """The seconds and the peak megabytes of one call."""
    start = time.perf_counter()
    model = f"models:/{project.name}@challenger"
    command = ["lockstep", "predict", str(source), str(target), "--model", model]
    process = subprocess.Popen(command, cwd=project, env=env, stdout=subprocess.DEVNULL)
    _, code, usage = os.wait4(process.pid, 0)
    if code:
        sys.exit(f"{' '.join(command)} failed")
    return time.perf_counter() - start, usage.ru_maxrss / (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
