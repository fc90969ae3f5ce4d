"""What the dvc.yaml files of a project declare; all paths start at the project's folder."""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lockstep.workspace import DVC_YAML, PARAMS

# What the `meta` of a model in dvc.yaml may name: files that describe the model.
ROLES = ("example", "train", "test", "predictions", "evaluation", "partitions")


@dataclass(frozen=True)
class Stage:
    """A stage; of a matrix or a `foreach`, one of its stages.

    Attributes:
        name: As DVC addresses it from the project's folder: `train`, `train@north`, or
            `sub/dvc.yaml:train`.
        folder: Where its command runs.
        outs: What it makes, metrics and plots included.
        cached: The outs that DVC keeps; git keeps the others.
        persistent: The outs that it only creates, and people then edit.
        params: The keys that it reads, by param file; none for the whole file.
    """

    name: str
    cmd: str
    folder: str
    deps: list[str]
    outs: list[str]
    cached: list[str]
    persistent: list[str]
    metrics: list[str]
    params: dict[str, list[str]]

    @property
    def keys(self) -> list[str]:
        """The keys of params.yaml that it reads."""
        return self.params.get(PARAMS, [])


def stages_in(file: str, content: dict[str, Any]) -> Iterator[Stage]:
    """The stages of a resolved dvc.yaml."""
    for name, entry in content["stages"].items():
        folder = placed(posixpath.dirname(file), entry.get("wdir") or "")
        paths = {
            key: [(placed(folder, path), about) for path, about in _entries(entry.get(key))]
            for key in ("deps", "outs", "metrics", "plots")
        }
        made = [*paths["outs"], *paths["metrics"], *paths["plots"]]
        yield Stage(
            name=name if file == DVC_YAML else f"{file}:{name}",
            cmd=str(entry.get("cmd")),
            folder=folder,
            deps=[path for path, _ in paths["deps"]],
            outs=[path for path, _ in made],
            cached=[path for path, about in made if about.get("cache", True)],
            persistent=[path for path, about in made if about.get("persist")],
            metrics=[path for path, _ in paths["metrics"]],
            params=_params(folder, entry.get("params") or []),
        )


def artifacts_in(file: str, content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The artifacts of a resolved dvc.yaml, each with its `name`."""
    folder = posixpath.dirname(file)
    for name, entry in (content.get("artifacts") or {}).items():
        meta = {
            role: placed(folder, value) if role in ROLES and isinstance(value, str) else value
            for role, value in (entry.get("meta") or {}).items()
        }
        yield {**entry, "name": name, "path": placed(folder, entry["path"]), "meta": meta}


def placed(folder: str, path: str) -> str:
    """A path that starts at a folder, or is absolute or a URL, as it is in the project."""
    if "://" in path or posixpath.isabs(path):
        return path
    joined = posixpath.normpath(posixpath.join(folder, path))
    return "" if joined == "." else joined


def _entries(entries: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The paths in a list of dvc.yaml, each with its settings."""
    for entry in entries or []:
        if isinstance(entry, dict):
            yield from ((str(path), about or {}) for path, about in entry.items())
        else:
            yield str(entry), {}


def _params(folder: str, entries: list[Any]) -> dict[str, list[str]]:
    listed: dict[str, list[str]] = {}
    for entry in entries:
        files = entry if isinstance(entry, dict) else {PARAMS: [entry]}
        for file, keys in files.items():
            listed.setdefault(placed(folder, file), []).extend(map(str, keys or []))
    return listed
