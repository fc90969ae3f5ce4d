"""What `type: model` may point to: each kind is packaged for MLflow, loads and predicts."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.linear_model import LinearRegression
from tiny import Tiny

from lockstep import LockstepError
from lockstep.inference.version import load as load_version
from lockstep.mlflow.load import load_any, load_pyfunc
from lockstep.mlflow.package import save

ROWS = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0] * 10, "b": [1.0, 0.0, 1.0, 0.0] * 10})
TARGET = ROWS["a"] * 2.0
NET = '''
"""The project's own model: numbers in a JSON file."""

import json

import yaml

from . import helpers


class Net:
    def __init__(self, factor):
        self.factor = factor

    def predict(self, table):
        return helpers.scaled(table["a"], self.factor)


def load(path):
    return Net(json.loads(path.read_text())["factor"])
'''
HELPERS = """
from scipy.special import expit


def scaled(column, factor):
    return (column * factor).to_numpy()
"""
MODEL = """
import json
from pathlib import Path

FACTOR = json.loads((Path(__file__).parent / "factor.json").read_text())


def predict(table):
    return (table["a"] * FACTOR).to_numpy()
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with its own package and rows as an example; it is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "src")
    (tmp_path / "src/nets").mkdir(parents=True)
    (tmp_path / "src/nets/__init__.py").write_text("")
    (tmp_path / "src/nets/net.py").write_text(NET)
    (tmp_path / "src/nets/helpers.py").write_text(HELPERS)
    ROWS[:3].to_parquet("example.parquet")
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith(("nets", "lockstep_loader_"))]:
        del sys.modules[name]


def lightgbm_text(folder: Path) -> Path:
    import lightgbm

    data = lightgbm.Dataset(ROWS, TARGET)
    params = {"verbosity": -1, "min_data_in_leaf": 1, "num_threads": 1}
    file = folder / "model.txt"
    lightgbm.train(params, data, num_boost_round=200).save_model(file)
    return file


def xgboost_ubj(folder: Path) -> Path:
    import xgboost

    file = folder / "model.ubj"
    xgboost.train({"nthread": 1}, xgboost.DMatrix(ROWS, TARGET), 100).save_model(file)
    return file


def onnx_graph(folder: Path) -> Path:
    import onnx
    from onnx import TensorProto, helper

    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, 2])
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, [None, 1])
    weights = helper.make_tensor("weights", TensorProto.FLOAT, [2, 1], [2.0, 0.0])
    node = helper.make_node("MatMul", ["rows", "weights"], ["answer"])
    graph = helper.make_graph([node], "toy", [rows], [answer], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    file = folder / "model.onnx"
    onnx.save(model, file)
    return file


def code_folder(folder: Path) -> Path:
    (folder / "rules").mkdir()
    (folder / "rules/model.py").write_text(MODEL)
    (folder / "rules/factor.json").write_text("2.0")
    return folder / "rules"


def own_format(folder: Path) -> Path:
    (folder / "net.json").write_text(json.dumps({"factor": 2.0}))
    return folder / "net.json"


KINDS: dict[str, tuple[Callable[[Path], Path], str | None, str, set[str]]] = {
    "lightgbm": (lightgbm_text, None, "lightgbm", {"lightgbm"}),
    "xgboost": (xgboost_ubj, None, "xgboost", {"xgboost-cpu"}),
    "onnx": (onnx_graph, None, "onnx", {"onnx", "onnxruntime"}),
    "code": (code_folder, None, "python_function", set()),
    "own": (own_format, "nets.net.load", "python_function", {"PyYAML", "scipy"}),
}


def about(folder: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((folder / "MLmodel").read_text()))


@pytest.mark.parametrize("name", KINDS)
def test_a_model_of_each_kind_is_packaged_loads_and_predicts(name: str, project: Path) -> None:
    make, load, flavor, packages = KINDS[name]
    file = make(project).relative_to(project)
    assert save(str(file), "example.parquet", project / "model", {"numpy": "2.0.0"}, load) == []
    assert flavor in about(project / "model")["flavors"]
    assert about(project / "model")["signature"]["inputs"]
    assert (project / "model/input_example.json").is_file()
    lines = (project / "model/requirements.txt").read_text().splitlines()
    assert all("==" in line for line in lines)
    assert "numpy==2.0.0" in lines, "the version of the training"
    assert packages <= {line.partition("==")[0] for line in lines}
    predicted = np.ravel(load_pyfunc(project / "model").predict(ROWS[:4]))
    assert np.allclose(predicted, TARGET[:4], atol=0.01)
    own_code = name in ("code", "own")
    served = load_version(project / "model", set(), allow_code=own_code, allow_pickle=False)
    answers = served.predict(served.columns.of_records(ROWS[:4].to_dict("records"))[0])
    assert np.allclose(answers.predictions, TARGET[:4], atol=0.01)
    assert answers.predictions.shape == (4,)


def test_a_packaged_model_loads_in_a_fresh_process_and_another_folder(project: Path) -> None:
    save(str(own_format(project)), "example.parquet", project / "model", {}, "nets.net.load")
    code = "import sys, pandas, mlflow; print(mlflow.pyfunc.load_model(sys.argv[1]).predict(pandas"
    code += ".DataFrame({'a': [1.0, 2.0], 'b': [0.0, 0.0]})).tolist())"
    command = [sys.executable, "-c", code, str(project / "model")]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True)
    assert done.stdout.strip() == "[2.0, 4.0]", done.stderr


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "onnx"])
def test_a_native_file_from_a_server_is_loaded_by_its_library_alone(
    name: str, project: Path
) -> None:
    file = KINDS[name][0](project)
    save(str(file), "example.parquet", project / "model", {})
    model = load_any(project / "model", trusted=set())
    assert np.allclose(np.ravel(model.predict(ROWS[:4])), TARGET[:4], atol=0.01)


@pytest.mark.parametrize("forged", ["subprocess.Popen", "lightgbm.sklearn.LGBMModel"])
def test_a_forged_class_of_a_native_file_is_not_made(forged: str, project: Path) -> None:
    save(str(lightgbm_text(project)), None, project / "model", {})
    content = about(project / "model")
    content["flavors"]["lightgbm"]["model_class"] = forged
    (project / "model/MLmodel").write_text(yaml.safe_dump(content))
    with pytest.raises(LockstepError, match="could run any code"):
        load_any(project / "model", trusted=set())


def test_code_from_a_server_is_not_run(project: Path) -> None:
    save(str(own_format(project)), "example.parquet", project / "model", {}, "nets.net.load")
    with pytest.raises(LockstepError, match="could run any code"):
        load_any(project / "model", trusted=set())
    with pytest.raises(
        LockstepError, match=r"its own code \(lockstep_loader_\w+, nets\): add --allow"
    ):
        load_version(project / "model", set(), allow_code=False, allow_pickle=True)
    assert load_any(project / "model", trusted=None).predict(ROWS[:2]).tolist() == [0.0, 2.0]


@pytest.mark.parametrize("name", ["model.pt", "notes.txt", "weights"])
def test_a_model_of_no_known_kind_is_kept_with_a_note(name: str, project: Path) -> None:
    file = project / name
    if "." in name:
        file.write_text("1 2 3")
    else:
        file.mkdir()
        (file / "layer.bin").write_bytes(b"123")
    (note,) = save(name, "example.parquet", project / "model", {})
    assert "kept as it is" in note
    assert "meta: {load: package.module.function}" in note
    assert (project / "model" / name).exists()
    assert not about(project / "model").get("flavors")
    with pytest.raises(LockstepError, match="MLflow cannot load this model"):
        load_any(project / "model", trusted=None)


def test_an_own_class_brings_the_packages_that_its_code_imports(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "src/nets/linear.py").write_text(
        "from sklearn.linear_model import LinearRegression\nimport lightgbm\n"
        "class Own(LinearRegression):\n    pass\n"
    )
    from nets.linear import Own

    joblib.dump(Own().fit(ROWS, TARGET), project / "model.joblib")
    save("model.joblib", "example.parquet", project / "model", {"torch": "2.0", "python": "3.12"})
    names = {
        line.partition("==")[0]
        for line in (project / "model/requirements.txt").read_text().splitlines()
    }
    assert {"lightgbm", "scikit-learn", "torch"} <= names, "by import, and by `environment`"
    assert not {"nets", "python", "optuna"} & names


def test_code_that_needs_the_glue_is_named(project: Path) -> None:
    with (project / "src/nets/helpers.py").open("a") as helpers:
        helpers.write("from lockstep import LockstepError\n")
    file = str(own_format(project))
    (note,) = save(file, "example.parquet", project / "model", {}, "nets.net.load")
    assert "imports lockstep" in note
    assert "lockstep==" not in (project / "model/requirements.txt").read_text()


def test_a_model_of_libraries_alone_has_only_their_requirements(project: Path) -> None:
    joblib.dump(LinearRegression().fit(ROWS, TARGET), project / "model.joblib")
    save("model.joblib", "example.parquet", project / "model", {"torch": "2.0"})
    assert "torch" not in (project / "model/requirements.txt").read_text()


def test_a_model_of_no_known_kind_is_published_judged_and_compared(
    tiny_once: Tiny, tmp_path: Path
) -> None:
    project = tiny_once.copy(tmp_path)
    project.edit("dvc.yaml", "models/model.joblib", "models/model.bin")
    project.repro()
    output = project.lockstep("publish")
    assert "note: models/model.bin is of no kind that MLflow can load" in output
    assert "model: toy version 1" in output
    assert "already published" in project.lockstep("publish")
    project.lockstep("promote", "1")
    assert "champion" in project.lockstep("models")


def test_a_run_whose_model_is_broken_fails_with_its_metrics(
    tiny_once: Tiny, tmp_path: Path
) -> None:
    project = tiny_once.copy(tmp_path)
    model = project.path / "models/model.joblib"
    model.write_bytes(b"broken")
    project.run(sys.executable, "-m", "dvc", "commit", "--quiet", "--force", "train")
    output = project.lockstep("publish", ok=False)
    assert "the model models/model.joblib cannot be packaged" in output
    (run,) = runs_of(project)
    assert run.info.status == "FAILED"
    assert "mean_absolute_error" in run.data.metrics


def runs_of(project: Tiny) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{project.path / 'mlflow.db'}")
    (experiment,) = (item for item in client.search_experiments() if item.name == "toy")
    return list(client.search_runs([experiment.experiment_id]))
