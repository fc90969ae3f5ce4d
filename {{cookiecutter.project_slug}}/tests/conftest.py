"""Fixtures: the config of the project, and a small table to run it on."""

import copy
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

ROOT = Path(__file__).resolve().parent.parent
CONF = ROOT / "conf"
Compose = Callable[..., DictConfig]

# The settings of the section `data` for the small table, and a short evaluation.
SMALL: dict[str, Any] = {
    "data.target": "outcome",
    "data.drop": [],
    "data.time": None,
    "data.group": None,
    "data.types": {},
    "data.missing": ["", "na"],
    "data.exclude": [],
    "data.optional": [],
    "data.rename": {},
    "data.table": None,
    "data.csv": {"delimiter": None, "encoding": None, "decimal": None},
    "split.test_size": 0.2,
    "evaluate.importance": {"repeats": 1, "rows": 50},
    "evaluate.intervals.resamples": 50,
}


def compose_conf(*overrides: str) -> DictConfig:
    """Compose conf/ as DVC does."""
    return copy.deepcopy(_compose_once(overrides))


@functools.cache
def _compose_once(overrides: tuple[str, ...]) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base=None):
        cfg = compose("config", overrides=list(overrides))
    OmegaConf.resolve(cfg)
    return cfg


@pytest.fixture(scope="session")
def composed() -> Compose:
    """Composes conf/ for the small table; values given by name override it."""

    def composed_with(*overrides: str, **values: Any) -> DictConfig:
        cfg = compose_conf(*overrides)
        if cfg.split.strategy == "partitions":  # the small table is one file
            cfg.split.strategy = "random"
        named = {key.replace("__", "."): value for key, value in values.items()}
        for key, value in {**SMALL, **named}.items():
            OmegaConf.update(cfg, key, value, merge=False, force_add=True)
        OmegaConf.set_struct(cfg, True)
        return cfg

    return composed_with


@pytest.fixture
def cfg(composed: Compose) -> DictConfig:
    """The config for the small table, without overrides."""
    return composed()


@pytest.fixture(scope="session")
def task() -> str:
    """The task of this project: classification or regression."""
    return str(compose_conf().data.task)


@pytest.fixture(scope="session")
def table_once(task: str) -> pd.DataFrame:
    """The small table, typed: a column of each kind, some with missing values, and an outcome."""
    random = np.random.default_rng(0)
    rows = 120
    size = random.normal(10, 2, rows)
    outcome = size + random.normal(0, 1, rows)
    frame = pd.DataFrame(
        {
            "size": size,
            "weight": random.normal(0, 1, rows),
            "colour": random.choice(["red", "green", "blue"], rows),
            "is_new": random.random(rows) < 0.5,
            "sold": pd.date_range("2024-01-01", periods=rows, freq="31h").astype("datetime64[us]"),
            "outcome": np.where(outcome > 10, "high", "low")
            if task == "classification"
            else outcome,
        },
        index=pd.RangeIndex(1, rows + 1, name="row"),
    )
    frame.loc[frame.index % 10 == 3, ["weight", "colour", "sold"]] = None
    return frame


@pytest.fixture
def table(table_once: pd.DataFrame) -> pd.DataFrame:
    """The same, to be changed."""
    return table_once.copy()


@pytest.fixture
def features(table: pd.DataFrame) -> pd.DataFrame:
    """The columns to learn from."""
    return table.drop(columns="outcome")
