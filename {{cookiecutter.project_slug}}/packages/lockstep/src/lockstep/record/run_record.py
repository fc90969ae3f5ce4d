"""What a run says, gathered from DVC, git and the machine, before any of it goes to MLflow."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lockstep.dvc.lock import LockedStage
from lockstep.dvc.pipeline import Pipeline
from lockstep.files import read_yaml
from lockstep.history import read_history
from lockstep.mlflow import tag
from lockstep.record.provenance import Origin
from lockstep.values import flattened, number
from lockstep.workspace import COMPOSED, PARAMS


@dataclass(frozen=True)
class DataInput:
    """A file or folder of data that shaped the run.

    Attributes:
        md5: DVC's; MLflow shows it as the digest.
        read_by: The stages that read it.
        source: Where it can be had again: path, md5, and the repository with its commit.
    """

    path: str
    md5: str
    read_by: list[str]
    source: dict[str, str]


class RunRecord:
    """The content of one run."""

    def __init__(self, pipeline: Pipeline, origin: Origin, snapshot: str | None) -> None:
        """Gather nothing yet.

        Args:
            pipeline: That of a workspace which holds what the run shows.
            origin: Where that comes from.
            snapshot: The commit of the code behind it.
        """
        self.pipeline = pipeline
        self.workspace = pipeline.workspace
        self.origin = origin
        self.snapshot = snapshot
        self._params: dict[str, Any] = read_yaml(self.workspace / PARAMS) or {}
        self.registry: dict[str, Any] = self._params.get("registry") or {}

    @cached_property
    def name(self) -> str:
        """The DVC experiment's name; else the branch and the state."""
        return self.origin.name(self.pipeline.state)

    @cached_property
    def params(self) -> dict[str, str]:
        """All params with dotted keys, as MLflow takes them; where runs are kept is no param."""
        chosen = {key: value for key, value in self._params.items() if key != "tracking"}
        return {
            _key(key): _text(value)[: tag.PARAM_LENGTH] for key, value in flattened(chosen).items()
        }

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The numbers in the metric files, with dotted keys."""
        return metrics_of(self.pipeline)

    @cached_property
    def histories(self) -> list[str]:
        """The CSV files of metrics with steps."""
        files = [path for path in self.pipeline.published_paths if path.endswith(".csv")]
        return [path for path in files if read_history(self.workspace / path)]

    @cached_property
    def datasets(self) -> list[DataInput]:
        """The data that shaped the run."""
        origin = {
            "repository": self.origin.repository or "",
            "commit": self.origin.commit or "",
        }
        return [
            DataInput(path, md5, readers, {"path": path, "md5": md5, **origin})
            for path, (md5, readers) in self.pipeline.data().items()
        ]

    @cached_property
    def artifacts(self) -> list[tuple[Path, str | None]]:
        """Files and folders to show with the run, each with its folder there.

        That is params.yaml and the like, and what the publishing stage depends on; the model and
        its example go to MLflow as a model.
        """
        packaged = {
            path
            for model in self.pipeline.models()
            for path in (model["path"], (model.get("meta") or {}).get("example"))
        }
        shown = [path for path in self.pipeline.published_paths if path not in packaged]
        records = [PARAMS, COMPOSED, "dvc.yaml", "dvc.lock"]
        paths = {path: _folder(self.workspace / path, path) for path in [*shown, *records]}
        return [
            (self.workspace / path, folder)
            for path, folder in paths.items()
            if (self.workspace / path).exists()
        ]

    @cached_property
    def tags(self) -> dict[str, str]:
        """Where the run comes from: code, experiment, environment, machine; and its description."""
        origin = self.origin
        tags = {
            tag.STATE: self.pipeline.state,
            "mlflow.user": origin.user,
            "mlflow.source.name": "dvc.yaml",
            "mlflow.source.type": "PROJECT",
            tag.COMMIT: origin.commit,
            "mlflow.source.git.branch": origin.branch,
            "mlflow.source.git.repoURL": origin.repository,
            "git.dirty": str(bool(origin.changed)).lower(),
            "git.changed": ", ".join(origin.changed),
            tag.SNAPSHOT: self.snapshot,
            "dvc.experiment": origin.experiment,
            "dvc.baseline": origin.baseline,
            "overrides": " ".join(self.overrides),
            **origin.machine,
            **{f"package.{name}": version for name, version in self.packages.items()},
            **{
                f"{tag.STAGE_PREFIX}{stage.name}": _locked(stage)
                for stage in self.pipeline.upstream.values()
            },
            tag.NOTE: self.description,
        }
        return {key: value[: tag.RUN_TAG_LENGTH] for key, value in tags.items() if value}

    @cached_property
    def version_tags(self) -> dict[str, str]:
        """The tags of the registered version: enough to find its way back."""
        wanted = (tag.STATE, tag.COMMIT, "dvc.experiment", "git.dirty")
        sources = [item.md5 for item in self.datasets if item.path not in self.pipeline.outs]
        kept = {key: self.tags[key] for key in wanted if key in self.tags}
        return {**kept, tag.DATA: " ".join(sources)[: tag.RUN_TAG_LENGTH]}

    @cached_property
    def overrides(self) -> list[str]:
        """What the run was made with beyond conf/."""
        return list(self._composed.get("overrides", []))

    @cached_property
    def description(self) -> str:
        """The Markdown that heads the run's page in MLflow."""
        lines = []
        if self.overrides:
            lines += [f"`conf/` with `{' '.join(self.overrides)}`", ""]
        lines += _metrics_table(self.metrics)
        lines += ["| data | md5 | read by |", "|---|---|---|"]
        lines += [
            f"| `{item.path}` | `{item.md5}` | {', '.join(item.read_by)} |"
            for item in self.datasets
        ]
        return "\n".join([*lines, "", *self.reproduce_hint])

    @cached_property
    def reproduce_hint(self) -> list[str]:
        """Which code it was, and how to have it back; in Markdown."""
        lines = []
        if self.origin.commit:
            changed = ", ".join(f"`{name}`" for name in self.origin.changed)
            note = f", and changes in {changed}" if changed else ""
            lines += [f"Code: commit `{self.origin.commit[:10]}`{note}", ""]
        if self.snapshot:
            lines.append(f"Rebuild it: `uv run lockstep reproduce {self.name}`")
        return lines

    @cached_property
    def _composed(self) -> dict[str, Any]:
        composed: dict[str, Any] = read_yaml(self.workspace / COMPOSED) or {}
        return composed

    @cached_property
    def packages(self) -> dict[str, str]:
        """The versions of the packages that shape a result."""
        return dict(self._composed.get("packages", {}))


