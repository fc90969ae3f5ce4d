"""Windows of new data for `lockstep monitor`, and a project to judge them."""

from pathlib import Path

import numpy as np
import pandas as pd
from tiny import Tiny

CONF = Path(__file__).parent.parent / "{{cookiecutter.project_slug}}" / "conf"


def limits() -> str:
    """The limits of a new project."""
    return (CONF / "monitor" / "default.yaml").read_text(encoding="utf-8")


def watch(project: Tiny) -> None:
    """Make a champion that was trained on 400 rows and tested on 200."""
    line(600, seed=0).to_csv(project.path / "data" / "raw.csv", index=False)
    project.edit("conf/data/default.yaml", "rows: 3", "rows: 400")
    project.edit("conf/config.yaml", "- sweep: null", "- sweep: null\n  - monitor: null")
    project.write(
        "conf/monitor/default.yaml", limits().replace("least_rows: 200", "least_rows: 100")
    )
    project.edit(
        "dvc.yaml", "test: data/test.csv", "train: data/train.csv\n      test: data/test.csv"
    )
    project.run("dvc", "commit", "--quiet", "--force", "data/raw.csv.dvc")
    project.repro()
    project.commit("more rows")
    project.lockstep("publish")
    project.lockstep("promote")


def line(count: int, seed: int, shift: float = 0.0, noise: float = 1.0) -> pd.DataFrame:
    """Rows of y = 2 x with noise."""
    random = np.random.default_rng(seed)
    x = random.normal(size=count) + shift
    return pd.DataFrame({"x": x, "y": 2 * x + noise * random.normal(size=count)})


def save(project: Tiny, name: str, rows: pd.DataFrame) -> str:
    """Save a window of data; its path."""
    path = project.path / "new" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    (rows.to_parquet if path.suffix == ".parquet" else rows.to_csv)(path, index=False)
    return path.relative_to(project.path).as_posix()
