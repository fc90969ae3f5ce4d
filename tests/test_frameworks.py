"""Models of frameworks that take minutes to install: `make nightly` has an environment for them."""

import json
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import yaml
from examples import NOTEBOOK, SERIES
from omegaconf import OmegaConf
from serving import served
from stages import stage
from test_pipelines import inside
from tiny import Tiny

import lockstep
from lockstep import LockstepError
from lockstep.inference.version import load
from lockstep.mlflow.load import load_any
from lockstep.mlflow.package import save
from lockstep.project import Project
from lockstep.serve.source import Registry, Trust

DOCS = Path(__file__).parent.parent / "docs"
ROWS = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0] * 10, "b": [1.0, 0.0, 1.0, 0.0] * 10})
TARGET = ROWS["a"] * 2.0
CLASSES = pd.Series(np.where(ROWS["a"] > 1, "much", "little"))
TRAIN = (
    *("waves.train", "data/train.parquet", "models/checkpoint.pt", "models/model.safetensors"),
    *("models/example.parquet", "metrics/history.csv"),
)
KILLED = """
import os, sys
sys.path.insert(0, "src")
from pathlib import Path
from waves import train
from lockstep.stage import run_stage

keep = train.keep

def keep_and_die(*arguments):
    keep(*arguments)
    if len(arguments[-1]) == 7:
        os._exit(9)

train.keep = keep_and_die
run_stage(sys.argv[1], [Path(path) for path in sys.argv[2:]])
"""


@pytest.fixture
def waves(clean_env: dict[str, str], empty_store: Path, tmp_path: Path) -> Iterator[Tiny]:
    """The example of PyTorch, in git, without results."""
    project = Tiny(tmp_path / "waves", clean_env)
    shutil.copytree(DOCS / "examples/torch", project.path)
    project.git("init", "--quiet")
    project.run(sys.executable, "-m", "dvc", "init", "--quiet")
    project.write(".dvc/config", "[core]\nanalytics = false\n[hydra]\nenabled = true\n")
    shutil.copy(empty_store, project.path)
    yield project
    for name in [name for name in sys.modules if name.partition(".")[0] == "waves"]:
        del sys.modules[name]