def metrics_of(pipeline: Pipeline) -> dict[str, float]:
    """The numbers in the metric files of a workspace, as a run shows them."""
    return {
        _key(key): float(value)
        for path in pipeline.metric_files()
        for key, value in flattened(_read_metrics(pipeline.workspace / path)).items()
        if isinstance(value, int | float)
    }


def digests_of(run: Any) -> dict[str, str]:
    """The digests of a run's data, by path."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return {item.dataset.name: item.dataset.digest for item in inputs}


def _metrics_table(metrics: dict[str, float]) -> list[str]:
    """Each metric beside the baseline's, where the metric files hold a `baseline`."""
    names = [name for name in metrics if not name.startswith("baseline.")]
    rows = [
        f"| {name} | {metrics[name]:.4g} | {number(metrics.get(f'baseline.{name}'), '')} |"
        for name in names
    ]
    return ["| metric | this run | baseline |", "|---|--:|--:|", *rows, ""] if rows else []


def _read_metrics(path: Path) -> Any:
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8"))
    return read_yaml(path)


def _key(key: str) -> str:
    """A key with only the characters that MLflow takes."""
    return re.sub(r"[^\w\-. :/]", "_", key)


def _locked(stage: LockedStage) -> str:
    """What a stage read and wrote, by md5: MLflow finds the run by any of it."""
    return json.dumps({"deps": stage.deps, "outs": stage.outs})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _folder(path: Path, name: str) -> str | None:
    """The folder of an artifact: that of its own path; a folder keeps its name."""
    return name if path.is_dir() else (Path(name).parent.as_posix().strip(".") or None)
