"""Models and clones that strangers made: what is loaded and imported of them, and what is not."""

import contextlib
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest
import skops.io
import yaml
from omegaconf import OmegaConf
from scaffold import PENGUINS, render
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, StackingClassifier
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import Matern, WhiteKernel
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import all_estimators
from tiny import Tiny

from lockstep import LockstepError
from lockstep.adapters.trusted_model import load_model, trusted_names
from lockstep.config.components import estimators_of
from lockstep.config.compose import composer

NOTHING: set[str] = set()
# They take seconds, and hold what other estimators hold.
SEARCHES = {"LogisticRegressionCV", "MiniBatchKMeans", "RFECV", "SequentialFeatureSelector"}


def write(folder: Path, model: Any, form: str = "skops") -> Path:
    """An MLflow model; its MLmodel trusts whatever the file holds."""
    content = skops.io.dumps(model) if form == "skops" else cloudpickle.dumps(model)
    (folder / "model").write_bytes(content)
    types = skops.io.get_untrusted_types(data=content) if form == "skops" else []
    flavor = {"pickled_model": "model", "serialization_format": form, "skops_trusted_types": types}
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": {"sklearn": flavor}}))
    return folder


def test_a_pickle_is_loaded_from_the_project_s_own_store_only(tmp_path: Path) -> None:
    write(tmp_path, {"a": 1}, "cloudpickle")
    assert load_model(tmp_path, None) == {"a": 1}
    with pytest.raises(LockstepError, match="is neither in the format skops nor"):
        load_model(tmp_path, NOTHING)


def test_a_model_of_another_flavor_never_reaches_the_scoring_of_a_project(tmp_path: Path) -> None:
    flavors = {"python_function": {"loader_module": "evil", "code": "code"}}
    (tmp_path / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors}))
    assert load_model(tmp_path, None) == tmp_path
    with pytest.raises(LockstepError, match="is neither in the format skops nor"):
        load_model(tmp_path, NOTHING)


@pytest.mark.parametrize("name", ["runstring", "rundocs", "measure", "assert_"])
def test_functions_are_not_trusted_whatever_mlmodel_says(tmp_path: Path, name: str) -> None:
    """A chain of numpy's own testing helpers runs any code in `predict`."""
    function = getattr(np.testing, name)
    chain = make_pipeline(FunctionTransformer(str), FunctionTransformer(function, kw_args={}))
    write(tmp_path, chain)
    with pytest.raises(LockstepError, match=rf"contains numpy\.testing\S*\.{name}, which"):
        load_model(tmp_path, NOTHING)


@pytest.mark.parametrize(
    "hidden", [np.memmap, np.load, pd.read_pickle, pd.eval, subprocess.Popen, eval, print]
)
def test_no_package_is_trusted_as_a_whole(tmp_path: Path, hidden: Any) -> None:
    write(tmp_path, FunctionTransformer(hidden))
    with pytest.raises(LockstepError, match="it was not loaded"):
        load_model(tmp_path, NOTHING)


