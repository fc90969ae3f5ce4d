"""What a model must be to become the champion: the verdict, and how the champion changes."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from scaffold import render
from servers import Servers, mlflow
from tiny import Tiny

from conftest import Scaffold
from lockstep import LockstepError
from lockstep.champion.alias import CHAMPION, history_of, move
from lockstep.gate.candidate import Candidate
from lockstep.gate.comparison_process import Opponent, compare
from lockstep.gate.rules import Comparison, Rules, Verdict, judge
from lockstep.mlflow.registry import aliases_of, find_version, version_called
from lockstep.mlflow.store import Store
from project import Project

if TYPE_CHECKING:
    from mlflow import MlflowClient

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
    assert "- failed: accuracy: 0.9, required: at least 0.95" in found.note
    assert "- passed: loss: 0.3, required: at most 0.4" in found.note


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


def test_a_leak_is_refused_if_the_rules_say_so() -> None:
    warnings = ["leak: 'copy' alone predicts 'y'", "a column is odd"]
    assert judge(METRICS, EVALUATION, None, Rules(), warnings).outcome == "passed"
    refused = judge(METRICS, EVALUATION, None, Rules(leak="refuse"), warnings)
    assert refused.reasons == ["leaks: 'copy' alone predicts 'y', required: none"]
    assert judge(METRICS, EVALUATION, None, Rules(leak="refuse"), warnings[1:]).outcome == "passed"


def test_a_pipeline_that_measures_only_metrics_is_judged_by_them() -> None:
    found = judge({"mine": 1.0}, {}, None, Rules(thresholds={"mine": {"min": 0.5}}))
    assert found.outcome == "passed"
    compared = Comparison("1", difference=0.5, interval=(0.4, 0.6))
    assert judge({"mine": 1.0}, {}, compared, Rules()).outcome == "undecided", "no direction"
    assert judge({"mine": 1.0}, {}, compared, Rules(direction="maximize")).outcome == "passed"


TABLES = {
    "regression": (
        {"actual": [1.0, 2.0, 3.0, 4.0], "predicted": [1.1, 2.1, 3.0, 4.1]},
        {"actual": [1.0, 2.0, 3.0, 4.0], "predicted": [3.0, 1.0, 4.5, 2.0]},
        "mean_absolute_error",
    ),
    "classification": (
        {"actual": list("abab") * 5, "predicted": list("abab") * 5},
        {"actual": list("abab") * 5, "predicted": list("aaaa") * 5},
        "accuracy",
    ),
}


@pytest.fixture
def scoring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The scoring of the template's own code."""
    monkeypatch.syspath_prepend(render(tmp_path, project_name="Judged") / "src")
    yield "judged.scoring"
    for name in [name for name in sys.modules if name.partition(".")[0] == "judged"]:
        del sys.modules[name]


@pytest.mark.parametrize("task", TABLES)
def test_predictions_are_compared_by_the_project_s_own_scoring(
    task: str, scoring: str, tmp_path: Path
) -> None:
    *tables, metric = TABLES[task]
    ours, theirs = tmp_path / "ours.parquet", tmp_path / "theirs.parquet"
    for table, path in zip(tables, (ours, theirs), strict=True):
        pd.DataFrame(table).to_parquet(path)
    direction = "minimize" if task == "regression" else "maximize"
    evaluation = {"metrics": {metric: {"direction": direction}}}
    candidate = Candidate({metric: 0.0}, evaluation, ours, tmp_path, None, tmp_path)
    comparison = compare(scoring, candidate, Opponent("1", theirs), Rules(resamples=200))
    assert comparison.problem is None
    assert judge({metric: 0.0}, evaluation, comparison, Rules()).outcome == "passed"
    again = compare(scoring, candidate, Opponent("1", ours), Rules(resamples=200))
    assert again.difference == 0.0
    pd.DataFrame(tables[0]).iloc[::-1].to_parquet(theirs)
    other_rows = compare(scoring, candidate, Opponent("1", theirs), Rules())
    assert other_rows.problem == "the predictions of the two models are for different rows"
    theirs.unlink()
    missing = compare(scoring, candidate, Opponent("1", theirs), Rules())
    assert str(missing.problem).startswith("FileNotFoundError: ")


