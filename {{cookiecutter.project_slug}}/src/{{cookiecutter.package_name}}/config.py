"""The schema of conf/: keys, types and ranges. The values are in conf/ and nowhere else.

`lockstep compose` checks every composed config against `Config` before a stage runs.
"""

import difflib
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """A section of the config; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Component(BaseModel):
    """An object that Hydra creates: `_target_` names its class, the other keys are arguments."""

    model_config = ConfigDict(extra="allow", frozen=True)

    target: str = Field(alias="_target_", pattern=r"^\w+(\.\w+)+$", description="package.Class")


# What is known without importing scikit-learn: metrics, and the names of models, for each task.
METRICS = {  # in the order of conf/evaluate/default.yaml
    "classification": ["accuracy", "balanced_accuracy", "f1_macro", "roc_auc_ovr", "neg_log_loss"],
    "regression": ["neg_root_mean_squared_error", "neg_mean_absolute_error", "r2"],
}
MODELS = {
    "classification": re.compile(r"Classifier|LogisticRegression|SVC$|NB$|DiscriminantAnalysis$"),
    "regression": re.compile(r"Regressor|SVR$|\b(LinearRegression|Ridge|Lasso|ElasticNet)(CV)?$"),
}
SUFFIX = {"classification": "Classifier", "regression": "Regressor"}
Steps = dict[str, Component]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Csv(Section):
    """The format of a CSV file; null means that it is detected."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None
    encoding: str | None
    decimal: Literal[".", ","] | None


class Data(Section):
    """The raw table and its columns."""

    target: str = Field(min_length=1, description="the column to predict")
    task: Literal["classification", "regression"]
    drop: list[str]
    time: str | None = Field(description="the column that orders the rows")
    group: str | None = Field(description="rows with the same value here stay together")
    types: dict[str, str] = Field(description="column -> kind, or the format of a date")
    missing: list[str]
    exclude: list[str] = Field([], description="partitions to leave out")
    optional: list[str] = Field([], description="columns that some partitions lack")
    rename: dict[str, str] = Field({}, description="another name of a column -> its name")
    table: str | None = Field(description="in a SQLite or Excel file; null: that with the target")
    csv: Csv

    @field_validator("task", mode="before")
    @classmethod
    def _is_in_scope(cls, task: object) -> object:
        if task not in METRICS:
            raise ValueError(
                f"{task!r} is not a task: use classification or regression (clustering and "
                "the detection of anomalies are out of scope)"
            )
        return task

    @field_validator("types")
    @classmethod
    def _are_kinds(cls, types: dict[str, str]) -> dict[str, str]:
        for column, kind in types.items():
            if kind not in ("number", "category", "boolean", "date") and "%" not in kind:
                raise ValueError(
                    f"{column}: {kind!r} is not a kind; "
                    "use number, category, boolean, date, or a date format such as %d.%m.%Y"
                )
        return types


class Split(Section):
    """Which rows test the model."""

    strategy: Literal["random", "stratified", "group", "time", "partitions"]
    test_size: float = Field(gt=0, description="share of the rows, or number of partitions")
    train_rows: int | None = Field(gt=0, description="number of the other rows to train on")
    seed: Seed

    @field_validator("test_size")
    @classmethod
    def _is_a_share_or_a_number(cls, size: float, info: ValidationInfo) -> float:
        if info.data.get("strategy") != "partitions":
            if size >= 1:
                raise ValueError("a share of the rows must be less than 1")
        elif size < 1 or size % 1:
            raise ValueError("the number of partitions must be 1, 2, 3 ...")
        return size


class Preprocess(Section):
    """The transformers of each kind of column."""

    number: Steps
    category: Steps
    boolean: Steps
    date: Steps


class Importance(Section):
    """Permutation importance."""

    repeats: int = Field(ge=0, description="0: none")
    rows: int = Field(ge=1, description="maximum number of test rows")


class Intervals(Section):
    """Bootstrap intervals of the metrics."""

    confidence: float = Field(gt=0, lt=1)
    resamples: int = Field(ge=0, description="0: none")


class Evaluate(Section):
    """The metrics and how they are computed."""

    metrics: list[str] = Field(min_length=1, description="names of scikit-learn's scorers")
    intervals: Intervals
    slices: list[str] | None = Field(description="columns; null: categories with few values")
    importance: Importance

    @field_validator("metrics")
    @classmethod
    def _are_scorers(cls, metrics: list[str]) -> list[str]:
        if not set(metrics) <= {name for names in METRICS.values() for name in names}:
            from sklearn.metrics import get_scorer_names  # slow to import

            for name in set(metrics).difference(get_scorer_names()):
                close = difflib.get_close_matches(name, get_scorer_names(), n=1)
                hint = f"; did you mean {close[0]}?" if close else ""
                raise ValueError(f"scikit-learn has no scorer {name}{hint}")
        return metrics


class Tracking(Section):
    """Where the runs are published."""

    experiment: str = Field(min_length=1, max_length=500)
    uri: str | None = Field(description="null: mlflow.db in the project's folder")
    live: bool = Field(description="stream metrics during training")
    snapshot_limit: Annotated[float, Field(gt=0, strict=False)] = Field(
        description="megabytes per file that git does not ignore"
    )
    snapshot_include: list[str] = Field(
        description="files of the snapshot, even if they look like secrets"
    )


class Bound(Section):
    """The lowest and the highest value that a metric may have."""

    min: float | None = None
    max: float | None = None


