"""What a run shows, gathered from DVC, git and the machine before any of it goes to MLflow."""

import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import lockstep
from lockstep.dvc.durations import Duration, durations, last_session
from lockstep.files import read_yaml
from lockstep.history import read_history
from lockstep.mlflow import tag
from lockstep.mlflow.keys import key_of, keyed, param_of
from lockstep.mlflow.runs import DataInput
from lockstep.project import Project
from lockstep.record.metrics import metrics_of
from lockstep.record.provenance import SEPARATOR, Origin
from lockstep.report.markdown import table
from lockstep.values import leaves, selected
from lockstep.workspace import COMPOSED, DVC_YAML, PARAMS

DIGITS = 8  # of an md5, enough to tell the files of a project from each other


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
    def model(self) -> str:
        """What the model is called: the chosen option of the config group `model`, or its class."""
        target = selected(self.project.params, "model._target_")
        return self.options.get("model") or str(target or "").rpartition(".")[2]

    @cached_property
    def label(self) -> str:
        """What tells the run from others with the same model."""
        return self.origin.label(self.pipeline.state)

    @cached_property
    def name(self) -> str:
        """The model and the label."""
        return SEPARATOR.join(part for part in (self.model, self.label) if part)

    @cached_property
    def durations(self) -> dict[str, Duration]:
        """How long each stage took, as far as that is known."""
        return durations(self.project.root, self.pipeline.upstream)

    @property
    def started(self) -> int:
        """When the first of the stages that just ran started, in milliseconds since 1970."""
        return self.origin.time - round(1000 * last_session(self.durations.values()))

    @property
    def registered_model(self) -> str | None:
        """The name of the registered model; None if the project registers none."""
        return self.registry.get("name") if self.pipeline.models() else None

    @cached_property
    def params(self) -> dict[str, str]:
        """What made the model, as MLflow accepts it: the chosen options and the params.

        The params are those of the stages that lead to the model, by dotted keys, except for empty
        ones; of another file than params.yaml, after its name, as DVC writes them.

        Raises:
            LockstepError: Two of them would have the same name in MLflow.
        """
        params = {
            path if file == PARAMS else (f"{file}:{path[0]}", *path[1:]): value
            for file, listed in self.pipeline.params_of_model.items()
            for key, section in listed.items()
            for path, value in leaves(section, tuple(key.split(".")))
            if file != COMPOSED and value not in (None, "", [], {})
        }
        groups = {path[0] for path in params}
        options = {
            (group,): name
            for group, name in self.options.items()
            if name != "default" and group in groups
        }
        named = (
            (json.dumps(path, ensure_ascii=False), ".".join(path), param_of(value))
            for path, value in (options | params).items()
        )
        return keyed("params", named)

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The numbers in the metric files, by dotted keys."""
        return metrics_of(self.pipeline)

    @cached_property
    def warnings(self) -> list[str]:
        """The `warnings` in the JSON files that the run shows: a list of texts in each."""
        files = [path for path in self.pipeline.published_paths if path.endswith(".json")]
        contents = [json.loads((self.workspace / path).read_text("utf-8")) for path in files]
        lists = [content.get("warnings") for content in contents if isinstance(content, dict)]
        texts = [text for texts in lists if isinstance(texts, list) for text in texts]
        return [" ".join(str(text).split()) for text in texts]

    @cached_property
    def histories(self) -> list[str]:
        """The CSV files of metrics with steps."""
        files = [path for path in self.pipeline.published_paths if path.endswith(".csv")]
        return [path for path in files if read_history(self.workspace / path)]

    @cached_property
    def steps(self) -> list[tuple[str, float, int]]:
        """Name, value and step of the metrics with steps.

        Raises:
            LockstepError: Two columns of a file would have the same name in MLflow.
        """
        found = []
        for path in self.histories:
            rows = read_history(self.workspace / path)
            columns = dict.fromkeys(name for name, _, _ in rows)
            keyed("metrics", ((f"{name!r} in {path}", name, None) for name in columns))
            found += [(key_of(name), value, step) for name, value, step in rows]
        return found

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
            for model in self.pipeline.models()[:1]
            for path in (model["path"], model["meta"].get("example"))
        }
        published = [path for path in self.pipeline.published_paths if path not in packaged]
        locks = self.pipeline.locks
        paths = dict.fromkeys([*published, PARAMS, COMPOSED, *locks, *locks.values()])
        return [
            (self.workspace / path, _folder(self.workspace / path, path))
            for path in paths
            if (self.workspace / path).exists()
        ]

    @cached_property
    def tags(self) -> dict[str, str]:
        """What the run is found by: state, code, experiment, options and files."""
        stages = self.pipeline.upstream.values()
        digests = [md5 for stage in stages for md5 in (stage.deps | stage.outs).values()]
        tags = {
            tag.OVERRIDES: " ".join(self.overrides),
            tag.STATE: self.pipeline.state,
            tag.SOURCE_NAME: DVC_YAML,
            tag.SOURCE_TYPE: "PROJECT",
            **self.origin.tags,
            tag.SNAPSHOT: self.snapshot,
            tag.WARNINGS: "\n".join(self.warnings),
            tag.FILES: " ".join(sorted({md5[:DIGITS] for md5 in digests if md5})),
        }
        return {key: value[: tag.RUN_TAG_LENGTH] for key, value in tags.items() if value}

    @cached_property
    def environment(self) -> dict[str, str]:
        """The machine, and the versions of tools and packages; what is unknown is left out."""
        return {
            **self.origin.machine,
            **{tag.PACKAGE_PREFIX + name: value for name, value in self.project.packages.items()},
            "lockstep.version": lockstep.__version__,
            "lockstep.template": self.project.settings.get("template", ""),
        }

    @cached_property
    def version_tags(self) -> dict[str, str]:
        """The tags of the registered version: enough to trace it."""
        sources = data_of(self.pipeline.sources().values())
        tags = {key: self.tags.get(key) for key in (tag.STATE, tag.COMMIT)}
        return {key: value for key, value in {**tags, tag.DATA: sources}.items() if value}

    @cached_property
    def options(self) -> dict[str, str]:
        """The chosen option of each config group."""
        return dict(self._composed.get("options", {}))

    @cached_property
    def overrides(self) -> list[str]:
        """The overrides that the run was made with, in addition to conf/."""
        return list(self._composed.get("overrides", []))

    @cached_property
    def _composed(self) -> dict[str, Any]:
        return read_yaml(self.workspace / COMPOSED) or {}

    @property
    def warning_list(self) -> list[str]:
        """The warnings as a list in Markdown."""
        return [f"- **Warning**, {text}" for text in self.warnings]

    @property
    def data_table(self) -> list[str]:
        """A Markdown table of the data that shaped the run."""
        rows = [
            [f"`{data.path}`", f"`{data.md5}`", ", ".join(data.read_by)] for data in self.datasets
        ]
        return table(["data", "md5", "read by"], rows)

    @property
    def stage_table(self) -> list[str]:
        """A Markdown table of the stages: how long each took, and what it wrote."""
        rows = []
        for stage in self.pipeline.upstream.values():
            took = self.durations.get(stage.name)
            wrote = ", ".join(f"`{path}` {md5[:DIGITS]}" for path, md5 in stage.outs.items())
            name = f"{stage.name}, {took.place}" if took and took.place else stage.name
            rows.append([name, f"{took.seconds:.1f}" if took else "", wrote])
        return table(["stage", "seconds", "wrote"], rows, numeric=["seconds"])


def data_of(md5s: Iterable[str]) -> str:
    """The md5s of the sources, as the tag `dvc.data` holds them."""
    return " ".join(md5s)[: tag.VERSION_TAG_LENGTH]


def _folder(path: Path, name: str) -> str | None:
    """Where to put an artifact: a file into the folder of its path, a folder under its own name."""
    return name if path.is_dir() else (Path(name).parent.as_posix().strip(".") or None)
