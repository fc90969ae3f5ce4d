"""`lockstep publish` in this process, on projects written by hand; MLflow is asked what is true."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
import toys
import yaml
from toys import Toy

import lockstep
from lockstep import LockstepError, cli
from lockstep.doctor import servers
from lockstep.files import file_digest
from lockstep.mlflow import fast_lookup, runs
from lockstep.mlflow.environment import configure_mlflow
from lockstep.mlflow.store import Store
from lockstep.project import Project
from lockstep.record import published

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Publish = Callable[..., str]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A project and an empty store, to be copied: making either takes a second."""
    configure_mlflow()
    from mlflow.store.artifact import artifact_repository_registry as registry

    from lockstep.mlflow.artifacts import ProjectArtifactRepository
    from lockstep.mlflow.data_source import DVCDatasetSource

    # An installed package registers these through its entry points.
    registry._artifact_repository_registry.register("project", ProjectArtifactRepository)  # type: ignore[no-untyped-call]
    from mlflow.data.dataset_source_registry import register_dataset_source

    register_dataset_source(DVCDatasetSource)  # type: ignore[arg-type]
    toy = toys.build(tmp_path_factory.mktemp("built"))
    Store(toy.path, {"experiment": "toys"}).client()
    return toy


@pytest.fixture
def toy(built: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    for name in list(os.environ):
        if name.startswith(("DVC_", "MLFLOW_TRACKING")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # nothing in the template's folder
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    toy = built.copy(tmp_path)
    monkeypatch.chdir(toy.path)
    return toy


@pytest.fixture
def publish(
    toy: Toy, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Publish:
    """Runs `lockstep publish`; returns what it prints."""
    monkeypatch.setattr(cli, "import_from_workspace", lambda: None)
    monkeypatch.setattr(cli, "collect_seldom", lambda: None)

    def run(*options: str, code: int = 0) -> str:
        capfd.readouterr()
        with mock.patch.dict(os.environ):  # MLflow sets a variable for processes that it starts
            returned = cli.main(["publish", *options])
        output = "".join(capfd.readouterr())
        assert returned == code, output
        assert "Traceback" not in output
        return output

    return run


def client() -> "MlflowClient":
    with mock.patch.dict(os.environ):
        return Project(Path.cwd()).store.client()


def all_runs() -> "list[Run]":
    """The runs of the project, the oldest first."""
    opened = client()
    experiment = opened.get_experiment_by_name("toys")
    if experiment is None:
        return []
    return sorted(
        runs.search(opened, experiment.experiment_id, ""), key=lambda run: run.info.start_time
    )


def the_run() -> "Run":
    """The only run: finished, with one model and one version, and each metric logged once."""
    (run,) = all_runs()
    assert run.info.status == "FINISHED"
    opened = client()
    assert run.outputs
    (output,) = run.outputs.model_outputs
    models = opened.search_logged_models([run.info.experiment_id])
    assert [(model.model_id, str(model.status)) for model in models] == [(output.model_id, "READY")]
    (version,) = opened.search_model_versions("name = 'toy'")
    assert (version.run_id, version.source) == (run.info.run_id, f"models:/{output.model_id}")
    history = opened.get_metric_history(run.info.run_id, "accuracy")
    assert [(point.value, point.step) for point in history] == [(run.data.metrics["accuracy"], 0)]
    return run


def artifacts(run_id: str, folder: str | None = None) -> list[str]:
    """The paths of a run's artifacts."""
    listed = client().list_artifacts(run_id, folder)
    return [
        path
        for item in listed
        for path in (artifacts(run_id, item.path) if item.is_dir else [item.path])
    ]


def test_a_state_is_published_once_with_all_that_is_known_of_it(toy: Toy, publish: Publish) -> None:
    commit = toy.git("rev-parse", "HEAD")
    toy.write("conf/notes.txt", "hm")
    toy.lock()
    output = publish()
    run = the_run()
    name = f"linear · {commit[:7]}+{Project(toy.path).pipeline.state[:7]}"
    assert f"published: run {name}" in output
    assert "accuracy      0.75         -       0.5" in output
    assert f"/runs/{run.info.run_id}" in output
    assert run.info.run_name == name
    assert run.data.metrics == {"accuracy": 0.75, "loss": 0.5}
    assert run.data.params == {
        "model": "linear",
        "model._target_": "sklearn.linear_model.LogisticRegression",
        "model.C": "1.0",
        "model.names": "[a, b]",
    }
    history = client().get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(0, 1.0), (1, 0.5)]
    assert runs.input_digests(run) == {
        "data/rows.parquet": file_digest(toy.path / "data/rows.parquet")
    }
    expected = {"params.yaml", "composed.yaml", "dvc.yaml", "dvc.lock", "plots/roc.svg"}
    expected |= {"metrics/metrics.json", "metrics/history.csv", "snapshot.bundle", "model_card.md"}
    expected |= {"report.html", "environment.json", "stages.json"}
    assert set(artifacts(run.info.run_id)) == expected

    tags = run.data.tags
    assert tags["result"] == "linear: accuracy 0.75, baseline 0.5"
    assert tags["mlflow.source.git.commit"] == commit
    assert tags["mlflow.source.git.branch"] == "main"
    assert tags["git.changed"] == "conf/notes.txt"
    assert tags["overrides"] == "model=linear"
    assert file_digest(toy.path / "models/model.joblib")[:8] in tags["dvc.files"].split()
    assert tags["mlflow.note.content"].startswith("linear: accuracy 0.75, baseline 0.5  \n")
    file = client().download_artifacts(run.info.run_id, "environment.json")
    environment = json.loads(Path(file).read_text(encoding="utf-8"))
    assert environment["lockstep.version"] == lockstep.__version__
    assert environment["lockstep.template"] == "9.9.9"
    assert environment["package.scikit-learn"] == "1.0.0"
    assert environment.keys() >= {"package.mlflow", "system.python", "hardware.cpus"}
    found = published.environment_of(client(), run)
    assert (found["scikit-learn"], bool(found["platform"])) == ("1.0.0", True)
    assert published.stages_of(client(), run)["train"]["outs"].keys() == {
        "models/model.joblib",
        "models/example.parquet",
    }
    assert toy.git("show", f"{tags['git.snapshot']}:conf/notes.txt") == "hm"

    assert f"already published: run {run.info.run_id}" in publish()
    assert len(all_runs()) == 1
    toy.measured(0.8)
    publish()
    assert [run.data.metrics["accuracy"] for run in all_runs()] == [0.75, 0.8]
    (holder,) = [client().get_model_version_by_alias("toy", "challenger")]
    assert str(holder.version) == "2"


def test_the_fast_lookup_finds_what_mlflow_finds(
    toy: Toy, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads MLflow's private tables: a release that changes them must fail here."""
    publish()
    toy.measured(0.8)
    publish()
    deleted, kept = all_runs()
    client().delete_run(deleted.info.run_id)
    store = Project(toy.path).store
    found = fast_lookup.finished_runs(toy.path / "mlflow.db", "toys")
    assert found == {kept.data.tags["lockstep.state"]: kept.info.run_id}
    assert store.finished() == found
    monkeypatch.setattr("lockstep.mlflow.store.database_of", lambda uri: None)  # as of a server
    assert store.finished() == found
    (state,) = found
    assert store.find_finished(state) == kept.info.run_id
    assert store.find_finished("of nobody") is None


class KilledError(BaseException):
    """Nothing catches it."""


STEPS = (
    "create_run",
    "log_inputs",
    "log_artifact",
    "create_logged_model",
    "log_model_artifacts",
    "finalize_logged_model",
    "log_outputs",
    "create_model_version",
)


def test_a_publish_that_dies_after_any_of_its_steps_is_completed_by_the_next(
    toy: Toy, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    for step in STEPS:
        work = getattr(MlflowClient, step)

        def and_die(*arguments: Any, work: Callable[..., Any] = work, **options: Any) -> None:
            work(*arguments, **options)
            raise KilledError

        with monkeypatch.context() as patched:
            patched.setattr(MlflowClient, step, and_die)
            with pytest.raises(KilledError):
                publish()
        (left,) = all_runs()
        assert left.info.status == "RUNNING", step
    publish()
    assert the_run().info.run_id == left.info.run_id


def live_run(toy: Toy, history: str) -> str:
    """The run that a live training leaves, with its first metric; and what it recorded."""
    store = Project(toy.path).store
    opened = store.client()
    run = opened.create_run(store.experiment_id(opened), run_name="training")
    opened.log_metric(run.info.run_id, "loss", 1.0, step=0)
    record = {"run_id": run.info.run_id, "uri": store.uri, "history": history}
    toy.write(".dvc/tmp/lockstep/live.json", json.dumps(record))
    return str(run.info.run_id)


def test_the_run_of_a_live_training_is_completed(toy: Toy, publish: Publish) -> None:
    run_id = live_run(toy, file_digest(toy.path / "metrics/history.csv"))
    publish()
    assert the_run().info.run_id == run_id
    history = client().get_metric_history(run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(0, 1.0), (1, 0.5)]
    assert not (toy.path / ".dvc/tmp/lockstep/live.json").exists()


def test_the_run_of_another_training_is_left_alone(toy: Toy, publish: Publish) -> None:
    run_id = live_run(toy, "the digest of another history")
    publish()
    assert {run.info.run_id for run in all_runs()} > {run_id}


def test_the_run_of_a_killed_training_does_not_stay_running(toy: Toy, publish: Publish) -> None:
    store = Project(toy.path).store
    opened = store.client()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    pids = {"killed": ended.pid, "alive": os.getpid()}
    live = {
        name: opened.create_run(
            store.experiment_id(opened),
            int(time.time() * 1000),
            {"lockstep.process": f"{socket.gethostname()} {pid}"},
            name,
        ).info.run_id
        for name, pid in pids.items()
    }
    finding = servers.live_runs(Project(toy.path))
    assert (finding.state, finding.cure) == ("warning", ["uv run lockstep publish --all"])
    assert "the training of killed was killed" in finding.text
    publish("--all")
    status = {name: opened.get_run(run_id).info.status for name, run_id in live.items()}
    assert status == {"killed": "FAILED", "alive": "RUNNING"}
    assert servers.live_runs(Project(toy.path)).state == "ok"


def test_the_experiment_s_page_shows_champion_links_and_results(toy: Toy, publish: Publish) -> None:
    def tags() -> dict[str, str]:
        return dict(client().get_experiment("1").tags)

    publish()
    assert tags()["mlflow.note.content"].startswith("**Champion**: none yet\n")
    view = json.loads(tags()["mlflow.sharedViewState.lockstep"])
    state = json.loads(view["state"])
    columns = state["selectedColumns"]
    assert columns[0] == "metrics.`accuracy`"
    assert "tags.`gate.verdict`" in columns
    assert set(columns) < set(state["columnOrder"])
    charts = [chart["displayName"] for chart in state["compareRunCharts"] if not chart["deleted"]]
    assert charts == [
        "accuracy",
        "train_loss and validation_loss",
        "train_score and validation_score",
    ]
    note = tags()["mlflow.note.content"] + "\n\n---\nAsk Ada about the data."
    client().set_experiment_tag("1", "mlflow.note.content", note)
    assert cli.main(["promote", "1"]) == 0
    shown = tags()["mlflow.note.content"]
    first = "**Champion**: [version 1](#/models/toy/versions/1?workflowType=machine_learning), "
    assert shown.startswith(f"{first}linear: accuracy 0.75, baseline 0.5\n")
    assert shown.endswith("\n\n---\nAsk Ada about the data.")
    client().set_experiment_tag("1", "mlflow.note.content", "My own words.")
    toy.measured(0.8)
    publish()
    assert tags()["mlflow.note.content"] == "My own words."


def test_the_report_is_one_page_with_everything_in_it(
    toy: Toy, publish: Publish, capfd: pytest.CaptureFixture[str]
) -> None:
    toy.picture()
    publish()
    toy.write("metrics/metrics.json", "{}")  # it is made of the run, not of the workspace
    assert cli.main(["report", "1", "--output", "page.html"]) == 0
    page = (toy.path / "page.html").read_text(encoding="utf-8")
    assert "<h1>toy: linear · " in page
    assert "linear: accuracy 0.75, baseline 0.5" in page
    assert 'src="data:image/png;base64,' in page
    assert not re.search(r"(src|href)=.(?!data:)", page), "nothing is loaded from elsewhere"
    assert re.search(r"<td><code>data/rows.parquet</code></td>", page)
    assert "lockstep reproduce" in page
    capfd.readouterr()
    assert cli.main(["report", "1", "--markdown"]) == 0
    assert capfd.readouterr().out.startswith("# toy: linear · ")
    assert cli.main(["report", "nobody"]) == 2


def test_all_states_that_git_keeps_are_published_and_only_once(toy: Toy, publish: Publish) -> None:
    toy.write("src/toy/train.py", "fit = 2\n")
    toy.measured(0.8)
    publish()  # never committed: its snapshot keeps it
    time.sleep(1)  # git's times are whole seconds
    toy.measured(0.9)
    toy.commit()
    published = all_runs()
    shutil.rmtree(toy.path / "models")
    toy.push()
    client().delete_run(published[0].info.run_id)
    output = publish("--all")
    assert "3 runs added" in output
    again = all_runs()
    assert {run.data.metrics["accuracy"] for run in again} == {0.75, 0.8, 0.9}
    (first,) = [run for run in again if run.data.metrics["accuracy"] == 0.8]
    for name in ("git.snapshot", "lockstep.state", "git.changed", "mlflow.source.git.commit"):
        assert first.data.tags[name] == published[0].data.tags[name]
    versions = client().search_model_versions("name = 'toy'")
    assert {version.run_id for version in versions} >= {run.info.run_id for run in again}
    newest = max(again, key=lambda run: run.info.start_time)
    assert client().get_model_version_by_alias("toy", "challenger").run_id == newest.info.run_id
    assert "every state has its run" in publish("--all")


def test_data_that_nobody_has_is_named_and_the_other_states_are_published(
    toy: Toy, publish: Publish
) -> None:
    publish()
    toy.measured(0.8)
    toy.commit()
    shutil.rmtree(toy.path / ".dvc/cache")
    output = publish("--all", code=1)
    assert "not published: models/model.joblib: data are missing (" in output
    assert "0 runs added" in output


def test_an_experiment_that_was_deleted_is_restored(toy: Toy, publish: Publish) -> None:
    publish()
    run = the_run()
    client().delete_experiment(run.info.experiment_id)
    toy.measured(0.8)
    assert "note: the experiment toys was deleted in MLflow; it is restored" in publish()
    assert [item.info.status for item in all_runs()] == ["FINISHED", "FINISHED"]
    assert all_runs()[0].info.run_id == run.info.run_id


def delete_run(toy: Toy, run: "Run") -> None:
    client().delete_run(run.info.run_id)


def delete_run_for_good(toy: Toy, run: "Run") -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    client().delete_run(run.info.run_id)
    store = SqlAlchemyStore(f"sqlite:///{toy.path}/mlflow.db", "project:/mlartifacts")  # type: ignore[no-untyped-call]
    store._hard_delete_run(run.info.run_id)  # type: ignore[no-untyped-call]


def delete_experiment(toy: Toy, run: "Run") -> None:
    client().delete_experiment(run.info.experiment_id)


def delete_version(toy: Toy, run: "Run") -> None:
    client().delete_model_version("toy", "1")


def delete_registered_model(toy: Toy, run: "Run") -> None:
    client().delete_registered_model("toy")


def delete_logged_model(toy: Toy, run: "Run") -> None:
    assert run.outputs
    client().delete_logged_model(run.outputs.model_outputs[0].model_id)


def delete_alias(toy: Toy, run: "Run") -> None:
    client().delete_registered_model_alias("toy", "challenger")


def delete_artifacts(toy: Toy, run: "Run") -> None:
    shutil.rmtree(toy.path / "mlartifacts")


def delete_files_of_the_model(toy: Toy, run: "Run") -> None:
    shutil.rmtree(toy.path / "mlartifacts/toys/models")


DELETIONS = [
    delete_run,
    delete_run_for_good,
    delete_experiment,
    delete_version,
    delete_registered_model,
    delete_logged_model,
    delete_alias,
    delete_artifacts,
    delete_files_of_the_model,
]


@pytest.mark.parametrize(
    ("options", "delete"),
    [
        *(([], delete) for delete in DELETIONS),
        # The alias is of the newest version, which only `publish` knows.
        *((["--all"], delete) for delete in DELETIONS if delete is not delete_alias),
    ],
)
def test_what_was_deleted_in_mlflow_is_restored(
    toy: Toy, publish: Publish, delete: Callable[[Toy, "Run"], None], options: list[str]
) -> None:
    publish()
    old = the_run()
    delete(toy, old)
    publish(*options)
    (new,) = all_runs()
    assert new.info.status == "FINISHED"
    assert new.data.tags["lockstep.state"] == old.data.tags["lockstep.state"]
    assert (new.info.run_id == old.info.run_id) == (delete is not delete_run_for_good)
    assert new.data.metrics == old.data.metrics
    assert client().list_artifacts(new.info.run_id)
    version = client().get_model_version_by_alias("toy", "challenger")
    assert version.run_id == new.info.run_id
    model_id = str(version.source).removeprefix("models:/")
    assert "MLmodel" in {item.path for item in client().list_logged_model_artifacts(model_id)}
    assert "already published" in publish()
    assert "every state has its run" in publish("--all")


def test_no_state_has_two_active_runs(toy: Toy, publish: Publish) -> None:
    """MLflow restores all runs with their experiment, even those that were deleted before it."""
    publish()
    run = the_run()
    client().delete_run(run.info.run_id)
    publish()
    client().delete_experiment(run.info.experiment_id)
    client().restore_experiment(run.info.experiment_id)
    assert the_run().info.run_id == run.info.run_id
    # As two clones do that publish to a server at the same moment.
    twin = client().create_run(
        run.info.experiment_id, tags={"lockstep.state": run.data.tags["lockstep.state"]}
    )
    client().set_terminated(twin.info.run_id)
    delete_alias(toy, run)
    assert f"note: deleting run {twin.info.run_id}, which shows the same state" in publish()
    assert the_run().info.run_id == run.info.run_id


def test_a_champion_whose_alias_was_deleted_is_named(toy: Toy, publish: Publish) -> None:
    publish()
    cli.main(["promote", "1"])
    client().delete_registered_model_alias("toy", "champion")
    toy.measured(0.8)
    said = publish()
    assert "the alias champion was deleted; version 1 had it" in said
    assert "to restore it: uv run lockstep promote 1" in said
    cli.main(["promote", "1"])
    assert str(client().get_model_version_by_alias("toy", "champion").version) == "1"


def test_a_folder_that_moved_keeps_its_runs_and_models(
    toy: Toy, publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    publish()
    run = the_run()
    moved = tmp_path / ("it's für alle" if os.name == "nt" else 'it\'s "für" alle')
    toy.path.rename(moved)
    monkeypatch.chdir(moved)
    client()
    model = mlflow.pyfunc.load_model("models:/toy@challenger")
    assert model.metadata.run_id == run.info.run_id
    assert "experiment: toys" in mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/params.yaml")
    assert f"already published: run {run.info.run_id}" in publish()
    Toy(moved).measured(0.8)
    publish()
    assert len(all_runs()) == 2


def test_another_store_gets_the_run_too(
    toy: Toy, publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(toy.path / "mlflow.db", tmp_path / "other.db")
    publish()
    local = the_run()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'other.db'}")
    publish()
    (other,) = all_runs()
    assert "already published" in publish()
    assert other.info.run_id != local.info.run_id
    assert other.data.tags["lockstep.state"] == local.data.tags["lockstep.state"]


def test_a_workspace_that_was_edited_since_is_refused(toy: Toy, publish: Publish) -> None:
    toy.write("metrics/metrics.json", "{}")
    toy.write("params.yaml", (toy.path / "params.yaml").read_text().replace("C: 1.0", "C: 2.0"))
    output = publish(code=2)
    assert "(params.yaml: model, metrics/metrics.json): run `uv run dvc repro`" in output
    assert all_runs() == []


def test_code_that_changed_under_the_pipeline_is_reported(toy: Toy, publish: Publish) -> None:
    toy.write("src/toy/train.py", "fit = 2\n")
    toy.lock()
    toy.write("src/toy/train.py", "fit = 3\n")
    assert "note: src/toy/train.py changed after a stage had read it" in publish()


def test_a_server_that_cannot_be_reached_is_named(
    toy: Toy, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ada:secret@127.0.0.1:9")
    for options in ([], ["--all"]):
        output = publish(*options, code=2)
        assert "the MLflow server http://127.0.0.1:9 cannot be reached" in output
        assert "run `uv run dvc repro` again" in output


@pytest.mark.usefixtures("two_processes")
def test_the_registered_model_predicts_and_pins_what_it_was_trained_with(
    toy: Toy, publish: Publish
) -> None:
    import joblib
    import mlflow
    import pandas as pd

    publish()
    rows = pd.read_parquet("models/example.parquet")
    expected = joblib.load("models/model.joblib").predict(rows).tolist()
    model = mlflow.pyfunc.load_model("models:/toy@challenger")
    assert list(model.predict(rows)) == expected
    flavored = mlflow.sklearn.load_model("models:/toy@challenger")
    assert flavored.predict(rows).tolist() == expected
    assert model.metadata.signature.inputs.input_names() == ["a", "b"]
    assert model.metadata.signature.outputs.input_names() == ["prediction"]
    assert model.input_example.equals(rows)
    flavors = model.metadata.flavors
    assert flavors["sklearn"]["serialization_format"] == "skops"
    assert flavors["python_function"]["predict_fn"] == "predict"
    folder = Path(mlflow.artifacts.download_artifacts("models:/toy@challenger"))
    requirements = (folder / "requirements.txt").read_text().split()
    assert {"numpy==2.0.0", "scikit-learn==1.0.0"} <= set(requirements), "as composed.yaml has it"
    names = {line.partition("==")[0] for line in requirements}
    assert names == {"mlflow", "numpy", "pandas", "scikit-learn", "skops"}
    (version,) = client().search_model_versions("name = 'toy'")
    assert version.tags["lockstep.state"]
    assert version.tags["dvc.data"] == file_digest(toy.path / "data/rows.parquet")


OWN_CLASS = """
from sklearn.linear_model import LinearRegression
class Own(LinearRegression):
    pass
"""
OWN_MODEL = """
import joblib, pandas as pd
from toy.own import Own
rows = pd.read_parquet("data/rows.parquet")
joblib.dump(Own().fit(rows, [1.0, 2.0, 3.0, 4.0]), "models/model.joblib")
"""


def test_a_model_of_the_project_s_own_class_brings_its_code(toy: Toy, publish: Publish) -> None:
    import mlflow

    toy.write("src/toy/own.py", OWN_CLASS)
    toy.python(OWN_MODEL)
    toy.lock()
    assert "note:" not in publish()
    folder = Path(mlflow.artifacts.download_artifacts("models:/toy@challenger"))
    assert (folder / "code/toy/own.py").read_text() == OWN_CLASS
    about = mlflow.models.Model.load(str(folder)).flavors["sklearn"]
    assert about["skops_trusted_types"] == ["toy.own.Own"]


REFUSING = """
from sklearn.linear_model import LinearRegression
class Own(LinearRegression):
    def __getstate__(self):
        import inspect
        callers = {frame.frame.f_globals["__name__"] for frame in inspect.stack()}
        if "skops.io._sklearn" in callers or "skops.io._persist" in callers:
            raise TypeError("not for skops")
        return super().__getstate__()
"""


def test_a_model_that_skops_cannot_hold_is_pickled_with_a_note(toy: Toy, publish: Publish) -> None:
    import mlflow

    toy.write("src/toy/own.py", REFUSING)
    toy.python(OWN_MODEL)
    toy.lock()
    output = publish()
    assert "cannot be saved in the safe format skops (not for skops)" in output
    assert "load it only where you trust its source" in output
    folder = Path(mlflow.artifacts.download_artifacts("models:/toy@challenger"))
    about = mlflow.models.Model.load(str(folder)).flavors["sklearn"]
    assert about["serialization_format"] == "cloudpickle"
    assert "cloudpickle==" in (folder / "requirements.txt").read_text()


def test_a_model_that_cannot_be_packaged_is_named_and_leaves_no_finished_run(
    toy: Toy, publish: Publish
) -> None:
    toy.write("src/toy/own.py", OWN_CLASS + "    def predict(self, rows):\n        return 1 / 0\n")
    toy.python(OWN_MODEL)
    toy.lock()
    output = publish(code=2)
    assert "error: the model models/model.joblib cannot be packaged:" in output
    assert "ZeroDivisionError: division by zero" in output
    (run,) = all_runs()
    assert run.info.status == "FAILED"


def test_distinct_names_stay_distinct_and_legible(toy: Toy, publish: Publish) -> None:
    measured = {
        "accuracy": 0.9,
        "f1": {"<50K": 0.4, ">50K": 0.9, "<=50K": 0.5},
        **{"precision@5": 0.1, "a+b": 0.2, "top 5%": 0.3, "error/": 0.4, "/abs": 0.5, "a//b": 0.6},
        **{"../up": 0.7, "größe (mm)": 0.8, "x" * 300: 0.9},
    }
    toy.write("metrics/metrics.json", json.dumps(measured))
    toy.lock()
    publish()
    found = the_run().data.metrics
    long_name = next(name for name in found if name.startswith("xxx"))
    assert found.pop(long_name) == 0.9
    assert len(long_name) == 250
    found = {name: value for name, value in found.items() if name != "loss"}  # of the history
    assert found == {
        **{"accuracy": 0.9, "f1.lt_50K": 0.4, "f1.gt_50K": 0.9, "f1.lt_eq_50K": 0.5},
        **{"precision_at_5": 0.1, "a_plus_b": 0.2, "top 5_percent": 0.3, "error": 0.4, "abs": 0.5},
        **{"a/b": 0.6, "_/up": 0.7, "größe _mm_": 0.8},
    }


@pytest.mark.parametrize(
    ("measured", "refusal"),
    [
        (
            {"a.b": 1, "a": {"b": 2}},
            'the metrics ["a.b"] in metrics.json and ["a", "b"] in metrics.json '
            "would both be called 'a.b' in MLflow",
        ),
        ({"a(b": 1, "a[b": 2}, '["a(b"] in metrics.json and ["a[b"] in'),
        ({"loss": 1, "loss/": 2}, "would both be called 'loss' in MLflow"),
        ({"f1": {"<50K": 1, "lt_50K": 2}}, "would both be called 'f1.lt_50K' in MLflow"),
    ],
)
def test_names_that_would_be_the_same_are_refused_by_name(
    toy: Toy, publish: Publish, measured: dict[str, Any], refusal: str
) -> None:
    toy.write("metrics/metrics.json", json.dumps(measured))
    toy.lock()
    assert refusal in publish(code=2)
    assert all_runs() == []


def test_a_param_that_is_cut_says_so(toy: Toy, publish: Publish) -> None:
    params = yaml.safe_load((toy.path / "params.yaml").read_text())
    params["model"] |= {"names": ["long"] * 2000, "classes": {"<50K": 1, ">50K": 2}}
    toy.write("params.yaml", yaml.safe_dump(params))
    toy.lock()
    publish()
    shown = the_run().data.params
    assert len(shown["model.names"]) == 6000
    assert shown["model.names"].startswith("[long, long, ")
    assert shown["model.names"].endswith(
        " ... (cut; params.yaml among the artifacts has all of it)"
    )
    assert (shown["model.classes.lt_50K"], shown["model.classes.gt_50K"]) == ("1", "2")


def test_the_data_of_a_run_can_be_loaded_by_their_md5(toy: Toy, publish: Publish) -> None:
    import mlflow

    publish()
    expected = (toy.path / "data/rows.parquet").read_bytes()
    toy.push()
    toy.write("data/rows.parquet", "other rows by now")
    inputs = the_run().inputs
    assert inputs
    (data,) = [item.dataset for item in inputs.dataset_inputs]
    assert Path(mlflow.data.get_source(data).load()).read_bytes() == expected


def test_params_without_tracking_are_refused(toy: Toy) -> None:
    toy.write("params.yaml", "model: {}\n")
    with pytest.raises(LockstepError, match="tracking"):
        _ = Project(toy.path).store
