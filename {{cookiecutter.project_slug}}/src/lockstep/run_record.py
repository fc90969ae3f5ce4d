"""What a run says, gathered from DVC, git and the machine, before any of it goes to MLflow."""

import getpass
import importlib.metadata
import json
import os
import platform
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lockstep import git
from lockstep.history import read_history
from lockstep.pipeline import COMPOSED, PARAMS, Pipeline, read_yaml
from lockstep.tracking import STATE_TAG

# MLflow's limits; https://mlflow.org/docs/latest/ml/tracking/
PARAM_LENGTH = 6000
TAG_LENGTH = 8000


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

    def __init__(
        self, pipeline: Pipeline, workspace: Path, root: Path, params: dict[str, Any]
    ) -> None:
        """Gather nothing yet.

        Args:
            pipeline: Of the workspace.
            workspace: Where the pipeline ran; for `dvc exp run --temp` a temporary copy.
            root: The project's own folder.
            params: The content of params.yaml.
        """
        self.pipeline = pipeline
        self.workspace = workspace
        self.root = root
        self._params = params
        self.registry: dict[str, Any] = params.get("registry") or {}

    @cached_property
    def name(self) -> str:
        """The DVC experiment's name; else the branch and the state."""
        experiment = os.environ.get("DVC_EXP_NAME")
        return experiment or f"{git.branch(self.root) or 'run'}-{self.pipeline.state[:7]}"

    @cached_property
    def params(self) -> dict[str, str]:
        """All params with dotted keys, as MLflow takes them; where runs are kept is no param."""
        chosen = {key: value for key, value in self._params.items() if key != "tracking"}
        return {_key(key): _text(value)[:PARAM_LENGTH] for key, value in flattened(chosen).items()}

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The numbers in the metric files, with dotted keys."""
        return {
            _key(key): float(value)
            for path in self.pipeline.metric_files()
            for key, value in flattened(_read_metrics(self.workspace / path)).items()
            if isinstance(value, int | float)
        }

    @cached_property
    def histories(self) -> list[str]:
        """The CSV files of metrics with steps."""
        files = [path for path in self.pipeline.shown if path.endswith(".csv")]
        return [path for path in files if read_history(self.workspace / path)]

    @cached_property
    def datasets(self) -> list[DataInput]:
        """The data that shaped the run."""
        origin = {
            "repository": git.remote_url(self.root) or "",
            "commit": git.commit(self.workspace) or "",
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
        shown = [path for path in self.pipeline.shown if path not in packaged]
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
        tags = {
            STATE_TAG: self.pipeline.state,
            "mlflow.user": _user(),
            "mlflow.source.name": "dvc.yaml",
            "mlflow.source.type": "PROJECT",
            "mlflow.source.git.commit": git.commit(self.workspace),
            "mlflow.source.git.branch": git.branch(self.root),
            "mlflow.source.git.repoURL": git.remote_url(self.root),
            "git.dirty": str(bool(self._changed)).lower(),
            "git.changed": ", ".join(self._changed),
            "dvc.experiment": os.environ.get("DVC_EXP_NAME"),
            "dvc.baseline": os.environ.get("DVC_EXP_BASELINE_REV"),
            "overrides": " ".join(self.overrides),
            "hardware.cpus": str(os.cpu_count()),
            "hardware.machine": platform.machine(),
            "system.platform": platform.platform(),
            "system.python": platform.python_version(),
            **{f"package.{name}": version for name, version in self._packages.items()},
            "mlflow.note.content": self.description,
        }
        return {key: value[:TAG_LENGTH] for key, value in tags.items() if value}

    @cached_property
    def version_tags(self) -> dict[str, str]:
        """The tags of the registered version: enough to find its way back."""
        wanted = (STATE_TAG, "mlflow.source.git.commit", "dvc.experiment", "git.dirty")
        return {key: self.tags[key] for key in wanted if key in self.tags}

    @cached_property
    def overrides(self) -> list[str]:
        """What the run was made with beyond conf/."""
        return list(self._composed.get("overrides", []))

    @cached_property
    def description(self) -> str:
        """The Markdown that heads the run's page in MLflow."""
        commit = git.commit(self.workspace)
        experiment = os.environ.get("DVC_EXP_NAME")
        lines = []
        if self.overrides:
            lines += [f"`conf/` with `{' '.join(self.overrides)}`", ""]
        lines += _metrics_table(self.metrics)
        lines += ["| data | md5 | read by |", "|---|---|---|"]
        lines += [
            f"| `{item.path}` | `{item.md5}` | {', '.join(item.read_by)} |"
            for item in self.datasets
        ]
        lines.append("")
        if commit:
            changed = ", ".join(f"`{name}`" for name in self._changed)
            note = f", and changes in {changed}" if changed else ""
            lines.append(f"Code: commit `{commit[:10]}`{note}")
        if experiment:
            lines.append(f"To have it back: `dvc exp apply {experiment}`, then `dvc repro`")
        elif commit:
            lines.append("To have it back: check out the commit with this dvc.lock, `dvc repro`")
        return "\n".join(lines)

    @cached_property
    def _changed(self) -> list[str]:
        """The files that differ from the commit, but for those that the pipeline writes."""
        return git.changed_files(self.workspace, ["dvc.lock", *self.pipeline.written])

    @cached_property
    def _composed(self) -> dict[str, Any]:
        composed: dict[str, Any] = read_yaml(self.workspace / COMPOSED) or {}
        return composed

    @cached_property
    def _packages(self) -> dict[str, str]:
        glue = {name: importlib.metadata.version(name) for name in ("dvc", "mlflow", "hydra-core")}
        return {**glue, **self._composed.get("packages", {})}


def flattened(value: Any, prefix: str = "") -> dict[str, Any]:
    """The leaves of nested mappings, by their dotted keys."""
    if not isinstance(value, dict) or not value:
        return {prefix: value} if prefix else {}
    leaves: dict[str, Any] = {}
    for key, item in value.items():
        leaves |= flattened(item, f"{prefix}.{key}" if prefix else str(key))
    return leaves


def _metrics_table(metrics: dict[str, float]) -> list[str]:
    """Each metric beside the baseline's, where the metric files hold a `baseline`."""
    names = [name for name in metrics if not name.startswith("baseline.")]
    rows = [
        f"| {name} | {metrics[name]:.4g} | {_number(metrics.get(f'baseline.{name}'))} |"
        for name in names
    ]
    return ["| metric | this run | baseline |", "|---|--:|--:|", *rows, ""] if rows else []


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _read_metrics(path: Path) -> Any:
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8"))
    return read_yaml(path)


def _key(key: str) -> str:
    """A key with only the characters that MLflow takes."""
    return re.sub(r"[^\w\-. :/]", "_", key)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _folder(path: Path, name: str) -> str | None:
    """The folder of an artifact: that of its own path; a folder keeps its name."""
    return name if path.is_dir() else (Path(name).parent.as_posix().strip(".") or None)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