@pytest.fixture
def client(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "MlflowClient":
    """Of a store in which the model `penguins` has three versions."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    client = Store(tmp_path, {"experiment": "e", "uri": None}).client()
    client.create_registered_model("penguins")
    for _ in range(3):
        client.create_model_version("penguins", source=str(tmp_path))
    return client


def champion(client: "MlflowClient") -> str | None:
    version = find_version(client, "penguins", CHAMPION)
    return str(version.version) if version else None


def test_the_alias_moves_forward_and_back_and_its_history_is_kept(
    client: "MlflowClient", tmp_path: Path
) -> None:
    one, two, three = (version_called(client, "penguins", number) for number in "123")
    assert move(client, tmp_path, one, None, reason="the first")
    assert move(client, tmp_path, two, "1")
    assert move(client, tmp_path, three, "2")
    assert history_of(client, "penguins") == ["1", "2", "3"]
    assert move(client, tmp_path, two, "3", back=True)
    assert move(client, tmp_path, one, "2", back=True)
    assert history_of(client, "penguins") == ["1"]
    assert champion(client) == "1"
    tags = client.get_model_version("penguins", "2").tags
    assert tags["champion.from"] == "3"
    assert "version 1 is back" in tags["champion.until"]
    assert client.get_model_version("penguins", "1").tags["champion.reason"] == "none given"


def test_the_alias_is_not_moved_over_somebody_else_s_champion(
    client: "MlflowClient", tmp_path: Path
) -> None:
    one, two, three = (version_called(client, "penguins", number) for number in "123")
    move(client, tmp_path, one, None)
    move(client, tmp_path, two, "1")
    assert not move(client, tmp_path, three, "1"), "it was judged against version 1"
    assert not move(client, tmp_path, three, None)
    assert champion(client) == "2"


def test_what_an_interruption_left_out_is_recorded_when_asked_again(
    client: "MlflowClient", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (version_called(client, "penguins", number) for number in "12")
    move(client, tmp_path, one, None)
    with monkeypatch.context() as patch:
        patch.setattr(client, "set_model_version_tag", interrupt)
        with pytest.raises(KeyboardInterrupt):
            move(client, tmp_path, two, "1")
    assert champion(client) == "2"
    assert history_of(client, "penguins") == ["1"]
    assert move(client, tmp_path, two, "2")
    assert history_of(client, "penguins") == ["1", "2"]
    assert client.get_model_version("penguins", "2").tags["champion.from"] == "1"


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_champion_by_other_means_is_part_of_the_history(
    client: "MlflowClient", tmp_path: Path
) -> None:
    client.set_registered_model_alias("penguins", CHAMPION, "1")
    assert move(client, tmp_path, version_called(client, "penguins", "2"), "1")
    assert history_of(client, "penguins") == ["1", "2"]
    client.delete_model_version("penguins", "1")
    assert history_of(client, "penguins") == ["2"], "a deleted version cannot be returned to"


def test_a_version_that_does_not_exist_is_reported(client: "MlflowClient") -> None:
    assert version_called(client, "penguins", "3").version in (3, "3")
    for word in ("4", "challenger"):
        with pytest.raises(LockstepError, match=f"penguins has no version .*{word}"):
            version_called(client, "penguins", word)
    assert aliases_of(client, "penguins") == {}


# A ridge regression on the six rows of the tiny project; what is best, worse and worst on its test
# rows is far beyond luck.
BEST, WORSE, WORST = 0.3, 1.0, 1.1


def publish(tiny: Tiny, alpha: float, *stages: str) -> str:
    """Train another model, and publish it."""
    model = f"_target_: sklearn.linear_model.Ridge\nalpha: {alpha}\n"
    tiny.write("conf/model/linear.yaml", model)
    tiny.repro(*stages or ("compose", "train", "evaluate"))
    return tiny.lockstep("publish")


def listed(tiny: Tiny) -> dict[str, dict[str, Any]]:
    """What `lockstep models` knows, by version."""
    return {row["version"]: row for row in json.loads(tiny.lockstep("models", "--json"))}


def aliases_in(tiny: Tiny) -> dict[str, str]:
    """The versions that have an alias."""
    return {alias: number for number, row in listed(tiny).items() for alias in row["aliases"]}


def test_a_better_model_becomes_champion_under_auto_and_a_worse_one_never(
    tiny_project: Tiny,
) -> None:
    project = tiny_project
    project.edit("conf/registry/default.yaml", "policy: manual", "policy: auto")
    assert "champion: version 1, this one" in publish(project, WORSE)
    commit = project.commit("the first")
    output = publish(project, BEST)
    assert "gate: passed" in output
    assert aliases_in(project)["champion"] == "2"
    output = publish(project, WORST)
    assert "gate: failed" in output
    assert "mean_absolute_error against the champion, version 2: worse by " in output
    assert aliases_in(project) == {"champion": "2", "challenger": "3"}

    versions = listed(project)
    assert [versions[number]["verdict"] for number in "123"] == ["passed", "passed", "failed"]
    assert "required: better, beyond chance" in versions["3"]["reasons"][0]
    assert versions["2"]["champion"]["from"] == "1"
    assert versions["2"]["champion"]["by"] == "Ada Lovelace <ada@example.org>"
    assert versions["2"]["commit"] == commit
    assert versions["2"]["data"] in (project.path / "data/raw.csv.dvc").read_text()
    with project.entered():
        client = Store(project.path, {"experiment": "toy"}).client()
        tags = client.get_run(versions["3"]["run"]).data.tags
    assert tags["gate.verdict"] == "failed"
    assert "### Gate: failed" in tags["mlflow.note.content"]
    assert "- mean_absolute_error 1.312" in tags["mlflow.note.content"], (
        "what was there before stays"
    )

    assert "not promoted" in project.lockstep("promote", "3", ok=False)
    assert "--reason" in project.lockstep("promote", "3", "--force", ok=False)
    assert aliases_in(project)["champion"] == "2"
    project.lockstep("promote", "3", "--force", "--reason", "a drill")
    assert aliases_in(project)["champion"] == "3"
    assert listed(project)["3"]["champion"]["reason"] == "a drill (forced, the gate: failed)"
    assert "already" in project.lockstep("promote", "3")

    for earlier in ("2", "1"):
        project.lockstep("rollback")
        assert aliases_in(project)["champion"] == earlier
    assert "no earlier champion" in project.lockstep("rollback", ok=False)
    assert "version 2 is back" in listed(project)["3"]["champion"]["until"]
    # The verdict of the third was reached against the second, which is no longer the champion.
    output = project.lockstep("promote", "3", ok=None)
    assert "against the champion, version 1" in output
    table = project.lockstep("models").splitlines()
    assert re.match(r"version +aliases +gate +mean_absolute_error +data", table[0])
    assert re.match(r"3 +challenger +failed +\d", table[1])


def test_a_champion_that_was_tested_on_other_rows_is_scored_again(tiny_project: Tiny) -> None:
    project = tiny_project
    publish(project, WORSE)
    project.lockstep("promote")
    project.edit("conf/data/default.yaml", "rows: 3", "rows: 4")
    output = publish(project, WORST, "compose", "split", "train", "evaluate")
    assert "version 1 was scored again on the test data of this run" in output
    # Trained on x = 1, 2, 3, tested on x = 5, 6: y = 25/6 + 1.5 (x - 2), in truth 9.5 and 12.
    (row,) = re.findall(r"(?m)^mean_absolute_error +([\d.]+) +([\d.]+)", output)
    assert float(row[1]) == pytest.approx(((9.5 - 26 / 3) + (12 - 61 / 6)) / 2, rel=1e-3)


def test_a_project_without_predictions_is_undecided_and_promoted_by_hand_only(
    tiny_project: Tiny,
) -> None:
    project = tiny_project
    publish(project, WORSE)
    project.lockstep("promote")
    project.edit("dvc.yaml", "      predictions: reports/predictions.parquet\n", "")
    project.edit("conf/registry/default.yaml", "policy: manual", "policy: auto")
    output = publish(project, BEST)
    assert "gate: undecided" in output
    measured = r"\d[\d.]*, and \d[\d.]* in its run; without the predictions of the test rows"
    assert re.search(measured, output)
    assert "name their files in dvc.yaml under artifacts, meta: predictions" in output
    assert aliases_in(project)["champion"] == "1", "undecided is not passed"
    assert "not promoted; to promote it anyway" in project.lockstep("promote", ok=False)
    assert aliases_in(project)["champion"] == "1"
    forced = project.lockstep("promote", "--force", "--reason", "measured by hand")
    assert "champion is version 2" in forced


def test_what_the_stages_warn_of_is_shown_wherever_one_looks(tiny_project: Tiny) -> None:
    project = tiny_project
    warnings = ["leak: 'x' gives 'y' away: add it to data.drop", "odd | rows"]
    project.edit("src/toy/evaluate.py", '"slices": {}', f'"slices": {{}}, "warnings": {warnings!r}')
    output = publish(project, WORSE)
    assert "gate: passed" in output
    for text in warnings:
        assert f"\nwarning: {text}\n" in output
    with project.entered():
        client = Store(project.path, {"experiment": "toy"}).client()
        (version,) = listed(project).values()
        tags = client.get_run(version["run"]).data.tags
        card = client.download_artifacts(version["run"], "model_card.md", str(project.path.parent))
    assert tags["warnings"].splitlines() == warnings
    assert f"\n- **Warning**, {warnings[0]}\n" in tags["mlflow.note.content"]
    assert f"## Warnings\n\n- **Warning**, {warnings[0]}" in Path(card).read_text(encoding="utf-8")

    project.edit("conf/registry/default.yaml", "slices: {}", "slices: {}\nleak: refuse")
    project.lockstep("compose")
    output = project.lockstep("promote", ok=False)
    assert "leaks: 'x' gives 'y' away: add it to data.drop, required: none" in output
    assert "gate: failed" in publish(project, BEST)


def test_a_publish_that_dies_after_judging_is_completed_as_it_was_judged(
    tiny_project: Tiny,
) -> None:
    project = tiny_project
    project.edit("conf/registry/default.yaml", "policy: manual", "policy: auto")
    project.repro("compose")
    dies = (
        "import os; from lockstep import cli; from lockstep.publish import gate_step\n"
        "gate_step.move = lambda *_, **__: os._exit(9)\n"
        "cli.main(['publish'])"
    )
    with project.entered():
        assert subprocess.run([sys.executable, "-c", dies], env=os.environ).returncode == 9
    assert aliases_in(project) == {"challenger": "1"}
    project.edit("conf/registry/default.yaml", "metric: null", "metric: median_absolute_error")
    project.lockstep("compose")
    output = project.lockstep("publish")
    assert "mean_absolute_error against the baseline" in output, "not judged again"
    assert aliases_in(project) == {"challenger": "1", "champion": "1"}
    (row,) = listed(project).values()
    with project.entered():
        client = Store(project.path, {"experiment": "toy"}).client()
        assert client.get_run(row["run"]).info.status == "FINISHED"


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


def test_other_test_data_have_the_champion_scored_again(published: Project) -> None:
    project = published
    project.run("lockstep", "promote")
    first = project.runs()[0]["metrics"]
    output = project.experiment("-S", "split.seed=7", *POOR)
    assert "version 1 was scored again on the test data of this run" in output
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

    card = project.python(
        "import sys, mlflow\n"
        "print(mlflow.artifacts.load_text(f'runs:/{sys.argv[1]}/model_card.md'))",
        project.runs()[-1]["id"],
    )
    for section in ("## Metrics", "| island = Dream |", "## Limits", "plots/roc.png", "## Data"):
        assert section in card
    assert "| model.n_neighbors | `200` |" in card

    # A threshold that is set since then holds for a promotion; the run is asked, not the workspace.
    project.git("checkout", "--quiet", "--force", "main")
    project.edit("conf/registry/default.yaml", "thresholds: {}", "thresholds: {log_loss: {max: 0}}")
    project.run("lockstep", "compose", "--force")
    output = project.run("lockstep", "promote", "2", ok=False)
    assert "log_loss: " in output
    assert "required: at most 0" in output
    assert "accuracy against the champion, version 1: worse by " in output


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
    outputs = [process.communicate(timeout=300)[0] for process in started]
    codes = [process.returncode for process in started]
    assert sorted(codes) == [0, 1], outputs
    winner = ("2", "3")[codes.index(0)]
    assert aliases(project, **env)["champion"] == winner
    refused = outputs[codes.index(1)]
    assert "not promoted" in refused
    assert versions(project)[winner]["champion"]["from"] == "1"
    project.run("lockstep", "rollback")
    assert aliases(project, **env)["champion"] == "1"
