"""The stages of the generated project, as they stand in the template, and their config."""

import importlib
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf
from scaffold import TEMPLATE

STAGES = TEMPLATE / "{{cookiecutter.project_slug}}" / "src" / "{{cookiecutter.package_name}}"
PACKAGE = "project_stages"
CONFIG: dict[str, Any] = {
    "data": {
        "target": "outcome",
        "task": "classification",
        "drop": [],
        "time": None,
        "group": None,
        "types": {},
        "missing": ["", "na"],
        "table": None,
        "csv": {"delimiter": None, "encoding": None, "decimal": None},
    },
    "split": {"strategy": "stratified", "test_size": 0.2, "train_rows": None, "seed": 42},
}
Compose = Callable[..., DictConfig]


def stage(name: str) -> Any:
    """A module of the generated project."""
    if PACKAGE not in sys.modules:
        spec = spec_from_file_location(
            PACKAGE, STAGES / "__init__.py", submodule_search_locations=[str(STAGES)]
        )
        assert spec is not None
        sys.modules[PACKAGE] = module_from_spec(spec)
    return importlib.import_module(f"{PACKAGE}.{name}")


def composed(**values: Any) -> DictConfig:
    """The config of the stages; values given by name override it: `data__task="regression"`."""
    cfg = OmegaConf.create(CONFIG)
    for key, value in values.items():
        OmegaConf.update(cfg, key.replace("__", "."), value, merge=False)
    OmegaConf.set_struct(cfg, True)
    return cfg


@pytest.fixture
def cfg() -> DictConfig:
    """The config of the stages, without overrides."""
    return composed()
