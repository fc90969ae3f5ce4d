"""Package a model for MLflow: its file, signature, input example and pinned requirements.

`mlflow.sklearn.save_model` would import scikit-learn and skops on top of MLflow and its store, one
after the other. Here a process of its own imports the former and serializes the model, while this
one imports the latter; what is left is to write the folder in the format of MLflow's own flavor.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from lockstep import LockstepError
from lockstep.dvc.pipeline import Pipeline
from lockstep.mlflow.serialize import DONE


class Packager:
    """Packages models; the process that serializes them lives as long as the `with` block."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._temporary = tempfile.TemporaryDirectory()
        self._worker: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Nothing more; packages are gone after the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        if self._worker:
            self._worker.kill()
            self._worker.communicate()
        self._temporary.cleanup()

    def start(self, pipeline: Pipeline) -> "Package":
        """Start to package a pipeline's model.

        Args:
            pipeline: Its first artifact of type `model` is packaged: a joblib file, or a folder
                that is an MLflow model already.
        """
        folder = Path(tempfile.mkdtemp(dir=self._temporary.name))
        models = pipeline.models()
        if not models or (pipeline.workspace / models[0]["path"]).is_dir():
            return Package(pipeline, folder, None)
        if self._worker is None or self._worker.poll() is not None:
            self._worker = subprocess.Popen(
                [sys.executable, "-m", "lockstep.mlflow.serialize"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        (folder / "parts").mkdir()
        example = (models[0].get("meta") or {}).get("example", "")
        assert self._worker.stdin
        job = [str(pipeline.workspace.resolve()), models[0]["path"], example, str(folder / "parts")]
        self._worker.stdin.write(json.dumps(job) + "\n")
        self._worker.stdin.flush()
        return Package(pipeline, folder, self._worker)


class Package:
    """One model on its way to MLflow."""

    def __init__(
        self, pipeline: Pipeline, folder: Path, worker: "subprocess.Popen[str] | None"
    ) -> None:
        """Made by `Packager.start`."""
        self._pipeline = pipeline
        self._folder = folder
        self._worker = worker

    def wait(self) -> Path | None:
        """Wait for the package.

        Returns:
            The folder of the MLflow model; None when the pipeline has no model.

        Raises:
            LockstepError: It cannot be packaged.
        """
        workspace, models = self._pipeline.workspace, self._pipeline.models()
        folder, parts = self._folder / "model", self._folder / "parts"
        if not models:
            return None
        if self._worker is None:
            return Path(shutil.copytree(workspace / models[0]["path"], folder))
        said = []
        assert self._worker.stdout
        for line in self._worker.stdout:
            if line.startswith("note:"):
                print(line, end="")
            if line.rstrip() == DONE:
                break
            said.append(line)
        if not (parts / "about.json").exists():
            name = models[0]["path"]
            raise LockstepError(f"the model {name} cannot be packaged:\n{''.join(said).strip()}")
        example = (models[0].get("meta") or {}).get("example")
        _assemble(parts, workspace / example if example else None, folder)
        return folder


def _assemble(parts: Path, example_file: Path | None, folder: Path) -> None:
    """Write the MLflow model, as its scikit-learn flavor and `pyfunc` load it.

    Args:
        parts: What `serialize` wrote.
        example_file: A Parquet file with a few rows of input.
        folder: The folder to write.
    """
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import Model, infer_signature

    about = json.loads((parts / "about.json").read_text(encoding="utf-8"))
    example = signature = None
    if example_file:
        example = pd.read_parquet(example_file)
        answers = pd.read_parquet(parts / "predictions.parquet")
        signature = infer_signature(example, answers.squeeze("columns"))
    model = Model()
    model.add_flavor(
        "sklearn",
        pickled_model=about["file"],
        sklearn_version=about["sklearn_version"],
        serialization_format=about["format"],
        skops_trusted_types=about["types"] or None,
        code="code" if about["code"] else None,
    )
    mlflow.pyfunc.save_model(
        folder,
        loader_module="mlflow.sklearn",
        code_paths=about["code"] or None,
        mlflow_model=model,
        pip_requirements=about["requirements"],
        signature=signature,
        input_example=example,
    )
    shutil.copyfile(parts / about["file"], folder / about["file"])
    model.flavors["python_function"] |= {"model_path": about["file"], "predict_fn": "predict"}
    model.model_size_bytes = sum(path.stat().st_size for path in folder.rglob("*"))
    model.save(str(folder / "MLmodel"))
