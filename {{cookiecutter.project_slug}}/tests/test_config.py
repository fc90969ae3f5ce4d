"""conf/: every option of every group, and the schema that checks it."""

import re
import shlex
from typing import Any

import pytest
from conftest import CONF, compose_conf
from omegaconf import OmegaConf
from pydantic import ValidationError

from {{ cookiecutter.package_name }}.config import Config

OPTIONS = sorted(CONF.glob("*/*.yaml"))
COMMANDS = [
    line.removeprefix("# dvc exp run ")
    for path in OPTIONS
    for line in path.read_text(encoding="utf-8").splitlines()
    if line.startswith("# dvc exp run -S")
]

METRIC = compose_conf().evaluate.metrics[0].removeprefix("neg_")


def check(cfg: Any) -> Config:
    return Config.model_validate(OmegaConf.to_container(cfg))


@pytest.mark.parametrize("group", sorted({path.parent.name for path in OPTIONS}))
def test_every_option_composes_and_is_valid(group: str) -> None:
    for option in CONF.glob(f"{group}/*.yaml"):
        check(compose_conf(f"{group}={option.stem}"))


def test_the_commands_in_the_comments_work() -> None:
    assert COMMANDS
    for command in COMMANDS:
        arguments = shlex.split(command)
        assert set(arguments[::2]) == {"-S"}, command
        check(compose_conf(*arguments[1::2]))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("split.test_siz", 0.1, "Extra inputs"),
        ("split.test_size", 1.5, "must be"),
        ("split.seed", "one", "valid integer"),
        ("split.strategy", "radnom", "'random'"),
        ("data.types", {"size": "numbr"}, "not a kind"),
        ("evaluate.metrics", ["acuracy"], "did you mean accuracy?"),
        ("evaluate.importance.repeats", -1, "greater than or equal to 0"),
        ("model", {"n_estimators": 3}, "Field required"),
        ("registry.alias", "best one", "match pattern"),
        ("registry.alias", "champion", "lockstep promote"),
        ("registry.policy", "automatic", "'auto'"),
        ("registry.metric", "acuracy", "evaluate.metrics does not include acuracy"),
        ("registry.thresholds", {"acuracy": {"min": 0.9}}, "does not include acuracy"),
        ("registry.thresholds", {METRIC: {"least": 0.9}}, "Extra inputs"),
        ("registry.slices", {"size": {"acuracy": {"min": 0.9}}}, "does not include acuracy"),
    ],
)
def test_a_mistake_is_reported(key: str, value: Any, message: str) -> None:
    cfg = compose_conf()
    OmegaConf.update(cfg, key, value, merge=False, force_add=True)
    with pytest.raises(ValidationError, match=message.replace("?", r"\?")):
        check(cfg)


def test_model_and_metrics_of_the_other_task_are_named_with_those_of_this(task: str) -> None:
    cfg = compose_conf()
    cfg.data.task = other = "regression" if task == "classification" else "classification"
    with pytest.raises(ValidationError) as raised:
        check(cfg)
    found = {".".join(map(str, error["loc"])): error["msg"] for error in raised.value.errors()}
    assert set(found) == {"model._target_", "evaluate.metrics"}
    metrics, model = found["evaluate.metrics"], found["model._target_"]
    right = {"regression": "RandomForestRegressor", "classification": "RandomForestClassifier"}
    assert f"it is for {task}, and data.task is {other}" in model
    assert f"use sklearn.ensemble.{right[other]}, or data.task={task}" in model
    cfg.model._target_ = f"sklearn.ensemble.{right[other]}"
    cfg.evaluate.metrics = re.findall(r"\w+", metrics[metrics.index("[") : metrics.index("]")])
    assert check(cfg).data.task == other


def test_a_threshold_for_an_unknown_slice_is_reported() -> None:
    cfg = compose_conf("evaluate.slices=[colour]")
    cfg.registry.slices = {"size": {METRIC: {"max": 1.0}}}
    with pytest.raises(ValidationError, match=r"evaluate\.slices does not include size"):
        check(cfg)


def test_the_schema_holds_no_values() -> None:
    def defaults(model: Any) -> list[str]:
        fields = model.model_fields.values()
        inner = [field.annotation for field in fields if hasattr(field.annotation, "model_fields")]
        own = [name for name, field in model.model_fields.items() if not field.is_required()]
        return own + [name for each in inner for name in defaults(each)]

    of_commands, of_partitions = ["sweep", "monitor", "retrain"], ["exclude", "optional", "rename"]
    assert defaults(Config) == [*of_commands, *of_partitions]
