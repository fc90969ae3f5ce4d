"""Package a model for MLflow: its file, signature, input example and pinned requirements."""

import contextlib
import functools
import importlib.metadata
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from lockstep import LockstepError
from lockstep.dvc.pipeline import Pipeline
from lockstep.mlflow.environment import configure_mlflow
from lockstep.processes import ProcessError, process_beside
from lockstep.secrets import secret_in

# Waits for the folder of an MLflow model; None where the pipeline has no model.
Package = Callable[[], Path | None]


@contextlib.contextmanager
def model_packager() -> Iterator[Callable[[Pipeline, Mapping[str, str]], Package]]:
    """Package models in another process, while this one imports MLflow and opens the store.

    Yields:
        `start(pipeline, versions)`. Its first artifact of type `model` is packaged: a joblib file,
        or a folder that is an MLflow model already. The versions are those of the packages that
        it was trained with. The call that it returns waits for the package, which is deleted after
        the `with` block; it raises a LockstepError if the model cannot be packaged.
    """
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary,
        process_beside() as submit,
    ):

        def start(pipeline: Pipeline, versions: Mapping[str, str]) -> Package:
            model = next(iter(pipeline.models()), None)
            if model is None:
                return lambda: None
            folder = Path(tempfile.mkdtemp(dir=temporary), "model")
            name = str(model["path"])
            if (pipeline.workspace / name).is_dir():
                return lambda: Path(shutil.copytree(pipeline.workspace / name, folder))
            example = pipeline.about_model().get("example")
            notes = submit(pipeline.workspace, save, name, example, folder, dict(versions))
            return functools.partial(_wait, notes, name, folder)

        yield start


def _wait(notes: "Future[list[str]]", name: str, folder: Path) -> Path:
    try:
        for note in notes.result():
            print(note)
    except ProcessError as error:
        raise LockstepError(f"the model {name} cannot be packaged:\n{error}") from error
    return folder


def save(
    model_file: str, example_file: str | None, folder: Path, versions: Mapping[str, str]
) -> list[str]:
    """Write an MLflow model; this is called in the other process, in the workspace.

    Args:
        model_file: A joblib file with an estimator that has `predict`.
        example_file: A Parquet file with a few rows of input.
        versions: Those of the packages that the model was trained with.

    Returns:
        Notes for the user.
    """
    configure_mlflow()
    import mlflow.sklearn

    from lockstep.adapters import sklearn

    model = sklearn.load_model(Path(model_file))
    signature, example = _signature(model, example_file) if example_file else (None, None)

    def write(format_name: str, types: list[str]) -> None:
        packages = {*sklearn.packages_behind(model, types), format_name}
        own = [_own_folder(name) for name in sorted(packages)]
        code = [str(_without_secrets(path, folder.with_name("code"))) for path in own if path]
        mlflow.sklearn.save_model(
            model,
            str(folder),
            code_paths=code or None,
            serialization_format=format_name,
            signature=signature,
            input_example=example,
            pip_requirements=_requirements(packages, versions),
            # The model comes from this project's own training; MLmodel records its types.
            skops_trusted_types=types or None,
        )

    try:
        types = sklearn.skops_types(model)
    except Exception as error:  # skops raises what the estimator's own code raises
        write(sklearn.CLOUDPICKLE, [])
        return [
            f"note: the model cannot be saved in the safe format skops ({error.__cause__ or error}"
            "); it is pickled: load it only where you trust its source"
        ]
    write(sklearn.SKOPS, types)
    return []


def _signature(model: Any, example_file: str) -> tuple[Any, Any]:
    """The signature of a model, and the rows that it was inferred from."""
    import pandas as pd
    from mlflow.models import infer_signature

    example = pd.read_parquet(example_file)
    predictions = pd.DataFrame(model.predict(example))
    several = predictions.shape[1] > 1
    predictions.columns = pd.Index(
        [f"prediction_{number}" for number in predictions] if several else ["prediction"]
    )
    return infer_signature(example, predictions.squeeze("columns")), example


def _requirements(packages: set[str], versions: Mapping[str, str]) -> list[str]:
    """What a server must install, pinned: MLflow and the packages behind the model.

    The versions are those of the training where known, else those installed.
    """
    names = {
        _distribution(package)
        for package in {"mlflow", "numpy", "pandas", *packages}
        if package not in sys.stdlib_module_names and not _own_folder(package)
    }
    return sorted(
        f"{name}=={versions.get(name) or importlib.metadata.version(name)}" for name in names
    )


def _distribution(package: str) -> str:
    """The name under which an imported package is installed."""
    if package == "sklearn":  # finding it out takes a third of a second
        return "scikit-learn"
    try:
        return str(importlib.metadata.metadata(package)["Name"])
    except importlib.metadata.PackageNotFoundError:
        return importlib.metadata.packages_distributions()[package][0]


def _own_folder(package: str) -> Path | None:
    """The folder of a package that is the project's own."""
    folder = Path("src") / package
    return folder if folder.is_dir() else None


def _without_secrets(package: Path, folder: Path) -> Path:
    """A copy of a package in a folder, without the files that look like secrets."""

    def ignored(parent: str, names: list[str]) -> list[str]:
        return [name for name in names if name == "__pycache__" or secret_in(Path(parent, name))]

    return Path(shutil.copytree(package, folder / package.name, ignore=ignored))