def test_a_loop_of_pytorch_lives(waves: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockstep.dvc.command._command", inside)
    first = waves.dvc("repro")
    assert "model: waves version 1" in first
    assert "gate: passed" in first
    waves.commit("first result")
    assert "are up to date" in waves.dvc("repro")
    assert "already published" in waves.lockstep("publish")
    assert "identical" in waves.lockstep("reproduce", "1", "--current-environment")
    assert "champion is version 1" in waves.lockstep("promote", "1")

    # Killed after seven epochs, the training goes on, and ends with the same bytes.
    model = waves.path / "models/model.safetensors"
    whole, curve = model.read_bytes(), (waves.path / "metrics/history.csv").read_text()
    assert len(curve.splitlines()) == 21
    model.unlink()
    with waves.entered(DVC_STAGE="train"):
        assert subprocess.call([sys.executable, "-c", KILLED, *TRAIN]) == 9
    assert not model.exists()
    assert "resumes after 7 epochs" in waves.lockstep("run", *TRAIN, DVC_STAGE="train")
    assert model.read_bytes() == whole
    assert (waves.path / "metrics/history.csv").read_text() == curve

    # Other options; the champion is judged on other test data, by its own code.
    tried = waves.dvc("exp", "run", "-S", "model.hidden=4", "-S", "data.rows=300")
    assert "version 1 was scored again on the test data of this run" in tried
    newer, older = json.loads(waves.lockstep("runs", "--json"))
    assert (newer["options"], older["options"]) == (
        {"data.rows": "300", "model.hidden": "4"},
        {"data.rows": "400", "model.hidden": "16"},
    )
    few = ("data.rows=300", "model.epochs=3", "sweep.n_trials=2", "sweep.engine.workers=1")
    assert "best: trial " in waves.lockstep("sweep", *few)
    assert "version: 2" in waves.lockstep("trace", "data/train.parquet")
    waves.lockstep("doctor", "--only", "DVC cache,MLflow,artifacts,registry,runs")

    with waves.entered():
        store = Project(waves.path).store
        copies = waves.path / "copies"
        with served(Registry(store, "waves", "champion", copies, Trust(code=True))) as client:
            answer = client.post("/predict", {"rows": [{"a": 1.0, "b": 0.5}]})
        model = lockstep.load("champion")
        wanted = model.predict(pd.DataFrame({"a": [1.0], "b": [0.5]}, dtype="float32"))
    assert answer.json["predictions"] == pytest.approx([*wanted])


def test_a_time_series_and_a_notebook_live(
    clean_env: dict[str, str], empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Tiny(tmp_path / "months", clean_env)
    for name, text in SERIES.items():
        project.write(name, textwrap.dedent(text).lstrip("\n"))
    cell = {"cell_type": "code", "source": NOTEBOOK, "metadata": {}, "outputs": []}
    notebook = {"cells": [{**cell, "execution_count": None, "id": "one"}], "metadata": {}}
    project.write("evaluate.ipynb", json.dumps({**notebook, "nbformat": 4, "nbformat_minor": 5}))
    project.git("init", "--quiet")
    shutil.copy(empty_store, project.path)
    assert "months version 1" in project.dvc("repro")
    project.commit("first")
    assert "are up to date" in project.dvc("repro")
    project.lockstep("promote", "1")
    project.write("test.toml", "months = 6\n")
    tried = project.dvc("exp", "run", "-S", "order=[2,0,0]")
    assert "version 1 was scored again on the test data of this run" in tried, tried
    newer, older = json.loads(project.lockstep("runs", "--json"))
    assert newer["metrics"]["error"] != older["metrics"]["error"]
    monkeypatch.setattr("lockstep.dvc.command._command", inside)
    again = project.lockstep("reproduce", newer["id"], "--current-environment")
    assert again.endswith((": identical\n", ": same metrics\n")), again


def catboost_file(folder: Path) -> Path:
    import catboost

    model = catboost.CatBoostClassifier(iterations=5, verbose=False, allow_writing_files=False)
    model.fit(ROWS, CLASSES).save_model(str(folder / "model.cbm"))
    return folder / "model.cbm"


def doubler() -> Any:
    import torch

    net = torch.nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        net.weight[:] = torch.tensor([[2.0, 0.0]])
    return net


def torchscript(folder: Path) -> Path:
    import torch

    torch.jit.save(torch.jit.trace(doubler(), torch.zeros(2, 2)), folder / "model.pt")
    return folder / "model.pt"


def exported_program(folder: Path) -> Path:
    import torch

    shapes = ({0: torch.export.Dim("rows")},)
    program = torch.export.export(doubler(), (torch.zeros(2, 2),), dynamic_shapes=shapes)
    torch.export.save(program, folder / "model.pt2")
    return folder / "model.pt2"


def statsmodels_results(folder: Path) -> Path:
    import statsmodels.api as sm

    sm.OLS(TARGET, ROWS).fit().save(str(folder / "model.pickle"))
    return folder / "model.pickle"


def onnx_pipeline(folder: Path) -> Path:
    """Of columns with texts and numbers, each an input; labels, then probabilities."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    table = WORDS.assign(text=WORDS["text"].astype(object))
    columns = make_column_transformer((OneHotEncoder(), ["text"]), ("passthrough", ["a"]))
    model = make_pipeline(columns, LogisticRegression()).fit(table, CLASSES)
    kinds = [("a", FloatTensorType([None, 1])), ("text", StringTensorType([None, 1]))]
    graph = convert_sklearn(model, initial_types=kinds)
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    return folder / "model.onnx"


def hugging_face_folder(folder: Path) -> Path:
    """A model of two layers that has learned nothing, and a tokenizer of five words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = {"[UNK]": 0, "[PAD]": 1, "good": 2, "bad": 3, "day": 4}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]")  # noqa: S106
    torch.manual_seed(0)
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=5, intermediate_size=8, **size)
    BertForSequenceClassification(config).save_pretrained(folder / "bert")
    fast.save_pretrained(folder / "bert")
    return folder / "bert"


