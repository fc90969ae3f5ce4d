"""The tiny project that unit tests of the glue share: what it promises them."""

import json

import pytest
from tiny import Tiny


def test_it_is_in_step(tiny_project: Tiny) -> None:
    assert tiny_project.git("status", "--porcelain") == ""
    status = tiny_project.run("python", "-m", "dvc", "status", "--json")
    assert set(json.loads(status)) == {"publish"}
    assert tiny_project.lockstep("compose") == ""


def test_publish_shows_its_state_once(tiny_project: Tiny) -> None:
    first = tiny_project.lockstep("publish")
    assert "toy version 1" in first
    assert "already published" in tiny_project.lockstep("publish")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["models"], "challenger"),
        (["promote"], "champion is version 1"),
        (["trace", "data/raw.csv"], "read by: split"),
        (["doctor"], "every state has its run"),
    ],
)
def test_verbs_answer_in_a_published_one(
    tiny_published: Tiny, words: list[str], expected: str
) -> None:
    assert expected in tiny_published.lockstep(*words)


def test_the_pipeline_can_run_again(tiny_published: Tiny) -> None:
    tiny_published.edit("conf/model/linear.yaml", "positive: false", "positive: true")
    tiny_published.repro()
    assert "toy version 2" in tiny_published.lockstep("publish")
