"""Turn a fitted model, as DVC keeps it, into a file that MLflow serves; a process of `package`'s.

DVC keeps a joblib file: it is bit-identical when the same model is trained again. MLflow gets the
skops format, which runs no code when it is loaded.
"""

import importlib.metadata
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from lockstep.files import packages_of
from lockstep.garbage import collect_seldom

# The line that ends what is said of one model.
DONE = "lockstep: done"


def main() -> None:
    """Serialize one model after another, as lines of standard input ask for it.

    A line is a JSON list: the workspace, and as paths in it the joblib file and a Parquet file with
    a few rows of input or an empty word; then the folder to write to.
    """
    collect_seldom()
    import joblib  # noqa: F401  (while the first line is on its way)

    installed = list(sys.path)
    for line in sys.stdin:
        workspace, model, example, folder = json.loads(line)
        os.chdir(workspace)
        # The model's own classes come from the code that it was trained with.
        sys.path[:] = [str(Path(workspace, "src")), *installed]
        try:
            serialize(Path(model), Path(example) if example else None, Path(folder))
        except Exception:  # whatever the model's own code raises
            traceback.print_exc()
        print(DONE, flush=True)


def serialize(model_file: Path, example_file: Path | None, folder: Path) -> None:
    """Write the model's file, its answers to the example, and what MLflow has to know of them.

    Args:
        model_file: A joblib file with an estimator that has `predict`.
        example_file: A Parquet file with a few rows of input.
        folder: An empty folder. It gets `about.json`, the file that it names as `file`, and
            `predictions.parquet` when there is an example.
    """
    import joblib

    model = joblib.load(model_file)
    about = _dumped(model, folder)
    packages = {"sklearn", type(_last_step(model)).__module__.partition(".")[0]}
    packages |= {name.partition(".")[0] for name in about["types"]}
    packages.add(about["format"])
    about |= {
        "sklearn_version": importlib.metadata.version("scikit-learn"),
        "requirements": _requirements(packages),
        "code": [str(path) for name in sorted(packages) if (path := _workspace_folder(name))],
    }
    if example_file:
        import pandas as pd

        answers = pd.DataFrame(model.predict(pd.read_parquet(example_file)))
        names = [f"prediction_{number}" for number in answers] if answers.shape[1] > 1 else None
        answers.columns = pd.Index(names or ["prediction"])
        answers.to_parquet(folder / "predictions.parquet")
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")


def _dumped(model: Any, folder: Path) -> dict[str, Any]:
    import skops.io

    try:
        skops.io.dump(model, folder / "model.skops")
        types = skops.io.get_untrusted_types(file=folder / "model.skops")
    except Exception as error:  # skops raises what the estimator's own code raises
        import cloudpickle

        print(
            f"note: the model cannot be kept in the safe format skops ({error}); "
            "it is pickled: load it only where you trust its source"
        )
        with (folder / "model.pkl").open("wb") as stream:
            cloudpickle.dump(model, stream)
        return {"file": "model.pkl", "format": "cloudpickle", "types": []}
    # The model comes from this project's own training; MLmodel records what it is made of.
    return {"file": "model.skops", "format": "skops", "types": types}


def _last_step(model: Any) -> Any:
    return model.steps[-1][1] if hasattr(model, "steps") else model


def _requirements(packages: set[str]) -> list[str]:
    """What a server must install, pinned: MLflow and the packages that the model is made of.

    The versions are those that it was trained with, where composed.yaml tells them.
    """
    names = {
        _distribution(package)
        for package in {"mlflow", "numpy", "pandas", *packages}
        if package not in sys.stdlib_module_names and not _workspace_folder(package)
    }
    trained = packages_of(Path())
    return sorted(
        f"{name}=={trained.get(name) or importlib.metadata.version(name)}" for name in names
    )


def _distribution(package: str) -> str:
    """The name under which an imported package is installed."""
    if package == "sklearn":  # asking for it takes a third of a second
        return "scikit-learn"
    try:
        return str(importlib.metadata.metadata(package)["Name"])
    except importlib.metadata.PackageNotFoundError:
        return importlib.metadata.packages_distributions()[package][0]


def _workspace_folder(package: str) -> Path | None:
    """The folder of a package that is the project's own."""
    folder = Path("src") / package
    return folder if folder.is_dir() else None


if __name__ == "__main__":
    main()
