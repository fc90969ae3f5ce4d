"""A project as the commands see it; each part is read when it is first used."""

from functools import cached_property
from pathlib import Path
from typing import Any

from lockstep import LockstepError
from lockstep.config.settings import settings
from lockstep.dvc.environment import project_root
from lockstep.dvc.pipeline import Pipeline
from lockstep.files import packages_of, read_yaml
from lockstep.mlflow.store import Store
from lockstep.workspace import PARAMS, project_folder


class Project:
    """The files, the pipeline and the MLflow store of a project.

    Attributes:
        workspace: The folder that the pipeline runs in; for `dvc exp run --temp` a temporary copy.
        root: The project's own folder.
    """

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.root = project_root(workspace)

    @cached_property
    def params(self) -> dict[str, Any]:
        """The content of params.yaml; empty if the pipeline has not run yet."""
        return read_yaml(self.workspace / PARAMS) or {}

    @cached_property
    def packages(self) -> dict[str, str]:
        """The versions of the packages that shape a result, as composed.yaml records them."""
        return packages_of(self.workspace)

    @cached_property
    def settings(self) -> dict[str, str]:
        """The settings in pyproject.toml under `[tool.lockstep]`."""
        return settings(self.workspace)

    @cached_property
    def pipeline(self) -> Pipeline:
        """What dvc.yaml declares and dvc.lock records.

        Raises:
            LockstepError: There is no dvc.yaml with stages, or it is that of a subfolder.
        """
        top = project_folder(self.workspace.absolute())
        if not top.samefile(self.workspace):
            raise LockstepError(f"{self.workspace} is in the project {top}: run this there")
        return Pipeline(self.workspace)

    @cached_property
    def tracking(self) -> dict[str, Any]:
        """The config group `tracking`, even if the pipeline has not run yet.

        Raises:
            LockstepError: Neither params.yaml nor conf/ sets it.
        """
        params = self.params
        if not params:
            from lockstep.config.compose import composer  # imports Hydra

            with composer(self.workspace) as compose:
                params = compose([])
        if "tracking" not in params:
            raise LockstepError(f"{PARAMS} has no section `tracking`: set it in conf/")
        tracking: dict[str, Any] = params["tracking"]
        return tracking

    @cached_property
    def registry(self) -> dict[str, Any]:
        """The config group `registry`; empty if there is none."""
        return self.params.get("registry") or {}

    @property
    def model_name(self) -> str:
        """The name of the registered model.

        Raises:
            LockstepError: The config sets none, or this is not a project.
        """
        if not self.registry.get("name"):
            _ = self.pipeline  # fails with a better message where there is no project
            if not self.params:
                raise LockstepError(f"{PARAMS} does not exist yet: run `uv run dvc repro`")
            if not self.pipeline.models():
                raise LockstepError("dvc.yaml has no artifact of the type `model` to register")
            raise LockstepError("no model is registered: `name` is not set in conf/registry/")
        return str(self.registry["name"])

    @cached_property
    def trusted(self) -> set[str] | None:
        """The classes that a model of the store may contain besides the usual ones.

        None for any class, where the store is the project's own: it is as trusted as the folder
        that it is in. The classes are imported.
        """
        from lockstep.config.components import estimators_of

        return None if self.store.embedded else estimators_of(self.root)

    @cached_property
    def store(self) -> Store:
        """The MLflow store; opened when it is first used."""
        return Store(self.root, self.tracking)
