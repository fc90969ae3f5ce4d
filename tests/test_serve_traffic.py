"""`lockstep promote --on-traffic`: the gate on answers whose true values came later."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from serving import served, until
from test_serve_following import point, registry
from tiny import Tiny

from lockstep import LockstepError
from lockstep.intervals import Statistic, difference_apart, intervals
from lockstep.project import Project
from lockstep.serve.places import place_of
from lockstep.serve.records import TrueValue, feedback_table
from lockstep.serve.settings import ANSWERS, FEEDBACK, LogSettings
from lockstep.serve.traffic import LEAST_LABELS, evidence

ASKED = 2 * LEAST_LABELS + 20


@pytest.fixture
def project(tiny_rivals: Tiny) -> Iterator[Project]:
    """A project with two versions: the first, a line, is champion; the second, a mean, is worse."""
    with tiny_rivals.entered():
        yield Project(tiny_rivals.path)


def log_of(project: Project) -> Path:
    return project.root / "predictions"


def ask(project: Project, **split: float) -> None:
    """Ask the champion and its challenger about lines, whose true values come a little later."""
    log = log_of(project)
    second = registry(project, "challenger")
    with served(registry(project), LogSettings(str(log)), second, **split) as client:
        for number in range(ASKED):
            body = {"rows": [{"x": number % 9}]}
            assert client.post("/predict", body, **{"x-request-id": f"r{number}"}).status == 200
        if not split:
            until(lambda: shadowed(client.get("/metrics").text) == ASKED)


def shadowed(metrics: str) -> float:
    """The number of rows that the shadow predicted."""
    found = re.findall(r"^lockstep_shadow_rows_total\{.*\} (.+)$", metrics, re.MULTILINE)
    return sum(map(float, found))


def label(project: Tiny, count: int = ASKED) -> None:
    rows = [{"request_id": f"r{n}", "value": 2 * (n % 9) + n % 3 / 10} for n in range(count)]
    pd.DataFrame(rows).to_csv(project.path / "labels.csv", index=False)
    assert f"{count} true values added" in project.lockstep("feedback", "labels.csv")


def test_a_shadow_that_is_worse_on_real_traffic_is_not_promoted_and_a_better_one_is(
    project: Project, tiny_rivals: Tiny
) -> None:
    ask(project)
    label(tiny_rivals, LEAST_LABELS - 1)
    output = tiny_rivals.lockstep("promote", "2", "--on-traffic", ok=False)
    assert "gate failed" in output, "it is worse than the baseline on its test rows, too"
    label(tiny_rivals)
    output = tiny_rivals.lockstep("promote", "2", "--on-traffic", ok=False)
    assert f"against the champion, version 1 on {ASKED} answers: worse by" in output
    tiny_rivals.lockstep("promote", "2", "--force", "--reason", "to see it")
    output = tiny_rivals.lockstep("promote", "1", "--on-traffic", "7")
    assert "gate passed" in output
    assert f"against the champion, version 2 on {ASKED} answers: better by" in output
    client = project.store.client()
    run = client.get_run(str(client.get_model_version("toy", "1").run_id))
    assert f"on {ASKED} answers" in run.data.tags["gate.reasons"]


def test_a_share_of_the_requests_is_enough_and_too_few_decide_nothing(
    project: Project, tiny_rivals: Tiny
) -> None:
    ask(project, split=0.5)
    point(project, "2")
    label(tiny_rivals, LEAST_LABELS)
    output = tiny_rivals.lockstep("promote", "1", "--on-traffic", ok=False)
    assert "gate undecided" in output
    assert f"and {LEAST_LABELS} of each are needed" in output
    label(tiny_rivals)
    output = tiny_rivals.lockstep("promote", "1", "--on-traffic")
    assert "and" in output.split(" answers: better by")[0].rpartition(" on ")[2]


def test_true_values_of_another_type_are_refused(project: Project, tmp_path: Path) -> None:
    ask(project)
    log = place_of(str(log_of(project)))
    rows = log.read(ANSWERS, inputs=False).to_pylist()
    told = [TrueValue(row["_request"], row["_row"], "many", 1.0) for row in rows]
    log.write(FEEDBACK, feedback_table(told))
    with pytest.raises(LockstepError, match="give them as the model predicts them"):
        evidence(log, "toy", "2", None)("1", tmp_path)


def test_the_interval_of_two_groups_covers_their_difference_as_often_as_it_says() -> None:
    """The difference of two means of independent rows, whose true value is 0.3."""

    def mean(values: Any) -> Statistic:
        return lambda rows: {"mean": float(values[rows].mean())}

    random = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        ours, theirs = random.normal(1.3, 1, 80), random.normal(1.0, 1, 120)
        differ = difference_apart(mean(ours), mean(theirs), len(ours))
        low, high = intervals(differ, 200, confidence=0.9, resamples=200)["mean"]
        covered += low <= 0.3 <= high
    assert 82 <= covered <= 97
