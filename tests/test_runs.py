"""`lockstep runs` and `lockstep diff`: which run is best, by how much, and what differs."""

import json
import os
import re
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
from tiny import Tiny

from lockstep.commands import runs
from lockstep.compare.listing import Listing, Row, differing, special
from lockstep.mlflow.runs import finished
from lockstep.project import Project
from lockstep.values import shortest_names

FOREST, SVM = "sklearn.ensemble.RandomForestClassifier", "sklearn.svm.SVC"


def row(name: str = "name", **params: str) -> Row:
    named = {name.replace("__", "."): value for name, value in params.items()}
    return Row("id", name, 0, named, {}, {}, {})


def test_params_of_a_model_are_compared_among_runs_of_that_model() -> None:
    rows = [
        row(model___target_=FOREST, model__n_estimators="100", split__seed="1"),
        row(model___target_=FOREST, model__n_estimators="20", split__seed="1"),
        row(model___target_=SVM, model__C="1.0", split__seed="1"),
    ]
    assert [set(differs) for differs in differing(rows)] == [
        {"model._target_", "model.n_estimators"},
        {"model._target_", "model.n_estimators"},
        {"model._target_"},
    ]


def test_a_param_that_follows_another_one_is_shown_once() -> None:
    rows = [
        row(split__seed=seed, model___target_=FOREST, model__random_state=seed) for seed in "123"
    ]
    assert [set(differs) for differs in differing(rows)] == [{"split.seed"}] * 3


def test_a_value_that_most_runs_have_is_not_special() -> None:
    rows = [row(split__seed="1"), row(split__seed="1"), row(split__seed="2")]
    assert special(rows, differing(rows)) == [{}, {}, {"split.seed": "2"}]


def test_an_override_is_special_unless_all_runs_have_it() -> None:
    poisson = row(model___target_=FOREST, model__loss="poisson")
    poisson.tags["overrides"] = "model=forest +model.loss=poisson 'data.drop=[a b]'"
    rows = [row(model___target_=SVM), poisson]
    assert special(rows, differing(rows))[1]["model.loss"] == "poisson"
    assert special([poisson, poisson], [{}, {}]) == [{}, {}]


def test_a_param_that_only_one_run_has_differs() -> None:
    assert differing([row(), row(data__drop="[x]")]) == [{}, {"data.drop": "[x]"}]


def test_params_of_an_option_are_compared_among_runs_with_that_option() -> None:
    rows = [
        row(preprocess="ordinal", preprocess__unknown="-1"),
        row(preprocess__sparse="false"),
        row(preprocess__sparse="true"),
    ]
    assert differing(rows) == [
        {"preprocess": "ordinal"},
        {"preprocess.sparse": "false"},
        {"preprocess.sparse": "true"},
    ]


@pytest.mark.parametrize(
    ("made", "model", "label"),
    [
        (row("svm · downy-bots", model___target_=SVM), "svm", "downy-bots"),
        (row("main-1234567", model___target_=FOREST), "RandomForestClassifier", "main-1234567"),
        (row("name"), "", "name"),
    ],
)
def test_a_run_is_called_by_its_model_and_its_label(made: Row, model: str, label: str) -> None:
    assert (made.model, made.label) == (model, label)


def test_names_are_cut_as_short_as_they_stay_apart() -> None:
    keys = ("model.C", "preprocess.number.scale._target_", "preprocess.date.scale._target_")
    assert list(shortest_names(keys).values()) == [
        "C",
        "number.scale._target_",
        "date.scale._target_",
    ]


def test_runs_as_json(tiny_rivals: Tiny) -> None:
    newest, champion = json.loads(tiny_rivals.lockstep("runs", "--json"))
    assert (newest["version"], newest["aliases"]) == ("2", ["challenger"])
    assert (champion["version"], champion["aliases"]) == ("1", ["champion"])
    assert (newest["verdict"], champion["verdict"]) == ("failed", "passed")
    low, high = champion["interval"]
    assert low < champion["value"] < high
    assert newest["commit"] == tiny_rivals.git("rev-parse", "HEAD")
    best, worst = json.loads(tiny_rivals.lockstep("runs", "--sort", "best", "--json"))
    assert best["value"] < worst["value"]  # an error
    (only,) = json.loads(
        tiny_rivals.lockstep("runs", "--json", "--filter", "params.model.strategy = 'mean'")
    )
    assert only["run"] == newest["run"]


