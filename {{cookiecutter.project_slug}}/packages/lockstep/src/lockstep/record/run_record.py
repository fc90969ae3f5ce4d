"""What a run shows, gathered from DVC, git and the machine before any of it goes to MLflow."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import lockstep
from lockstep.dvc.lock import LockedStage
from lockstep.files import read_yaml
from lockstep.history import read_history
from lockstep.mlflow import tag
from lockstep.mlflow.runs import DataInput, key_of
from lockstep.project import Project
from lockstep.record.metrics import metrics_of, metrics_table
from lockstep.record.provenance import Origin
from lockstep.values import flattened
from lockstep.workspace import COMPOSED, DVC_LOCK, DVC_YAML, PARAMS


class RunRecord:
    """The content of one run.

    Attributes:
        project: A project whose workspace holds the files that the run shows.
        snapshot: The commit of the code behind them; None without git.
    """

    def __init__(self, project: Project, origin: Origin, snapshot: str | None) -> None:
        self.project = project
        self.pipeline = project.pipeline
        self.workspace = project.workspace
        self.registry = project.registry
        self.origin = origin
        self.snapshot = snapshot

    @cached_property
    def name(self) -> str:
        """The DVC experiment's name; else the branch and the state."""
        return self.origin.name(self.pipeline.state)

    @cached_property
    def params(self) -> dict[str, str]:
        """All params by dotted keys, as MLflow accepts them, without those of the store itself."""
        chosen = {key: value for key, value in self.project.params.items() if key != "tracking"}
        return {
            key_of(key): _text(value)[: tag.PARAM_LENGTH]
            for key, value in flattened(chosen).items()
        }

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The numbers in the metric files, by dotted keys."""
        return metrics_of(self.pipeline)

    @cached_property
    def warnings(self) -> list[str]:
        """The `warnings` in the JSON files that the run shows: a list of texts in each."""
        files = [path for path in self.pipeline.published_paths if path.endswith(".json")]
        contents = [json.loads((self.workspace / path).read_text("utf-8")) for path in files]
        lists = [content.get("warnings", []) for content in contents if isinstance(content, dict)]
        return [" ".join(str(text).split()) for texts in lists for text in texts]

    @cached_property
    def histories(self) -> list[str]:
        """The CSV files of metrics with steps."""
        files = [path for path in self.pipeline.published_paths if path.endswith(".csv")]
        return [path for path in files if read_history(self.workspace / path)]

    @cached_property
    def datasets(self) -> list[DataInput]:
        """The data that shaped the run."""
        place = {"repository": self.origin.repository or "", "commit": self.origin.commit or ""}
        return [
            DataInput(path, md5, readers, {"path": path, "md5": md5, **place})
            for path, (md5, readers) in self.pipeline.data().items()
        ]

    @cached_property
    def artifacts(self) -> list[tuple[Path, str | None]]:
        """The files and folders of the run, each with its folder among the artifacts.

        These are the project's records, such as params.yaml, and what the publishing stage depends
        on, without the model and its example: MLflow keeps them as a model.
        """
        packaged = {
            path
            for model in self.pipeline.models()
            for path in (model["path"], (model.get("meta") or {}).get("example"))
        }
        published = [path for path in self.pipeline.published_paths if path not in packaged]
        paths = dict.fromkeys([*published, PARAMS, COMPOSED, DVC_YAML, DVC_LOCK])
        return [
            (self.workspace / path, _folder(self.workspace / path, path))
            for path in paths
            if (self.workspace / path).exists()
        ]

    @cached_property
    def tags(self) -> dict[str, str]:
        """Code, experiment, environment and machine behind the run, and its description."""
        tags = {
            tag.STATE: self.pipeline.state,
            tag.SOURCE_NAME: DVC_YAML,
            tag.SOURCE_TYPE: "PROJECT",
            **self.origin.tags,
            tag.SNAPSHOT: self.snapshot,
            tag.LOCKSTEP_VERSION: lockstep.__version__,
            tag.TEMPLATE_VERSION: self.project.settings.get("template"),
            "overrides": " ".join(self.overrides),
            tag.WARNINGS: "\n".join(self.warnings),
            **{f"package.{name}": version for name, version in self.project.packages.items()},
            **{
                f"{tag.STAGE_PREFIX}{stage.name}": _locked(stage)
                for stage in self.pipeline.upstream.values()
            },
            tag.NOTE: self.description,
        }
        return {key: value[: tag.RUN_TAG_LENGTH] for key, value in tags.items() if value}

    @cached_property
    def version_tags(self) -> dict[str, str]:
        """The tags of the registered version: enough to trace it."""
        wanted = (tag.STATE, tag.COMMIT, tag.EXPERIMENT, tag.DIRTY)
        sources = [item.md5 for item in self.datasets if item.path not in self.pipeline.outs]
        tags = {key: self.tags[key] for key in wanted if key in self.tags}
        return {**tags, tag.DATA: " ".join(sources)[: tag.VERSION_TAG_LENGTH]}

    @cached_property
    def overrides(self) -> list[str]:
        """The overrides that the run was made with, in addition to conf/."""
        return list((read_yaml(self.workspace / COMPOSED) or {}).get("overrides", []))

    @cached_property
    def description(self) -> str:
        """The Markdown at the top of the run's page in MLflow."""
        lines = []
        if self.warnings:
            lines += [*self.warning_list, ""]
        if self.overrides:
            lines += [f"`conf/` with `{' '.join(self.overrides)}`", ""]
        lines += metrics_table(self.metrics)
        return "\n".join([*lines, *self.data_table, "", *self.reproduce_hint])

    @property
    def warning_list(self) -> list[str]:
        """The warnings as a list in Markdown."""
        return [f"- **Warning**, {text}" for text in self.warnings]

    @property
    def data_table(self) -> list[str]:
        """A Markdown table of the data that shaped the run."""
        rows = [
            f"| `{item.path}` | `{item.md5}` | {', '.join(item.read_by)} |"
            for item in self.datasets
        ]
        return ["| data | md5 | read by |", "|---|---|---|", *rows]

    @cached_property
    def reproduce_hint(self) -> list[str]:
        """The code behind the run, and the command that rebuilds it; in Markdown."""
        lines = []
        if self.origin.commit:
            changed = ", ".join(f"`{name}`" for name in self.origin.changed)
            note = f", and changes in {changed}" if changed else ""
            lines += [f"Code: commit `{self.origin.commit[:10]}`{note}", ""]
        if self.snapshot:
            lines.append(f"Rebuild it: `uv run lockstep reproduce {self.name}`")
        return lines


def _locked(stage: LockedStage) -> str:
    """What a stage read and wrote, as JSON; MLflow's search finds the run by each md5 in it."""
    return json.dumps({"deps": stage.deps, "outs": stage.outs})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _folder(path: Path, name: str) -> str | None:
    """Where to put an artifact: a file into the folder of its path, a folder under its own name."""
    return name if path.is_dir() else (Path(name).parent.as_posix().strip(".") or None)
