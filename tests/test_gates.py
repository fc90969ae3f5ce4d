"""What a model must be to become the champion: the judgement itself, and what the registry says."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from servers import Servers, mlflow

from conftest import Scaffold
from lockstep.gate.rules import Comparison, Rules, Verdict, judge
from project import Project

METRICS = {"accuracy": 0.9, "loss": 0.3, "baseline.accuracy": 0.5, "baseline.loss": 0.7}
EVALUATION: dict[str, Any] = {
    "metrics": {"accuracy": {"direction": "maximize"}, "loss": {"direction": "minimize"}},
    "slices": {
        "island": {
            "Biscoe": {"rows": 40, "metrics": {"accuracy": 0.95}},
            "Dream": {"rows": 30, "metrics": {"accuracy": 0.7}},
            "Torgersen": {"rows": 5, "metrics": {"accuracy": 0.2}},
        }
    },
}


def verdict(comparison: Comparison | None = None, **rules: Any) -> Verdict:
    return judge(METRICS, EVALUATION, comparison, Rules(**rules))


def test_a_failed_gate_names_its_metric_value_and_threshold() -> None:
    found = verdict(thresholds={"accuracy": {"min": 0.95}, "loss": {"max": 0.4}})
    assert found.outcome == "failed"
    assert found.reasons == ["accuracy: 0.9, required: at least 0.95"]
    assert "| accuracy | at least 0.95 | 0.9 | failed |" in found.note
    assert "| loss | at most 0.4 | 0.3 | passed |" in found.note


def test_a_threshold_on_what_was_not_measured_fails() -> None:
    assert verdict(thresholds={"f1": {"min": 0.1}}).reasons == [
        "f1: not measured, required: at least 0.1"
    ]
    assert verdict(slices={"sex": {"accuracy": {"min": 0.1}}}).outcome == "failed"


def test_a_slice_with_enough_rows_can_fail_a_model() -> None:
    found = verdict(slices={"island": {"accuracy": {"min": 0.8}}})
    assert found.reasons == ["accuracy where island = Dream: 0.7 (30 rows), required: at least 0.8"]
    assert "only 5 rows, too few to judge" in found.note


@pytest.mark.parametrize(
    ("metric", "value", "outcome"),
    [("accuracy", 0.5, "failed"), ("accuracy", 0.51, "passed"), ("loss", 0.7, "failed")],
)
def test_the_dummy_must_be_beaten(metric: str, value: float, outcome: str) -> None:
    found = judge({**METRICS, metric: value}, EVALUATION, None, Rules(metric=metric))
    assert found.outcome == outcome, found.note


@pytest.mark.parametrize(
    ("metric", "difference", "interval", "margin", "outcome"),
    [
        ("accuracy", 0.05, (0.01, 0.09), 0.0, "passed"),
        ("accuracy", 0.002, (-0.01, 0.014), 0.0, "failed"),
        ("accuracy", 0.05, (0.01, 0.09), 0.02, "failed"),
        ("accuracy", -0.002, (-0.008, 0.004), -0.01, "passed"),
        ("accuracy", 0.0, (0.0, 0.0), 0.0, "failed"),
        ("loss", -0.1, (-0.15, -0.05), 0.0, "passed"),
        ("loss", 0.1, (0.05, 0.15), 0.0, "failed"),
    ],
)
def test_luck_is_no_win(
    metric: str,
    difference: float,
    interval: tuple[float, float],
    margin: float,
    outcome: str,
) -> None:
    comparison = Comparison("3", difference=difference, interval=interval)
    found = verdict(comparison, metric=metric, margin=margin)
    assert found.outcome == outcome, found.note
    assert "champion, version 3" in found.note


def test_what_cannot_be_compared_is_neither_won_nor_lost() -> None:
    found = verdict(Comparison("3", problem="no predictions"))
    assert found.outcome == "undecided"
    assert "no predictions" in found.reasons[0]
    failed = verdict(Comparison("3", problem="x"), thresholds={"accuracy": {"min": 1.0}})
    assert failed.outcome == "failed"


def test_a_pipeline_that_measures_only_metrics_is_judged_by_them() -> None:
    found = judge({"mine": 1.0}, {}, None, Rules(thresholds={"mine": {"min": 0.5}}))
    assert found.outcome == "passed"
    compared = Comparison("1", difference=0.5, interval=(0.4, 0.6))
    assert judge({"mine": 1.0}, {}, compared, Rules()).outcome == "undecided", "no direction"
    assert judge({"mine": 1.0}, {}, compared, Rules(direction="maximize")).outcome == "passed"


# From here on in whole projects. A forest beats neighbours of which every row has all others.
POOR = ("-S", "model=knn", "-S", "model.n_neighbors=200")


def versions(project: Project, **env: str) -> dict[str, dict[str, Any]]:
    """What `lockstep models` knows, by version."""
    text = project.run("lockstep", "models", "--json", env=env)
    rows: list[dict[str, Any]] = json.loads(text[text.index("[") :])
    return {row["version"]: row for row in rows}


def aliases(project: Project, **env: str) -> dict[str, str]:
    """The versions that have an alias, as MLflow has them."""
    text = project.python(
        "import json; from mlflow import MlflowClient\n"
        "found = MlflowClient().get_registered_model('penguins').aliases\n"
        "print(json.dumps({alias: str(version) for alias, version in found.items()}))",
        **env,
    )
    return dict(json.loads(text[text.index("{") :]))


def test_a_better_model_becomes_champion_under_auto_and_a_worse_one_never(
    unpublished: Project,
) -> None:
    project = unpublished
    project.edit("conf/registry/default.yaml", "policy: manual", "policy: auto")
    project.run("lockstep", "compose")
    project.commit("auto")
    output = project.experiment(*POOR)
    assert "champion: version 1, this one; before it was none" in output
    output = project.experiment("-S", "model=random_forest")
    assert "gate: passed" in output
    assert aliases(project)["champion"] == "2"
    output = project.experiment("-S", "model=knn", "-S", "model.n_neighbors=190")
    assert "gate: failed" in output
    assert "accuracy against the champion, version 2: -" in output
    assert aliases(project) == {"champion": "2", "challenger": "3"}

    found = versions(project)
    assert [found[number]["verdict"] for number in "123"] == ["passed", "passed", "failed"]
    assert "required: better by more than 0" in found["3"]["reasons"][0]
    assert found["2"]["champion"]["from"] == "1"
    assert found["2"]["champion"]["by"] == "Ada Lovelace <ada@example.org>"
    assert found["2"]["commit"] == project.git("rev-parse", "HEAD")
    assert found["2"]["data"] in (project.path / "data/raw.csv.dvc").read_text()
    run = project.runs()[-1]
    assert run["tags"]["gate.verdict"] == "failed"
    assert "### Gate: failed" in run["tags"]["mlflow.note.content"]
    assert "| accuracy |" in run["tags"]["mlflow.note.content"], "what was said before stays"

    output = project.run("lockstep", "promote", "3", ok=False)
    assert "not promoted" in output
    assert "--reason" in project.run("lockstep", "promote", "3", "--force", ok=False)
    assert aliases(project)["champion"] == "2"
    project.run("lockstep", "promote", "3", "--force", "--reason", "a drill")
    assert aliases(project)["champion"] == "3"
    assert versions(project)["3"]["champion"]["reason"] == "a drill (forced, the gate: failed)"
    assert "already" in project.run("lockstep", "promote", "3")

    for before in ("2", "1"):
        project.run("lockstep", "rollback")
        assert aliases(project)["champion"] == before
    assert "no earlier champion" in project.run("lockstep", "rollback", ok=False)
    assert "version 2 is back" in versions(project)["3"]["champion"]["until"]
    # The verdict of the third was reached against the second, which is no champion any more.
    output = project.run("lockstep", "promote", "3", ok=None)
    assert "against the champion, version 1" in output

    card = project.python(
        "import sys, mlflow\n"
        "print(mlflow.artifacts.load_text(f'runs:/{sys.argv[1]}/model_card.md'))",
        run["id"],
    )
    for section in ("## Metrics", "| island = Dream |", "## Limits", "plots/roc.png", "## Data"):
        assert section in card
    assert "| model.n_neighbors | `190` |" in card


def test_other_test_data_have_the_champion_scored_again(published: Project) -> None:
    project = published
    project.run("lockstep", "promote")
    first = project.runs()[0]["metrics"]
    output = project.experiment("-S", "split.seed=7", *POOR)
    assert "version 1 was scored again, on the test data of this run" in output
    assert "gate: failed" in output
    # The last such line is that of the closing table: metric, this run, champion, baseline.
    shown = [line for line in output.splitlines() if line.startswith("log_loss")][-1]
    assert float(shown.split()[2]) != pytest.approx(first["log_loss"], rel=1e-3)
    again = project.python(
        "import mlflow, pandas as pd; from sklearn.metrics import log_loss\n"
        "rows = pd.read_parquet('data/test.parquet')\n"
        "model = mlflow.sklearn.load_model('models:/penguins@champion')\n"
        "p = model.predict_proba(rows.drop(columns='species'))\n"
        "print('loss', log_loss(rows['species'], p))"
    )
    expected = float(again.partition("loss ")[2].split()[0])
    assert float(shown.split()[2]) == pytest.approx(expected, rel=1e-3)

    # A threshold that is set since then holds for a promotion; the run is asked, not the workspace.
    project.git("checkout", "--quiet", "--force", "main")
    project.edit("conf/registry/default.yaml", "thresholds: {}", "thresholds: {log_loss: {max: 0}}")
    project.run("lockstep", "compose", "--force")
    output = project.run("lockstep", "promote", "2", ok=False)
    assert "log_loss: " in output
    assert "required: at most 0" in output
    assert "accuracy against the champion, version 1: -" in output


def test_a_regression_is_judged_and_a_pipeline_without_predictions_is_published(
    scaffold: Scaffold,
) -> None:
    project = scaffold(task="regression")
    project.commit("environment")
    output = project.experiment(*POOR)
    assert "gate: passed" in output
    project.run("lockstep", "promote")
    output = project.experiment("-S", "model=random_forest")
    assert "gate: passed" in output
    assert "root_mean_squared_error against the champion, version 1: +" in output

    project.edit("dvc.yaml", "      predictions: ${paths.predictions}", "      # none")
    project.edit("conf/registry/default.yaml", "policy: manual", "policy: auto")
    output = project.experiment("-S", "model=ridge")
    assert "gate: undecided" in output
    assert "dvc.yaml lists none under the model" in output
    assert aliases(project)["champion"] == "1", "undecided is not passed"


def test_a_server_is_judged_on_and_two_promotions_race(
    scaffold: Scaffold, servers: Servers, first_project: Project
) -> None:
    server = servers.add(mlflow(servers, first_project))
    project = scaffold(mlflow_tracking_uri=server.url)
    env = {"MLFLOW_TRACKING_URI": server.url}
    project.commit("environment")
    project.experiment(*POOR)
    project.run("lockstep", "promote")
    project.experiment("-S", "model=random_forest", "-S", "split.seed=3")
    project.experiment("-S", "model=logistic", "-S", "split.seed=3")
    found = versions(project)
    assert [found[number]["verdict"] for number in "123"] == ["passed"] * 3
    assert aliases(project, **env) == {"champion": "1", "challenger": "3"}

    started = [
        subprocess.Popen(
            ["lockstep", "promote", number],
            cwd=project.path,
            env=project.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in ("2", "3")
    ]
    outputs = [process.communicate(timeout=120)[0] for process in started]
    codes = [process.returncode for process in started]
    assert sorted(codes) == [0, 1], outputs
    winner = ("2", "3")[codes.index(0)]
    assert aliases(project, **env)["champion"] == winner
    refused = outputs[codes.index(1)]
    assert "not promoted" in refused
    assert versions(project)[winner]["champion"]["from"] == "1"
    project.run("lockstep", "rollback")
    assert aliases(project, **env)["champion"] == "1"


def test_a_pickled_champion_is_loaded_from_the_project_s_own_store_only(
    first_project: Project, tmp_path: Path
) -> None:
    output = first_project.python(
        "import sys, cloudpickle, yaml; from pathlib import Path\n"
        "from lockstep import LockstepError\n"
        "from lockstep.gate.comparison_process import TRUSTED, _load\n"
        "folder = Path(sys.argv[1])\n"
        "def model(flavor):\n"
        "    flavor = {'pickled_model': 'model', **flavor}\n"
        "    (folder / 'MLmodel').write_text(yaml.safe_dump({'flavors': {'sklearn': flavor}}))\n"
        "model({'serialization_format': 'cloudpickle'})\n"
        "(folder / 'model').write_bytes(cloudpickle.dumps({'a': 1}))\n"
        "print(_load(folder, None))\n"
        "for flavor in ({'serialization_format': 'cloudpickle'},\n"
        "  {'serialization_format': 'skops', 'skops_trusted_types': ['posix.system']}):\n"
        "    model(flavor)\n"
        "    try:\n"
        "        _load(folder, TRUSTED)\n"
        "    except LockstepError as error:\n"
        "        print(error)\n",
        str(tmp_path),
    )
    assert "{'a': 1}" in output
    assert "the champion is pickled" in output
    assert "the champion is made of posix.system" in output


def test_a_publish_that_dies_after_judging_is_completed_as_it_was_judged(
    unpublished: Project,
) -> None:
    project = unpublished
    project.edit("conf/registry/default.yaml", "policy: manual", "policy: auto")
    project.repro("evaluate")
    dies = (
        "import os; from lockstep import cli; from lockstep.publish import gate_step as judgement\n"
        "judgement.move = lambda *_, **__: os._exit(9)\n"
        "cli.main(['publish'])"
    )
    with pytest.raises(AssertionError, match="-> 9"):
        project.python(dies)
    assert aliases(project) == {"challenger": "1"}
    project.edit("conf/registry/default.yaml", "metric: null", "metric: f1_macro")
    output = project.run("dvc", "repro")
    assert "accuracy against the baseline" in output, "not judged again"
    assert aliases(project) == {"challenger": "1", "champion": "1"}
    (run,) = project.runs()
    assert run["status"] == "FINISHED"