def test_a_table_of_runs_fits_into_100_columns_and_names_the_best(tiny_rivals: Tiny) -> None:
    *lines, advice = tiny_rivals.lockstep("runs").splitlines()
    assert all(len(line) <= 100 for line in lines)
    worst, best = (run["run"] for run in json.loads(tiny_rivals.lockstep("runs", "--json")))
    labels = [name.rpartition(" ")[2] for name in (best, worst)]
    command = f"uv run lockstep diff {labels[1]} {labels[0]}"
    assert advice == f"best: {labels[0]}; by how much, and is it chance? {command}"


def test_options_are_below_the_model_where_they_do_not_fit_beside(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forests = (
        row(f"random_forest · {name}", model___target_=FOREST, model__min_samples_leaf=leaf)
        for name, leaf in {"1234567": "5", "1234567+abcdefg": "10"}.items()
    )
    listing = Listing(list(forests), "root_mean_squared_error", "minimize")
    monkeypatch.setattr(runs, "list_runs", lambda *_: listing)
    monkeypatch.setattr(runs, "unpublished_experiments", lambda _: [])

    def shown(width: int) -> list[list[str]]:
        monkeypatch.setenv("COLUMNS", str(width))
        runs.run(Namespace(sort="newest", filter=None, limit=20, as_json=False))
        return [line.split() for line in capsys.readouterr().out.splitlines()]

    _, headings, first, second = shown(120)[:4]
    assert headings[-1] == "options"
    assert [first[-1], second[-1]] == ["min_samples_leaf=5", "min_samples_leaf=10"]
    _, headings, first, below = shown(80)[:4]
    assert headings[1:3] == ["model,", "options"]
    assert (first[0], below) == ("1234567", ["min_samples_leaf=5"])


def test_what_a_training_logs_is_not_compared(tiny_rivals: Tiny) -> None:
    with tiny_rivals.entered():
        store = Project(tiny_rivals.path).store
        client = store.client()
        for run in finished(client, store.experiment_id(client)):
            client.log_metric(run.info.run_id, "train_loss", 1.0)
    output = tiny_rivals.lockstep("diff", "1", "2")
    assert "worse" in output
    assert "train_loss" not in output
    assert "No intervals" not in output
    tiny_rivals.edit("conf/registry/default.yaml", "margin: 0.0", "margin: 0.1")
    assert "gate failed" in tiny_rivals.lockstep("promote", "2", ok=False), "judged again"


def test_a_reader_that_has_read_enough_is_no_error(tiny_rivals: Tiny) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "lockstep", "runs"]
    with tiny_rivals.entered():
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.stderr, done.returncode) == ("", 1)


def test_an_experiment_without_a_run_is_named(tiny_published: Tiny) -> None:
    head = tiny_published.git("rev-parse", "HEAD")
    tiny_published.edit("conf/model/linear.yaml", "positive: false", "positive: true")
    tiny_published.repro()
    commit = tiny_published.commit("an experiment")
    ref = f"refs/exps/{head[:2]}/{head[2:]}/lost-run"
    tiny_published.git("update-ref", ref, commit)
    tiny_published.git("reset", "--quiet", "--hard", head)
    assert "not in MLflow: lost-run" in tiny_published.lockstep("runs")
    output = tiny_published.lockstep("diff", "lost-run", "1")
    assert "model.positive  True" in output
    assert "conf/model/linear.yaml" in output


def test_diff_finds_the_champion_and_the_workspace_by_itself(tiny_rivals: Tiny) -> None:
    output = tiny_rivals.lockstep("diff")
    assert " is worse than " in output.splitlines()[0]
    swapped = tiny_rivals.lockstep("diff", "challenger", "1")
    assert " is better than " in swapped.splitlines()[0]


def test_diff_without_intervals_says_why(tiny_rivals: Tiny) -> None:
    tiny_rivals.edit("conf/data/default.yaml", "rows: 3", "rows: 4")
    tiny_rivals.repro()
    assert "has no run yet" in tiny_rivals.lockstep("diff", ok=False)
    tiny_rivals.lockstep("publish")
    output = tiny_rivals.lockstep("diff")
    assert "were not compared on the same rows: they were tested on different rows" in output
    assert "data/test.csv" in output


def test_diff_as_a_page_needs_no_network(tiny_rivals: Tiny, tmp_path: Path) -> None:
    page = tmp_path / "diff.html"
    tiny_rivals.lockstep("diff", "--html", str(page))
    text = page.read_text(encoding="utf-8")
    assert "is worse than" in text
    assert "http" not in text
    assert "src=" not in text


def test_diff_names_packages_that_differ(tiny_published: Tiny) -> None:
    tiny_published.edit("uv.lock", 'version = "0.1.0"', 'version = "0.2.0"')
    tiny_published.commit("an upgrade")
    output = tiny_published.lockstep("diff", "1", "HEAD")
    assert re.search(r"^toy +0\.1\.0 +0\.2\.0 *$", output, re.MULTILINE), output
