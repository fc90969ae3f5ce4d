"""What a version of the model was trained and tested on, found by its run."""

import importlib
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lockstep import LockstepError
from lockstep.dvc.cache import fetch
from lockstep.gate.candidate import Candidate, candidate_of_run
from lockstep.mlflow import runs
from lockstep.mlflow.load import load_any
from lockstep.mlflow.registry import download_model, version_called
from lockstep.record.metrics import beside_baseline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlflow import MlflowClient
    from omegaconf import DictConfig

    from lockstep.project import Project

TARGET = "actual"  # the column with the true values in a table of predictions


@dataclass(frozen=True)
class Reference:
    """A version of the model, the rows behind it, and how it did on those that tested it.

    Attributes:
        number: The version.
        run_id: Its run.
        rows: The rows that it was trained and tested on.
        tested: The rows that it was tested on.
        predictions: Its predictions for those, and the true values, in the same order.
        metrics: The names of the run's metrics; the deciding one first.
        directions: `maximize` or `minimize`, by metric.
        suffix: Of the file of test rows, which the project's `scoring` reads.
        config: The params that the version was made with.
        incoming: The project's module that reads new data, if it has one.
        slices: The columns whose values the pipeline's evaluation scores separately.
    """

    number: str
    run_id: str
    rows: pd.DataFrame
    tested: pd.DataFrame
    predictions: pd.DataFrame
    metrics: list[str]
    directions: "Mapping[str, str]"
    suffix: str
    config: "DictConfig"
    incoming: Any
    _predict: "Callable[[Path], pd.DataFrame]"
    _scorer: "Callable[..., Any]"
    slices: "Sequence[str]" = ()

    @cached_property
    def target(self) -> str | None:
        """The column that the model predicts, `data.target`; None if the config has no such key."""
        from omegaconf import OmegaConf

        name = OmegaConf.select(self.config, "data.target")
        return str(name) if name in self.tested else None

    @cached_property
    def measured(self) -> dict[str, float]:
        """Its metrics on the rows that it was tested on."""
        everything = np.arange(len(self.predictions))
        return dict(self.measure(self.predictions)(everything))

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The model's predictions for rows with the columns of `tested`."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"rows{self.suffix}"
            _write(rows, file)
            return self._predict(file)

    def measure(
        self, predictions: pd.DataFrame, names: "Sequence[str]" = ()
    ) -> "Callable[[Any], dict[str, float]]":
        """A function that computes the metrics of predictions, given the positions of rows.

        Args:
            names: Some of the metrics; by default, all.
        """
        measure: Callable[[Any], dict[str, float]]
        measure = self._scorer(predictions, list(names) or self.metrics)
        return measure


def reference_of(client: "MlflowClient", project: "Project", word: str) -> Reference:
    """The reference of a version, by its number or an alias.

    Raises:
        LockstepError: There is no such version, or its data are not available.
    """
    from omegaconf import DictConfig, OmegaConf

    version = version_called(client, project.model_name, word)
    number = str(version.version)
    run = runs.any_run(client, version.run_id)
    scoring = project.settings.get("scoring")
    if run is None:
        raise LockstepError(f"version {number} has no run, so its data are unknown")
    if scoring is None:
        raise LockstepError("pyproject.toml sets no `scoring` under [tool.lockstep]")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        candidate = candidate_of_run(client, run, project.pipeline, Path(folder))
        if candidate.test is None or candidate.predictions is None:
            raise LockstepError(
                f"version {number} has no test rows or predictions: dvc.yaml names them under the "
                "model's meta, as `test` and `predictions`"
            )
        path, md5 = candidate.test
        tested = _rows(project.root, path, md5, Path(folder))
        train = project.pipeline.about_model().get("train")
        digests = runs.input_digests(run)
        seen = (
            [_rows(project.root, train, digests[train], Path(folder))] if train in digests else []
        )
        module = importlib.import_module(scoring)
        incoming = project.settings.get("incoming")
        about = candidate.evaluation.get("metrics", {})
        config = OmegaConf.load(candidate.params)
        assert isinstance(config, DictConfig)
        return Reference(
            number,
            str(version.run_id),
            pd.concat([*seen, tested], ignore_index=True),
            tested,
            pd.read_parquet(candidate.predictions),
            _metrics(candidate, project.registry.get("metric")),
            {name: values.get("direction", "maximize") for name, values in about.items()},
            Path(path).suffix,
            config,
            importlib.import_module(incoming) if incoming else None,
            _predictor(client, project, version, config, module),
            module.scorer,
            list(candidate.evaluation.get("slices", {})),
        )


def _rows(root: Path, path: str, md5: str, folder: Path) -> pd.DataFrame:
    file = folder / Path(path).name
    fetch(root, md5, file)
    return pd.read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file)


def _write(rows: pd.DataFrame, file: Path) -> None:
    if file.suffix == ".csv":
        rows.to_csv(file, index=False)
    else:
        rows.to_parquet(file)


def _metrics(candidate: Candidate, deciding: str | None) -> list[str]:
    names = [name for name, _, _ in beside_baseline(candidate.metrics)]
    return sorted(names, key=lambda name: name != deciding)


def _predictor(
    client: "MlflowClient", project: "Project", version: Any, config: "DictConfig", module: Any
) -> "Callable[[Path], pd.DataFrame]":
    """Predicts a file of rows with the version's model, by the project's `scoring`."""
    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    saved = download_model(client, version, Path(folder.name))
    model = load_any(saved, project.trusted)

    def predict(rows: Path) -> pd.DataFrame:
        _ = folder  # where a model may stay until it has predicted
        predictions: pd.DataFrame = module.predict(model, rows, config)
        return predictions

    return predict
