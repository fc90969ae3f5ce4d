"""Models, data and predictions by name, for notebooks and scripts in any folder of the project.

These functions are `lockstep.load`, `lockstep.data` and `lockstep.predictions`; `import lockstep`
alone loads nothing of this.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from lockstep import LockstepError, git
from lockstep.adapters import sklearn
from lockstep.champion.alias import CHAMPION
from lockstep.dvc.cache import fetch
from lockstep.dvc.history import pipeline_at
from lockstep.dvc.pipeline import Pipeline
from lockstep.lineage.target import Target, resolve_target
from lockstep.mlflow import runs
from lockstep.mlflow.load import load_any, load_pyfunc
from lockstep.mlflow.package import save
from lockstep.mlflow.registry import download_model_of
from lockstep.mlflow.uri import CHECK_ADDRESS
from lockstep.project import Project
from lockstep.values import nearest
from lockstep.workspace import DVC_YAML, project_folder

READERS = {".parquet": pd.read_parquet, ".pq": pd.read_parquet, ".csv": pd.read_csv}


def load(model: str = CHAMPION) -> Any:
    """Load a trained model.

    Args:
        model: An alias (`champion`, `challenger`) or the number of a version of the project's
            registered model; `models:/name@alias`; a run's name or id; a DVC experiment; or a git
            revision.

    Returns:
        The fitted estimator, the booster, or MLflow's `PyFuncModel`: something with `predict`.

    Raises:
        LockstepError: There is no such model, it is not available, or it is not trusted.

    Example:
        >>> model = lockstep.load("champion")
        >>> model.predict(lockstep.data("data/test.parquet")[model.feature_names_in_])
    """
    project, target = _resolve(model)
    with _temporary_folder() as folder:
        if target.run is None:
            declared = _declared(pipeline_at(project.root, target.revision), target)
            file = _fetched(project, declared["path"], target, folder)
            if file.suffix in sklearn.PICKLES:
                return sklearn.load_model(file)
            if (file / "MLmodel").is_file():
                return load_pyfunc(file)
            with contextlib.chdir(project.root):  # where the code behind it is
                save(str(file), None, folder / "packaged", {}, declared.get("load"))
            return load_any(folder / "packaged", trusted=None)
        with project.store.errors_explained(CHECK_ADDRESS):
            place = download_model_of(target.run, folder)
        return load_any(place, project.trusted)


def data(path: str, run: str | None = None, **options: Any) -> pd.DataFrame:
    """Read a Parquet or CSV file of the project.

    Args:
        path: The path of the file in the project, such as `data/train.parquet`.
        run: Whose file: a name that `load` takes. By default, the one in the workspace; where it is
            missing, the one that dvc.lock records, from DVC.
        options: Passed on to `pandas.read_parquet` or `pandas.read_csv`.

    Returns:
        The table.

    Raises:
        LockstepError: There is no such file, or it is not available.

    Example:
        >>> lockstep.data("data/train.parquet").describe()
        >>> lockstep.data("metrics/history.csv", run="champion")
    """
    if run is None:
        project, target = _project(), None
        if (project.root / path).is_file():
            return _read(project.root / path, options)
    else:
        project, target = _resolve(run)
    with _temporary_folder() as folder:
        return _read(_fetched(project, Path(path).as_posix(), target, folder), options)


def predictions(run: str = CHAMPION) -> pd.DataFrame:
    """The predictions of a run's model for its test rows.

    Args:
        run: A name that `load` takes.

    Returns:
        As the stage `evaluate` wrote them: `actual`, `predicted`, and for a classifier
        `probability.CLASS` of each class. The index is that of the test rows.

    Raises:
        LockstepError: There is no such run, or its predictions are not available.

    Example:
        >>> table = lockstep.predictions("champion")
        >>> (table["actual"] - table["predicted"]).abs().nlargest(10)
    """
    project, target = _resolve(run)
    path = _declared(pipeline_at(project.root, target.revision), target).get("predictions")
    if path is None:
        raise LockstepError(f"{DVC_YAML} of {target.name} names no predictions in the model's meta")
    with _temporary_folder() as folder:
        file = None
        if target.run:
            with project.store.errors_explained(CHECK_ADDRESS):
                client = project.store.client()
            file = runs.download(client, target.run.info.run_id, path, folder)
        return _read(file or _fetched(project, path, target, folder), {})


def _project() -> Project:
    """The project around the current folder."""
    start = Path.cwd()
    for folder in (project_folder(start), start, *start.parents):
        if (folder / DVC_YAML).is_file():
            return Project(folder)
    raise LockstepError(f"{start} is not in a project: no folder around it has a {DVC_YAML}")


def _resolve(word: str) -> tuple[Project, Target]:
    """What a name stands for."""
    project = _project()
    if word in (CHAMPION, project.registry.get("alias")):  # no other name, if nobody has it yet
        word = f"models:/{project.model_name}@{word}"
    return project, resolve_target(word, project)


def _declared(pipeline: Pipeline, target: Target) -> dict[str, str]:
    """The path of the model, and those of the files that describe it, by role."""
    model = next(iter(pipeline.models()), None)
    if model is None:
        raise LockstepError(f"{DVC_YAML} of {target.name} declares no artifact of type model")
    return {"path": str(model["path"]), **pipeline.about_model()}


def _fetched(project: Project, path: str, target: Target | None, folder: Path) -> Path:
    """A file or folder of a run, or of the workspace, copied out of git or DVC."""
    pipeline = pipeline_at(project.root, target.revision) if target else project.pipeline
    digests: dict[str, str] = {}
    for stage in pipeline.locked.values():
        digests |= {**stage.deps, **stage.outs}
    if target and path.endswith(".csv"):
        name = f"{target.revision}:{git.prefix(project.root)}{path}"
        if (text := git.git("show", name, cwd=project.root)) is not None:
            file = folder / Path(path).name
            file.write_text(text, encoding="utf-8")
            return file
    for place in (Path(path), *Path(path).parents):
        if md5 := digests.get(place.as_posix()):
            fetch(project.root, md5, folder / place.name)
            file = folder / place.name / Path(path).relative_to(place)
            if file.exists():
                return file
    state = target.name if target else "this project"
    raise LockstepError(
        f"{path} is neither a file of {state} nor in its dvc.lock{nearest(path, digests)}"
    )


def _read(file: Path, options: dict[str, Any]) -> pd.DataFrame:
    reader = READERS.get(file.suffix)
    if reader is None:
        raise LockstepError(
            f"{file.name} is not a table: its name ends with none of {', '.join(READERS)}"
        )
    table: pd.DataFrame = reader(file, **options)
    return table


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield Path(folder)
