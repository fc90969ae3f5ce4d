"""Package a model for MLflow: its file, signature, input example and pinned requirements."""

import contextlib
import functools
import importlib
import importlib.metadata
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from lockstep import LockstepError
from lockstep.adapters.kinds import kind_of
from lockstep.config.packages import distribution
from lockstep.dvc.pipeline import Pipeline
from lockstep.mlflow.environment import configure_mlflow
from lockstep.mlflow.load import load_any
from lockstep.processes import ProcessError, process_beside
from lockstep.secrets import secret_in
from lockstep.values import digest

IMPORTS_LOCKSTEP = (
    "note: the code behind the model imports lockstep, so it loads only where that is installed; "
    "move the model's class or function to a module that does not"
)
# Waits for the folder of an MLflow model; None where the pipeline has no model.
Package = Callable[[], Path | None]


@contextlib.contextmanager
def model_packager() -> Iterator[Callable[[Pipeline, Mapping[str, str]], Package]]:
    """Package models in another process, while this one imports MLflow and opens the store.

    Yields:
        `start(pipeline, versions)`. Its first artifact of type `model` is packaged: a file or
        folder of a kind in `lockstep.adapters`, or an MLflow model as it is; another one becomes a
        model that MLflow keeps but cannot load. The versions are those of the packages that
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
            if (pipeline.workspace / name / "MLmodel").is_file():
                return lambda: Path(shutil.copytree(pipeline.workspace / name, folder))
            about = pipeline.about_model()
            arguments = name, about.get("example"), folder, dict(versions), about.get("load")
            notes = submit(pipeline.workspace, save, *arguments)
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
    model_file: str,
    example_file: str | None,
    folder: Path,
    versions: Mapping[str, str],
    load: str | None = None,
) -> list[str]:
    """Write an MLflow model; this is called in the other process, in the workspace.

    Args:
        model_file: A model of any kind that `lockstep.adapters` knows, or any other file or folder.
        example_file: A Parquet file with a few rows of input.
        versions: Those of the packages that the model was trained with.
        load: The dotted name of a function of the project that loads the model.

    Returns:
        Notes for the user.
    """
    configure_mlflow()
    kind = kind_of(Path(model_file), load)
    if kind is None:
        return _keep(Path(model_file), folder)
    example = _example(example_file) if example_file else None
    own = [_own_folder(name) for name in sorted(kind.packages)]
    code = [str(_without_secrets(path, folder.with_name("code"))) for path in own if path]
    options = dict(kind.options)
    if kind.loader:
        # Python keeps modules by their names, and a process may load several models.
        loader = folder.with_name(f"lockstep_loader_{digest(kind.loader)[:8]}.py")
        loader.write_text(kind.loader, encoding="utf-8")
        code.append(str(loader))
        options["loader_module"] = loader.stem
    known = versions if code else {}  # what is the project's own may need any of them
    importlib.import_module(f"mlflow.{kind.flavor}").save_model(
        *kind.arguments,
        path=str(folder),
        code_paths=code or None,
        signature=_signature(kind.predict, example) if kind.predict else None,
        input_example=example,
        pip_requirements=_requirements(kind.packages, versions, known),
        **options,
    )
    if kind.predict is None:
        from mlflow.models import Model

        metadata = Model.load(str(folder))
        metadata.signature = _signature(load_any(folder, trusted=None).predict, example)
        metadata.save(str(folder / "MLmodel"))
    imports_this = "lockstep" in kind.packages
    return [*filter(None, [kind.note]), *([IMPORTS_LOCKSTEP] if imports_this else [])]


def _keep(file: Path, folder: Path) -> list[str]:
    """Write a model that MLflow keeps without knowing how to load it."""
    from mlflow.models import Model

    folder.mkdir()
    copy = shutil.copytree if file.is_dir() else shutil.copyfile
    copy(file, folder / file.name)
    Model().save(str(folder / "MLmodel"))
    return [
        f"note: {file} is of no kind that MLflow can load, so it is kept as it is; "
        "in dvc.yaml, `meta: {load: package.module.function}` of the model names what loads it"
    ]


def _example(file: str) -> Any:
    import pandas as pd

    return pd.read_parquet(file)


def _signature(predict: Callable[[Any], Any], example: Any) -> Any:
    """The signature of a model for the rows of an example; None without one."""
    if example is None:
        return None
    import pandas as pd
    from mlflow.models import infer_signature

    predictions = pd.DataFrame(predict(example))
    several = predictions.shape[1] > 1
    predictions.columns = pd.Index(
        [f"prediction_{number}" for number in predictions] if several else ["prediction"]
    )
    return infer_signature(example, predictions.squeeze("columns"))


def _requirements(
    packages: Set[str], versions: Mapping[str, str], further: Collection[str]
) -> list[str]:
    """What a server must install, pinned: MLflow and the packages behind the model.

    The versions are those of the training where known, else those installed.

    Args:
        packages: By import name.
        further: By the name under which they are installed, and `python`.
    """
    installed = {
        name
        for package in {"mlflow", "numpy", "pandas", *packages}
        if package not in {*sys.stdlib_module_names, "lockstep"} and not _own_folder(package)
        if (name := distribution(package))
    }
    return sorted(
        f"{name}=={versions.get(name) or importlib.metadata.version(name)}"
        for name in installed.union(further) - {"python"}
    )


def _own_folder(package: str) -> Path | None:
    """The folder of a package that is the project's own."""
    folder = Path("src") / package
    return folder if folder.is_dir() else None


def _without_secrets(package: Path, folder: Path) -> Path:
    """A copy of a package in a folder, without the files that look like secrets."""

    def ignored(parent: str, names: list[str]) -> list[str]:
        return [name for name in names if name == "__pycache__" or secret_in(Path(parent, name))]

    return Path(shutil.copytree(package, folder / package.name, ignore=ignored))