class Registry(Section):
    """The registered model, and what a version must achieve to become the champion."""

    name: str = Field(min_length=1, pattern=r"^[^/:]+$")
    alias: str = Field(pattern=r"^[\w-]+$", description="alias of the newest version")
    policy: Literal["manual", "auto", "none"] = Field(description="who moves the alias champion")
    metric: str | None = Field(description="decides; null: the first metric")
    direction: Literal["maximize", "minimize"] | None = Field(
        description="null: that of the scorer"
    )
    margin: float = Field(description="required lead over the champion")
    confidence: float = Field(gt=0, lt=1, description="level of the interval")
    resamples: int = Field(ge=100, description="bootstrap resamples")
    thresholds: dict[str, Bound] = Field(description="metric -> bound")
    slices: dict[str, dict[str, Bound]] = Field(description="column -> metric -> bound")
    leak: Literal["warn", "refuse"] = Field(description="of a model with a warning `leak: ...`")

    @field_validator("alias")
    @classmethod
    def _is_not_the_champion(cls, alias: str) -> str:
        if alias == "champion":
            raise ValueError("only `lockstep promote` and policy: auto make a champion")
        return alias


class Sweep(Section):
    """The search space of `lockstep sweep`, and how it is searched."""

    space: dict[str, str | dict[str, str]] = Field(description="[option ->] key -> values to try")
    n_trials: int = Field(ge=1)
    timeout: Annotated[float, Field(gt=0, strict=False)] | None = Field(description="seconds")
    metric: str
    direction: Literal["maximize", "minimize"] | None = Field(
        description="null: that of the scorer"
    )
    seed: Seed
    name: Annotated[str, Field(pattern=r"^[\w.-]+$")] | None
    storage: str | None = Field(description="null: a file in sweeps/")
    stage: str
    objective: Component
    sampler: Component
    pruner: Component | None
    engine: Component


Share = Annotated[float, Field(ge=0, le=1)]


class Monitor(Section):
    """When new data are unusual, for `lockstep monitor`."""

    least_rows: int = Field(ge=1)
    ignore: list[str]
    false_alarms: float = Field(gt=0, lt=1)
    floors: dict[str, float]
    columns: dict[str, dict[str, float]] = Field(description="column -> measure -> floor")
    classifier: Share
    missing: Share
    unseen: Share
    invalid: Share
    worse: float = Field(ge=0)
    confidence: float = Field(gt=0, lt=1)
    windows: int = Field(ge=1)
    of: int = Field(ge=1)


class Retrain(Section):
    """When a model is trained again, for `lockstep retrain`."""

    reasons: list[Literal["data", "alarm"]] = Field(min_length=1)
    per_day: int = Field(ge=1)
    pause: Annotated[float, Field(ge=0, strict=False)] = Field(description="hours")
    feedback: str | None
    push: bool


class Config(Section):
    """All of conf/."""

    environment: list[str] = Field(description="packages whose versions shape a result")
    data: Data
    split: Split
    preprocess: Preprocess
    model: Component
    evaluate: Evaluate
    tracking: Tracking
    registry: Registry
    sweep: Sweep | None = None
    monitor: Monitor | None = None
    retrain: Retrain | None = None

    @field_validator("model")
    @classmethod
    def _model_suits_the_task(cls, model: Component, info: ValidationInfo) -> Component:
        if "data" not in info.data:  # it is wrong itself
            return model
        name, (task, other) = model.target, _tasks(info)
        if MODELS[other].search(name) and not MODELS[task].search(name):
            same = name.removesuffix(SUFFIX[other]) + SUFFIX[task]
            cure = same if name.endswith(SUFFIX[other]) else f"a model for {task}"
            raise _wrong_task("_target_", name, info, cure)
        return model

    @field_validator("evaluate")
    @classmethod
    def _metrics_suit_the_task(cls, evaluate: Evaluate, info: ValidationInfo) -> Evaluate:
        if "data" not in info.data:
            return evaluate
        task, other = _tasks(info)
        if set(METRICS[other]).intersection(evaluate.metrics):
            cure = f"[{', '.join(METRICS[task])}]"
            raise _wrong_task("metrics", evaluate.metrics, info, cure)
        return evaluate

    @field_validator("registry")
    @classmethod
    def _names_measured_metrics(cls, registry: Registry, info: ValidationInfo) -> Registry:
        if evaluate := info.data.get("evaluate"):
            measured = [name.removeprefix("neg_") for name in evaluate.metrics]
            _require([registry.metric or measured[0]], measured, "evaluate.metrics")
            for asked in (registry.thresholds, *registry.slices.values()):
                _require(asked, measured, "evaluate.metrics")
            if evaluate.slices is not None:
                _require(registry.slices, evaluate.slices, "evaluate.slices")
        return registry


def _tasks(info: ValidationInfo) -> tuple[str, str]:
    """The task of the project, and the other one."""
    task = info.data["data"].task
    return task, next(name for name in SUFFIX if name != task)


def _wrong_task(key: str, value: Any, info: ValidationInfo, cure: str) -> ValidationError:
    """The error about a key in the section that is checked."""
    task, other = _tasks(info)
    text = f"it is for {other}, and data.task is {task}; use {cure}, or data.task={other}"
    error = PydanticCustomError("task", "{text}", {"text": text})
    return ValidationError.from_exception_data(
        "task", [{"type": error, "loc": (key,), "input": value}]
    )


def _require(asked: Iterable[str], known: list[str], key: str) -> None:
    for name in asked:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ValueError(
                f"{key} does not include {name}, only {', '.join(known) or 'nothing'}{hint}"
            )
