"""`model=xgboost_ray`: a model fitted by the workers of a Ray cluster."""

import pickle
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import xgboost
from clusters import ray_nodes
from servers import Servers
from sklearn.base import clone, is_classifier, is_regressor

from lockstep import LockstepError
from lockstep.adapters import ray_train
from lockstep.adapters.ray_train import OnRay
from project import Project

ROWS = np.arange(40.0).reshape(20, 2)


def test_it_is_pickled_as_a_model_of_xgboost() -> None:
    pickled = pickle.dumps(OnRay(xgboost.XGBRegressor(max_depth=3)))
    model = pickle.loads(pickled)  # noqa: S301
    assert b"lockstep" not in pickled
    assert type(model) is xgboost.XGBRegressor
    assert model.max_depth == 3


def test_it_is_what_its_model_is() -> None:
    assert is_classifier(OnRay(xgboost.XGBClassifier()))
    assert is_regressor(clone(OnRay(xgboost.XGBRegressor(), workers=3)))


def test_texts_as_classes_are_refused_before_a_cluster_is_joined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray_train, "join_ray", lambda *_: pytest.fail("joined"))
    with pytest.raises(ValueError, match="only the numbers from 0 as classes"):
        OnRay(xgboost.XGBClassifier()).fit(ROWS, ["a", "b"] * 10)


def test_a_cluster_that_is_too_small_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = SimpleNamespace(cluster_resources=lambda: {"CPU": 2.0})
    monkeypatch.setattr(ray_train, "join_ray", lambda *_: cluster)
    with pytest.raises(LockstepError, match=r"workers=3 .* need 3 cores; the Ray cluster has 2"):
        OnRay(xgboost.XGBRegressor(), workers=3).fit(ROWS, ROWS[:, 0])


def test_a_node_dies_while_a_model_is_fitted_on_a_ray_cluster(
    finished: Project, tmp_path: Path, servers: Servers
) -> None:
    project = finished.copy(tmp_path)
    head, node = ray_nodes(servers, project, 2, cores=2)
    words = ["-S", "model=xgboost_ray", "-S", "model.model.n_estimators=1000"]
    fitting = subprocess.Popen(
        ["dvc", "exp", "run", *words],
        cwd=project.path,
        env={
            **project.environment,
            "RAY_AUTH_MODE": "disabled",
            "RAY_ADDRESS": f"127.0.0.1:{head.port}",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 180
    while len(workers()) < 2:
        assert fitting.poll() is None, fitting.communicate()[0]
        assert time.monotonic() < deadline, "no workers were started"
        time.sleep(0.2)
    time.sleep(2)
    node.stop(signal.SIGKILL)
    output = fitting.communicate(timeout=300)[0]
    assert fitting.returncode == 0, output
    assert "fitted by 2 workers of a Ray cluster" in output
    run = project.runs()[-1]
    assert run["params"]["model.model._target_"] == "xgboost.XGBClassifier"
    assert run["params"]["model.workers"] == "2"
    card = project.python(
        "import sys, mlflow\n"
        "print(mlflow.artifacts.load_text(f'runs:/{sys.argv[1]}/model_card.md'))",
        run["id"],
    )
    assert "train, 2 workers of a Ray cluster (" in card
    model = project.path / "models/model.joblib"
    fitted = model.read_bytes()
    project.run("dvc", "repro", "--force", "--single-item", "train")  # in processes of this machine
    assert model.read_bytes() == fitted


def workers() -> list[psutil.Process]:
    """The processes that fit a model."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if "ray::RayTrainWorker" in " ".join(process.info["cmdline"] or [])
    ]
