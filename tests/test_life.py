"""The life of a project; MLflow, DVC and git show what is true."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from conftest import Scaffold
from project import STAGES, Project

FROM_TRAIN = ["compose", "train", "evaluate", "publish"]
FOREST = "conf/model/random_forest.yaml"


def test_a_life(published: Project, tmp_path: Path) -> None:
    project = published
    project.path = Path(shutil.move(project.path, tmp_path / "ein Ordner für alle"))
    one = project.git("rev-parse", "HEAD")
    (first,) = project.runs()
    assert first["status"] == "FINISHED"
    assert first["params"]["model._target_"] == "sklearn.ensemble.RandomForestClassifier"
    metrics = json.loads((project.path / "metrics/metrics.json").read_text())
    assert first["metrics"]["accuracy"] == pytest.approx(metrics["accuracy"])
    assert not any(name.startswith("baseline.") for name in first["metrics"]), "one chart each"
    assert metrics["accuracy"] > metrics["baseline"]["accuracy"], "no better than the dummy"
    assert len(first["history"]["accuracy"]) == 1, "logged once"
    assert_the_registered_model_predicts(project, first["id"])

    assert project.repro() == [], "nothing changed, so nothing runs"
    assert "already published" in project.run("lockstep", "publish")
    assert len(project.runs()) == 1

    notebook = json.loads((project.path / "notebooks/start.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    asked = "print(len(train), len(test), len(predictions))"
    output = project.python("\n".join(["import os; os.chdir('notebooks')", *cells, asked]))
    assert output.split()[-3:] == ["275", "69", "69"]
    assert project.git("status", "--short") == "", "looking changes nothing"
    assert project.repro() == []

    project.edit(FOREST, "n_estimators: 100", "n_estimators: 30")
    assert project.repro() == FROM_TRAIN, "only what depends on the model"
    runs = project.runs()
    assert [run["params"]["model.n_estimators"] for run in runs] == ["100", "30"]
    two = project.commit("a smaller forest")

    output = project.experiment("-S", "model=logistic", "--name", "try-logistic")
    assert "lockstep publish" in output
    runs = project.runs()
    assert runs[-1]["name"] == "logistic · try-logistic"
    assert runs[-1]["tags"]["dvc.experiment"] == "try-logistic"
    assert runs[-1]["tags"]["overrides"] == "model=logistic"
    assert runs[-1]["tags"]["mlflow.source.git.commit"] == two
    assert runs[-1]["params"]["model._target_"].endswith("LogisticRegression")

    # Where the locale is not UTF-8, DVC's queue fails in a folder of such a name.
    project.path = Path(shutil.move(project.path, tmp_path / "one folder"))
    project.git("checkout", "--quiet", "--force", "main")
    project.run("dvc", "checkout")
    project.experiment("--queue", "-S", "model.n_estimators=11,12")
    project.run("dvc", "exp", "run", "--run-all", "--jobs", "1")
    runs = project.runs()
    assert {run["params"].get("model.n_estimators") for run in runs[-2:]} == {"11", "12"}
    experiments = project.git("for-each-ref", "refs/exps", "--format", "%(refname:lstrip=-1)")
    labels = {run["name"].rpartition(" · ")[2] for run in runs[-2:]}
    assert labels <= set(experiments.split())

    project.experiment("--temp", "-S", "model=svm", "--name", "in-a-copy")
    runs = project.runs()
    assert len(runs) == 6
    assert runs[-1]["name"] == "svm · in-a-copy"

    project.run("dvc", "exp", "apply", "in-a-copy")
    assert "Running stage" not in project.run("dvc", "repro"), "an applied experiment is done"
    project.commit("svm it is")
    assert len(project.runs()) == 6

    project.git("checkout", "--quiet", one)
    project.run("dvc", "checkout")
    project.repro()
    assert len(project.runs()) == 6, "an old state has its run already"

    project.git("checkout", "--quiet", "main")
    project.edit(FOREST, "n_estimators: 30", "n_estimators: 11")
    project.run("lockstep", "compose", "--force")
    output = project.run("dvc", "repro")
    assert "is cached - skipping run" in output, "the queue computed this before"
    assert len(project.runs()) == 6, "a state from the run cache is no other state"

    states = [run["tags"]["lockstep.state"] for run in project.runs()]
    assert len(set(states)) == len(states), "one run a state"


def assert_the_registered_model_predicts(project: Project, run_id: str) -> None:
    """See that MLflow loads the model and the artifacts of a run, wherever the project is now."""
    output = project.python(
        "import sys, joblib, mlflow, pandas as pd\n"
        "rows = pd.read_parquet('data/test.parquet').drop(columns='species')\n"
        "model = mlflow.pyfunc.load_model('models:/penguins@challenger')\n"
        "same = model.predict(rows) == joblib.load('models/model.joblib').predict(rows)\n"
        "again = mlflow.sklearn.load_model('models:/penguins@challenger').predict(rows)\n"
        "assert model.metadata.signature and model.input_example is not None\n"
        "assert model.metadata.run_id == sys.argv[1]\n"
        "print(len(rows), same.all(), (again == model.predict(rows)).all())\n"
        "for name in ('MLmodel', 'requirements.txt'):\n"
        "    print(mlflow.artifacts.load_text(f'models:/penguins@challenger/{name}'))\n"
        "print(mlflow.artifacts.load_text(f'runs:/{sys.argv[1]}/params.yaml'))",
        run_id,
    )
    assert "True True" in output
    assert "serialization_format: skops" in output
    assert "scikit-learn==" in output
    assert "n_estimators" in output


def test_upgrading_a_package_that_shapes_results_trains_again(published: Project) -> None:
    project = published
    lock = project.path / "uv.lock"
    lock.write_text(lock.read_text() + "\n# ruff was upgraded\n")
    assert project.repro() == ["compose"], "only the check of versions"

    lock.write_text(lock.read_text() + "\n# scikit-learn was upgraded\n")
    # The version that Python reports is what counts; a stand-in for another one of scikit-learn's.
    fake = project.path / "fake" / "scikit_learn-99.0.dist-info"
    fake.mkdir(parents=True)
    (fake / "METADATA").write_text("Metadata-Version: 2.1\nName: scikit-learn\nVersion: 99.0\n")
    ran = project.repro(PYTHONPATH=str(fake.parent))
    assert ran[:2] == ["compose", "train"]
    assert ran[-1] == "publish"


def test_results_do_not_depend_on_time_or_process(computed: Project, scaffold: Scaffold) -> None:
    def digests(project: Project) -> dict[str, str]:
        lock = yaml.safe_load((project.path / "dvc.lock").read_text())["stages"]
        outs = [out for stage in lock.values() for out in stage.get("outs", [])]
        return {out["path"]: out["md5"] for out in outs}

    second = scaffold(project_slug="second")
    assert second.repro("evaluate") == STAGES[:-1]
    one, other = digests(computed), digests(second)
    for named in ("params.yaml", "composed.yaml"):  # these hold the experiment's name
        one.pop(named)
        other.pop(named)
    assert one == other
