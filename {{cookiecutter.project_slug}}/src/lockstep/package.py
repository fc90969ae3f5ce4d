"""Package a model for MLflow: its file, signature, input example and pinned requirements.

`mlflow.sklearn.save_model` would import scikit-learn and skops on top of MLflow and its store, one
after the other. Here a process of its own imports the former and serializes the model, while this
one imports the latter; what is left is to write the folder in the format of MLflow's own flavor.
"""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from lockstep import LockstepError
from lockstep.pipeline import Pipeline


@contextlib.contextmanager
def packaged_model(pipeline: Pipeline) -> Iterator[Callable[[], Path | None]]:
    """Start to package the pipeline's model.

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
        folder, parts = Path(temporary) / "model", Path(temporary) / "parts"
        if not models:
            yield lambda: None
            return
        if models[0].is_dir():
            yield lambda: shutil.copytree(models[0], folder)
            return
        parts.mkdir()
        example = (pipeline.models()[0].get("meta") or {}).get("example", "")
        process = subprocess.Popen(
            [sys.executable, "-m", "lockstep.serialize", str(models[0]), example, str(parts)],
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
            _assemble(parts, workspace / example if example else None, folder)
            return folder

        try:
            yield packaged
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


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