def test_an_estimator_that_conf_names_is_trusted_by_its_own_name_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "strangers.py").write_text(
        "class Model:\n    def fit(self): ...\n\n\nclass Other:\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import strangers  # type: ignore[import-not-found]

    write(tmp_path, strangers.Model())
    with pytest.raises(LockstepError, match=r"contains strangers\.Model"):
        load_model(tmp_path, NOTHING)
    assert isinstance(load_model(tmp_path, {"strangers.Model"}), strangers.Model)
    write(tmp_path, strangers.Other())
    with pytest.raises(LockstepError, match=r"contains strangers\.Other"):
        load_model(tmp_path, {"strangers.Model"})
    del sys.modules["strangers"]


def fitted() -> Iterator[tuple[str, Any]]:
    """Each estimator of scikit-learn that can be fitted to one of two small tables."""
    from sklearn.utils._test_common.instance_generator import _construct_instances

    draw = np.random.RandomState(0)
    features, classes, numbers = draw.rand(24, 4), np.arange(24) % 2, draw.rand(24)
    for name, kind in all_estimators(["classifier", "regressor", "transformer"]):
        if name in {"Birch", "BisectingKMeans"} or name in SEARCHES:
            continue  # skops cannot hold the first; the second is a clustering
        instance = next(iter(_construct_instances(kind)))
        for target in (classes, numbers):
            with contextlib.suppress(ValueError, TypeError, IndexError, AttributeError):
                yield name, clone(instance).fit(features, target)
                break


def test_every_estimator_of_scikit_learn_is_trusted() -> None:
    known, names = trusted_names(), set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, model in fitted():
            types = set(skops.io.get_untrusted_types(data=skops.io.dumps(model)))
            assert types <= known, f"{name} contains {types - known}"
            names.add(name)
    assert len(names) > 130


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_every_option_of_a_project_is_trusted(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = render(tmp_path, project_name="Trusted", task=task)
    monkeypatch.syspath_prepend(project / "src")
    monkeypatch.chdir(project)
    table = pd.read_csv(PENGUINS).dropna().iloc[::5].reset_index(drop=True)
    table["seen"] = pd.date_range("2020-01-01", periods=len(table))
    models = [
        path.stem
        for path in (project / "conf/model").glob("*.yaml")
        if path.stem != "xgboost_ray"  # XGBoost's, once it is fitted
        and find_spec(yaml.safe_load(path.read_text())["_target_"].partition(".")[0])
    ]
    assert {"lightgbm", "xgboost"} <= {*models}, "CatBoost takes 270 MB"
    options = [("onehot", model) for model in models]
    options += [(path.stem, "dummy") for path in (project / "conf/preprocess").glob("*.yaml")]
    from trusted import train  # type: ignore[import-not-found]
    from trusted.features import features_and_target  # type: ignore[import-not-found]

    with composer(project) as compose, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (project / "params.yaml").write_text(yaml.safe_dump(compose([])))
        for preprocess, model in options:
            params = compose([f"preprocess={preprocess}", f"model={model}"])
            for much in {"n_estimators", "max_iter"} & params["model"].keys():
                params["model"][much] = 3
            cfg = OmegaConf.create(params)
            pipeline = train.fit(*features_and_target(table, cfg.data), cfg)
            loaded = load_model(write(tmp_path, pipeline), estimators_of(project))
            features, _ = features_and_target(table, cfg.data)
            assert loaded.predict(features).tolist() == pipeline.predict(features).tolist()
    for name in [name for name in sys.modules if name.partition(".")[0] == "trusted"]:
        del sys.modules[name]


def test_stacks_and_networks_are_trusted(tmp_path: Path) -> None:
    features, target = np.random.RandomState(0).rand(40, 3), np.arange(40) % 2
    model = StackingClassifier(
        [
            ("network", MLPClassifier((4,), max_iter=5)),
            ("boosted", HistGradientBoostingClassifier(max_iter=3)),
            ("process", GaussianProcessClassifier(Matern() + WhiteKernel())),
        ],
        KNeighborsClassifier(metric="manhattan"),
        cv=2,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(features, target)
    loaded = load_model(write(tmp_path, model), NOTHING)
    assert loaded.predict(features).tolist() == model.predict(features).tolist()


@pytest.mark.parametrize("words", [["doctor"], ["models"], ["trace", "data/raw.csv"]])
def test_a_verb_that_only_reads_imports_nothing_of_the_project(
    tiny_published: Tiny, words: list[str]
) -> None:
    toy = tiny_published
    evil = 'import pathlib\npathlib.Path("pwned").touch()\nC = dict\n'
    toy.edit("pyproject.toml", "[tool.lockstep]", '[tool.lockstep]\nschema = "toy.config:C"')
    toy.write("conf/model/evil.yaml", "_target_: evilmod.C\n")
    toy.edit("conf/config.yaml", "model: linear", "model: evil")
    for name in ("evilmod", "toy/config", "toy/__init__", "toy/scoring", "skops", "toml"):
        toy.write(f"src/{name}.py", evil)
    for name in ("__init__", "cli"):
        toy.write(f"packages/lockstep/src/lockstep/{name}.py", evil)
    toy.lockstep(*words, ok=None)
    assert not (toy.path / "pwned").exists()
    assert "pwned" not in toy.git("status", "--porcelain")
