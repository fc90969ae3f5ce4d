"""A project's life as its user leads it; MLflow, DVC and git are asked what is true."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from conftest import Scaffold
from project import Project

ALL = ["compose", "ingest", "validate", "split", "train", "evaluate", "publish"]
FROM_TRAIN = ["compose", "train", "evaluate", "publish"]
FOREST = "conf/model/random_forest.yaml"


def test_a_life(project: Project) -> None:
    project.commit("environment")

    assert project.repro() == ALL
    (first,) = project.runs()
    assert first["status"] == "FINISHED"
    assert first["params"]["model._target_"] == "sklearn.ensemble.RandomForestClassifier"
    metrics = json.loads((project.path / "metrics/metrics.json").read_text())
    assert first["metrics"]["accuracy"] == pytest.approx(metrics["accuracy"])
    assert first["metrics"]["baseline.accuracy"] == pytest.approx(metrics["baseline"]["accuracy"])
    assert metrics["accuracy"] > metrics["baseline"]["accuracy"], "no better than the dummy"
    assert len(first["history"]["accuracy"]) == 1, "logged once"
    one = project.commit("first results")

    assert project.repro() == [], "nothing changed, so nothing runs"
    assert "already published" in project.run("lockstep", "publish")
    assert len(project.runs()) == 1

    project.edit(FOREST, "n_estimators: 100", "n_estimators: 30")
    assert project.repro() == FROM_TRAIN, "only what depends on the model"
    runs = project.runs()
    assert [run["params"]["model.n_estimators"] for run in runs] == ["100", "30"]
    two = project.commit("a smaller forest")

    output = project.experiment("-S", "model=logistic", "--name", "try-logistic")
    assert "lockstep publish" in output
    runs = project.runs()
    assert runs[-1]["name"] == "try-logistic"
    assert runs[-1]["tags"]["dvc.experiment"] == "try-logistic"
    assert runs[-1]["tags"]["overrides"] == "model=logistic"
    assert runs[-1]["tags"]["mlflow.source.git.commit"] == two
    assert runs[-1]["params"]["model._target_"].endswith("LogisticRegression")

    project.git("checkout", "--quiet", "--force", "main")
    project.run("dvc", "checkout")
    project.experiment("--queue", "-S", "model.n_estimators=11,12")
    project.run("dvc", "exp", "run", "--run-all", "--jobs", "1")
    runs = project.runs()
    assert {run["params"].get("model.n_estimators") for run in runs[-2:]} == {"11", "12"}
    experiments = project.git("for-each-ref", "refs/exps", "--format", "%(refname:lstrip=-1)")
    assert {run["name"] for run in runs[-2:]} <= set(experiments.split())

    project.experiment("--temp", "-S", "model=svm", "--name", "in-a-copy")
    runs = project.runs()
    assert len(runs) == 6
    assert runs[-1]["name"] == "in-a-copy"

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


def test_a_run_says_where_it_comes_from(unpublished: Project) -> None:
    project = unpublished
    commit = project.commit("computed")
    (project.path / "conf" / "notes.txt").write_text("hm")
    project.repro()
    (run,) = project.runs()

    tags = run["tags"]
    assert tags["mlflow.source.git.commit"] == commit
    assert tags["mlflow.source.git.branch"] == "main"
    assert tags["git.dirty"] == "true"
    assert tags["git.changed"] == "conf/notes.txt"
    assert tags["package.scikit-learn"]
    assert tags["system.python"]
    assert tags["hardware.cpus"]
    assert "| accuracy |" in tags["mlflow.note.content"]

    raw = next((project.path / "data").glob("raw.*.dvc"))
    assert run["inputs"][f"data/{raw.stem}"] in raw.read_text(), "the digest is DVC's md5"
    assert {"data/train.parquet", "data/test.parquet"} <= set(run["inputs"])

    listed = project.python(
        "import sys; from mlflow import MlflowClient; c = MlflowClient()\n"
        "def walk(p):\n"
        "  for f in c.list_artifacts(sys.argv[1], p):\n"
        "    print(f.path); f.is_dir and walk(f.path)\n"
        "walk(None)",
        run["id"],
    ).split()
    assert {"params.yaml", "dvc.lock", "plots/roc.png", "reports/columns.csv"} <= set(listed)


def test_the_data_of_a_run_can_be_loaded_by_their_md5(published: Project) -> None:
    project = published
    project.run("dvc", "push")
    test_rows = (project.path / "data/test.parquet").read_bytes()
    shutil.rmtree(project.path / ".dvc" / "cache")
    project.edit("conf/split/stratified.yaml", "seed: 42", "seed: 7")
    project.repro("split")
    output = project.python(
        "import mlflow\n"
        "(run,) = mlflow.search_runs(output_format='list', search_all_experiments=True)\n"
        "(data,) = [i.dataset for i in run.inputs.dataset_inputs if 'test' in i.dataset.name]\n"
        "print('loaded:', mlflow.data.get_source(data).load())"
    )
    loaded = Path(output.partition("loaded: ")[2].strip())
    assert loaded.read_bytes() == test_rows
    assert (project.path / "data/test.parquet").read_bytes() != test_rows


def test_the_registered_model_predicts(published: Project) -> None:
    output = published.python(
        "import joblib, mlflow, pandas as pd\n"
        "rows = pd.read_parquet('data/test.parquet').drop(columns='species')\n"
        "model = mlflow.pyfunc.load_model('models:/penguins@challenger')\n"
        "same = model.predict(rows) == joblib.load('models/model.joblib').predict(rows)\n"
        "again = mlflow.sklearn.load_model('models:/penguins@challenger').predict(rows)\n"
        "assert model.metadata.signature and model.input_example is not None\n"
        "print(len(rows), same.all(), (again == model.predict(rows)).all())\n"
        "print(open(mlflow.artifacts.download_artifacts("
        "'models:/penguins@challenger/MLmodel')).read())\n"
        "print(open(mlflow.artifacts.download_artifacts("
        "'models:/penguins@challenger/requirements.txt')).read())\n"
    )
    assert "True True" in output
    assert "serialization_format: skops" in output
    assert "scikit-learn==" in output


def test_a_folder_that_moved_keeps_its_runs_and_models(
    unpublished: Project, tmp_path: Path
) -> None:
    project = unpublished
    assert project.repro() == ["publish"]
    moved = tmp_path / "ein Ordner für alle"
    shutil.move(project.path, moved)
    project.path = moved
    (run,) = project.runs()
    output = project.python(
        "import sys, mlflow\n"
        "print(mlflow.pyfunc.load_model('models:/penguins@challenger').metadata.run_id)\n"
        "print(mlflow.artifacts.load_text(f'runs:/{sys.argv[1]}/params.yaml'))",
        run["id"],
    )
    assert run["id"] in output
    assert "n_estimators" in output
    assert project.repro() == []
    project.edit(FOREST, "n_estimators: 100", "n_estimators: 30")
    assert project.repro() == FROM_TRAIN
    assert len(project.runs()) == 2


def test_upgrading_a_package_that_shapes_results_trains_anew(published: Project) -> None:
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


def test_results_do_not_depend_on_the_machine_s_clock_or_process(
    computed: Project, scaffold: Scaffold
) -> None:
    def digests(project: Project) -> dict[str, str]:
        lock = yaml.safe_load((project.path / "dvc.lock").read_text())["stages"]
        outs = [out for stage in lock.values() for out in stage.get("outs", [])]
        return {out["path"]: out["md5"] for out in outs}

    second = scaffold(project_slug="second")
    assert second.repro("evaluate") == ALL[:-1]
    one, other = digests(computed), digests(second)
    for named in ("params.yaml", "composed.yaml"):  # these hold the experiment's name
        one.pop(named)
        other.pop(named)
    assert one == other
