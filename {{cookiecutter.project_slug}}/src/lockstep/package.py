"""Turn a fitted model, as DVC keeps it, into an MLflow model, as it is served.

DVC keeps a joblib file: it is bit-identical when the same model is trained again. MLflow gets the
skops format, which runs no code when it is loaded. `publish` starts this as a process of its own:
importing scikit-learn and importing MLflow's store then take place side by side.
"""

import contextlib
import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lockstep import LockstepError
from lockstep.pipeline import Pipeline
from lockstep.tracking import configure_mlflow


@contextlib.contextmanager
def packaged_model(pipeline: Pipeline) -> Iterator[Callable[[], Path | None]]:
    """Package the pipeline's model in a process of its own, while this one opens the store.

    Args:
        pipeline: Its first artifact of type `model` is packaged: a joblib file, or a folder that
            is an MLflow model already.

    Yields:
        A function that waits for the MLflow model and returns its folder, which is gone after the
        block; None when the pipeline has no model. It raises LockstepError when packaging failed.
    """
    workspace = pipeline.workspace
    models = [workspace / entry["path"] for entry in pipeline.models()]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        if not models:
            yield lambda: None
            return
        if models[0].is_dir():
            yield lambda: shutil.copytree(models[0], folder)
            return
        example = (pipeline.models()[0].get("meta") or {}).get("example", "")
        process = subprocess.Popen(
            [sys.executable, "-m", "lockstep.package", str(models[0]), example, str(folder)],
            cwd=workspace,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )

        def packaged() -> Path:
            output, _ = process.communicate()
            if process.returncode:
                raise LockstepError(f"the model {models[0].name} cannot be packaged:\n{output}")
            for line in output.splitlines():
                if line.startswith("note:"):
                    print(line)
            return folder

        try:
            yield packaged
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def main(arguments: list[str]) -> None:
    """Package a model.

    Args:
        arguments: The joblib file, a Parquet file with a few rows of input or an empty word, and
            the folder to write.
    """
    model, example, folder = arguments
    package(Path(model), Path(example) if example else None, Path(folder))


def package(model_file: Path, example_file: Path | None, folder: Path) -> None:
    """Write an MLflow model with signature, input example and pinned requirements.

    Args:
        model_file: A joblib file with an estimator that has `predict`.
        example_file: A Parquet file with a few rows of input.
        folder: The folder to write; it must not exist.
    """
    configure_mlflow()
    import joblib
    import mlflow.sklearn
    import skops.io

    model = joblib.load(model_file)
    options: dict[str, Any] = {}
    if example_file:
        import pandas as pd
        from mlflow.models import infer_signature

        example = pd.read_parquet(example_file)
        options["input_example"] = example
        options["signature"] = infer_signature(example, model.predict(example))
    try:
        types = skops.io.get_untrusted_types(data=skops.io.dumps(model))
        # The model comes from this project's own training; MLmodel records what it is made of.
        options |= {"serialization_format": "skops", "skops_trusted_types": types}
    except Exception as error:  # skops raises what the estimator's own code raises
        print(
            f"note: the model cannot be kept in the safe format skops ({error}); "
            "it is pickled: load it only where you trust its source",
            file=sys.stderr,
        )
        types = []
        options["serialization_format"] = "cloudpickle"
    packages = {"sklearn", "skops", type(_last_step(model)).__module__.partition(".")[0]}
    packages |= {name.partition(".")[0] for name in types}
    mlflow.sklearn.save_model(
        model,
        folder,
        pip_requirements=_requirements(packages),
        code_paths=_own_code(packages),
        **options,
    )


def _last_step(model: Any) -> Any:
    return model.steps[-1][1] if hasattr(model, "steps") else model


def _requirements(packages: set[str]) -> list[str]:
    """What a server must install, pinned: MLflow and the packages that the model is made of."""
    names = {
        _distribution(package)
        for package in {"mlflow", "numpy", "pandas", *packages}
        if package not in sys.stdlib_module_names and not _workspace_folder(package)
    }
    return sorted(f"{name}=={importlib.metadata.version(name)}" for name in names)


def _distribution(package: str) -> str:
    """The name under which an imported package is installed."""
    if package == "sklearn":  # asking for it takes a third of a second
        return "scikit-learn"
    try:
        return str(importlib.metadata.metadata(package)["Name"])
    except importlib.metadata.PackageNotFoundError:
        return importlib.metadata.packages_distributions()[package][0]


def _own_code(packages: set[str]) -> list[str] | None:
    """The folders of the project's own packages that the model is made of."""
    folders = [folder for package in sorted(packages) if (folder := _workspace_folder(package))]
    return [str(folder) for folder in folders] or None


def _workspace_folder(package: str) -> Path | None:
    folder = Path("src") / package
    return folder if folder.is_dir() else None


if __name__ == "__main__":
    main(sys.argv[1:])
