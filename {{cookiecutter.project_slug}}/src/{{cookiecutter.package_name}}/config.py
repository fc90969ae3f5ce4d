"""The shape of conf/: its keys, their types and ranges. The values live in conf/, and only there.

`lockstep compose` checks every composed config against `Config` before a stage runs.
"""

import difflib
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator


class Section(BaseModel):
    """A part of the config in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Component(BaseModel):
    """What Hydra instantiates: `_target_` names a class, the other keys are its arguments."""

    model_config = ConfigDict(extra="allow", frozen=True)

    target: str = Field(alias="_target_", pattern=r"^\w+(\.\w+)+$", description="package.Class")


COMMON_METRICS = {
    *("accuracy", "balanced_accuracy", "f1_macro", "roc_auc_ovr", "neg_log_loss"),
    *("neg_root_mean_squared_error", "neg_mean_absolute_error", "r2"),
}
Steps = dict[str, Component]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Csv(Section):
    """How a CSV file is written; null is found out."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None
    encoding: str | None
    decimal: Literal[".", ","] | None


class Data(Section):
    """The raw table, and what is in it."""

    target: str = Field(min_length=1, description="the column to predict")
    task: Literal["classification", "regression"]
    drop: list[str]
    time: str | None = Field(description="the column that orders the rows")
    group: str | None = Field(description="the column that tells which rows belong together")
    types: dict[str, str] = Field(description="column -> kind, or the format of a date")
    missing: list[str]
    csv: Csv

    @field_validator("types")
    @classmethod
    def _are_kinds(cls, types: dict[str, str]) -> dict[str, str]:
        for column, kind in types.items():
            if kind not in ("number", "category", "boolean", "date") and "%" not in kind:
                raise ValueError(
                    f"{column}: {kind!r} is no kind; "
                    "use number, category, boolean, date, or a date's format such as %d.%m.%Y"
                )
        return types


class Split(Section):
    """Which rows test the model."""

    strategy: Literal["random", "stratified", "group", "time"]
    test_size: float = Field(gt=0, lt=1, description="share of the rows")
    seed: Seed


class Preprocess(Section):
    """For each kind of column, the transformers that it goes through."""

    number: Steps
    category: Steps
    boolean: Steps
    date: Steps


class Importance(Section):
    """Permutation importance."""

    repeats: int = Field(ge=0, description="0 leaves it out")
    rows: int = Field(ge=1, description="at most so many test rows")


class Intervals(Section):
    """Bootstrap intervals of the metrics."""

    confidence: float = Field(gt=0, lt=1)
    resamples: int = Field(ge=0, description="0 leaves them out")


class Evaluate(Section):
    """What is measured."""

    metrics: list[str] = Field(min_length=1, description="names of scikit-learn's scorers")
    intervals: Intervals
    slices: list[str] | None = Field(description="columns; null: categories with few values")
    importance: Importance

    @field_validator("metrics")
    @classmethod
    def _are_scorers(cls, metrics: list[str]) -> list[str]:
        if not set(metrics) <= COMMON_METRICS:
            from sklearn.metrics import get_scorer_names  # slow to import

            for name in set(metrics).difference(get_scorer_names()):
                close = difflib.get_close_matches(name, get_scorer_names(), n=1)
                hint = f"; did you mean {close[0]}?" if close else ""
                raise ValueError(f"scikit-learn has no scorer {name}{hint}")
        return metrics


class Tracking(Section):
    """Where MLflow shows the runs."""

    experiment: str = Field(min_length=1, max_length=500)
    uri: str | None = Field(description="null: mlflow.db in the project's folder")
    live: bool = Field(description="stream the metrics of a training while it runs")
    snapshot_limit: Annotated[float, Field(gt=0, strict=False)] = Field(
        description="megabytes a file, of what git tracks or does not ignore"
    )


class Bound(Section):
    """What a metric must be at least, or at most."""

    min: float | None = None
    max: float | None = None


class Registry(Section):
    """Where MLflow registers the models, and what one must be to become the champion."""

    name: str = Field(min_length=1, pattern=r"^[^/:]+$")
    alias: str = Field(pattern=r"^[\w-]+$", description="of the newest version")
    policy: Literal["manual", "auto", "none"] = Field(description="who moves the champion")
    metric: str | None = Field(description="the one that decides; null: the first")
    direction: Literal["maximize", "minimize"] | None = Field(description="null: the scorer's")
    margin: float = Field(description="by which the champion must be beaten")
    confidence: float = Field(gt=0, lt=1, description="of the difference's interval")
    resamples: int = Field(ge=100, description="of the bootstrap")
    thresholds: dict[str, Bound] = Field(description="metric -> bound")
    slices: dict[str, dict[str, Bound]] = Field(description="column -> metric -> bound")

    @field_validator("alias")
    @classmethod
    def _is_not_the_champion(cls, alias: str) -> str:
        if alias == "champion":
            raise ValueError("a version becomes champion by `lockstep promote`, or policy auto")
        return alias


class Sweep(Section):
    """What `lockstep sweep` tries, and how."""

    space: dict[str, str | dict[str, str]] = Field(description="[option ->] key -> what is tried")
    n_trials: int = Field(ge=1)
    timeout: Annotated[float, Field(gt=0, strict=False)] | None = Field(description="seconds")
    metric: str
    direction: Literal["maximize", "minimize"] | None = Field(description="null: the scorer's")
    seed: Seed
    name: Annotated[str, Field(pattern=r"^[\w.-]+$")] | None
    storage: str | None = Field(description="null: a file in sweeps/")
    stage: str
    objective: Component
    sampler: Component
    pruner: Component | None
    engine: Component


class Config(Section):
    """Everything in conf/."""

    environment: list[str] = Field(description="packages whose versions shape a result")
    data: Data
    split: Split
    preprocess: Preprocess
    model: Component
    evaluate: Evaluate
    tracking: Tracking
    registry: Registry
    sweep: Sweep | None = None

    @field_validator("registry")
    @classmethod
    def _asks_what_is_measured(cls, registry: Registry, info: ValidationInfo) -> Registry:
        if evaluate := info.data.get("evaluate"):
            measured = [name.removeprefix("neg_") for name in evaluate.metrics]
            _require([registry.metric or measured[0]], measured, "evaluate.metrics measures")
            for asked in (registry.thresholds, *registry.slices.values()):
                _require(asked, measured, "evaluate.metrics measures")
            if evaluate.slices is not None:
                _require(registry.slices, evaluate.slices, "evaluate.slices names")
        return registry


def _require(asked: Iterable[str], known: list[str], who: str) -> None:
    for name in asked:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ValueError(f"{who} no {name}, but {', '.join(known) or 'none'}{hint}")