def spacy_folder(folder: Path) -> Path:
    import spacy

    language = spacy.blank("en")
    texts = language.add_pipe("textcat")
    for label in ("little", "much"):
        texts.add_label(label)
    language.initialize()
    language.to_disk(folder / "spacy")
    return folder / "spacy"


WORDS = pd.DataFrame({"a": ROWS["a"], "text": np.where(ROWS["a"] > 1, "good day", "bad day")})
KINDS: dict[str, tuple[Callable[[Path], Path], pd.DataFrame, dict[str, bool], str]] = {
    "catboost": (catboost_file, ROWS, {}, "catboost"),
    "torchscript": (torchscript, ROWS, {"allow_pickle": True}, "pytorch"),
    "exported": (exported_program, ROWS, {"allow_code": True}, "python_function"),
    "statsmodels": (statsmodels_results, ROWS, {"allow_pickle": True}, "statsmodels"),
    "onnx": (onnx_pipeline, WORDS, {}, "onnx"),
    "transformers": (hugging_face_folder, WORDS[["text"]], {"allow_pickle": True}, "transformers"),
    "spacy": (spacy_folder, WORDS[["text"]], {"allow_pickle": True}, "spacy"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_model_of_each_kind_is_packaged_loaded_and_served(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make, rows, allowed, flavor = KINDS[name]
    rows[:3].to_parquet("example.parquet")
    assert (
        save(str(make(tmp_path).relative_to(tmp_path)), "example.parquet", Path("model"), {}) == []
    )
    about = yaml.safe_load(Path("model/MLmodel").read_text())
    assert flavor in about["flavors"]
    assert about["signature"]["inputs"]
    lines = Path("model/requirements.txt").read_text().splitlines()
    assert all("==" in line for line in lines)
    assert len(load_any(Path("model"), trusted=None).predict(rows[:4])) == 4

    nothing = {"allow_code": False, "allow_pickle": False}
    if allowed:
        with pytest.raises(LockstepError, match=f"add --{next(iter(allowed)).replace('_', '-')}"):
            load(Path("model"), set(), **nothing)
    version = load(Path("model"), set(), **{**nothing, **allowed})
    answers = version.predict(version.columns.of_records(rows[:4].to_dict("records"))[0])
    if name in ("catboost", "onnx"):
        assert answers.predictions.tolist() == CLASSES[:4].tolist()
    elif rows is ROWS:
        assert answers.predictions == pytest.approx(TARGET[:4].to_numpy(), abs=0.01)
    else:
        assert len(answers.predictions) == 4


def classification(model: dict[str, Any]) -> Any:
    """The config of the template's train stage for a model."""
    scale = {"scale": {"_target_": "sklearn.preprocessing.StandardScaler"}}
    preprocess = {"number": scale, "category": {}, "boolean": {}, "date": {}}
    data = {"task": "classification", "target": "t", "group": None}
    values = {"model": model, "preprocess": preprocess, "data": data, "split": {"seed": 0}}
    return OmegaConf.create(values)


def test_the_six_lines_of_pytorch_by_skorch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (DOCS / "models.md").read_text(encoding="utf-8")
    config, code = re.findall(r"```(?:yaml|python)\n(# \S+net\.\w+\n.*?)```", text, re.DOTALL)
    (tmp_path / "package").mkdir()
    (tmp_path / "package/__init__.py").touch()
    (tmp_path / "package/net.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    model = yaml.safe_load(config.replace("classes: 3", "classes: 2"))
    fits = [stage("train").fit(ROWS, CLASSES, classification(model)) for _ in range(2)]
    one, other = (fit.predict(ROWS).tolist() for fit in fits)
    assert one == other == CLASSES.tolist()


def test_catboost_by_yaml_is_the_same_at_each_fit(tmp_path: Path) -> None:
    model = {"_target_": "catboost.CatBoostClassifier", "iterations": 5, "verbose": False}
    cfg = classification({**model, "allow_writing_files": False})
    files = [tmp_path / name for name in ("one.joblib", "other.joblib")]
    for file in files:
        fit = stage("train").fit(ROWS, CLASSES, cfg)
        stage("estimators").settle(fit)
        joblib.dump(fit, file)
        assert fit.predict(ROWS).shape == CLASSES.shape
    assert files[0].read_bytes() == files[1].read_bytes()
