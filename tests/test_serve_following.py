"""`lockstep serve` follows an alias: swaps, broken versions, a registry that is away."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import Client, served, until
from tiny import Tiny

from lockstep import LockstepError
from lockstep.inference.version import Version
from lockstep.mlflow.registry import set_alias
from lockstep.project import Project
from lockstep.serve.follower import Follower
from lockstep.serve.source import Registry, Trust

ROWS = {"rows": [{"x": 10}]}


@pytest.fixture
def project(tiny_rivals: Tiny) -> Iterator[Project]:
    """A project with two versions of a model; the first is the champion."""
    with tiny_rivals.entered():
        yield Project(tiny_rivals.path)


def registry(project: Project, word: str = "champion") -> Registry:
    """The model of a project, as a source for a server."""
    copies = project.root / ".dvc" / "tmp" / "serve"
    return Registry(project.store, project.model_name, word, copies, Trust(code=True))


@contextlib.contextmanager
def following(project: Project, poll: float = 0.05) -> Iterator[Client]:
    with served(registry(project), poll=poll) as client:
        yield client


def point(project: Project, version: str) -> None:
    set_alias(project.store.client(), project.model_name, "champion", version)


def answered(client: Client) -> tuple[str, float]:
    answer = client.post("/predict", ROWS)
    assert answer.status == 200, answer.text
    assert answer.headers["x-model-version"] == answer.json["version"]
    return answer.json["version"], round(answer.json["predictions"][0], 3)


def problems(client: Client) -> dict[str, str]:
    found: dict[str, str] = client.get("/ready").json["problems"]
    return found


def test_a_promotion_and_a_rollback_are_taken_over(project: Project) -> None:
    with following(project) as client:
        first = answered(client)
        point(project, "2")
        until(lambda: answered(client)[0] == "2")
        assert answered(client)[1] != first[1]
        point(project, "1")
        until(lambda: answered(client) == first)
        assert "lockstep_swaps_total 2.0" in client.get("/metrics").text
        about = client.get("/version").json
        run = project.store.client().get_model_version("toy", "1").run_id
        assert (about["run"], about["reproduce"]) == (
            run,
            "uv run lockstep reproduce models:/toy/1",
        )
        assert len(about["commit"]) == 40
        assert about["data"]


def spoil(version: Path, old: str, new: str) -> None:
    file = version / "MLmodel"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def artifact(project: Project, number: str) -> Path:
    """The folder of a version in the embedded store."""
    version = project.store.client().get_model_version("toy", number)
    assert version.source
    return next(project.root.glob(f"mlartifacts/**/{version.source.rpartition('/')[2]}/artifacts"))


@pytest.mark.parametrize(
    ("number", "old", "new", "reason"),
    [
        ("2", "flavors:", "flavours:", "MLflow cannot load this model"),
        ("2", "format: skops", "format: pickle", "pickle"),
        ("2", '"name": "x"', '"name": "z"', "cannot predict for its own example: InvalidRows: z"),
        (
            "1",
            '"required": true',
            '"required": false',
            "its signature differs (x must not be missing",
        ),
    ],
)
def test_a_version_that_cannot_follow_is_refused_and_the_old_one_goes_on(
    project: Project, number: str, old: str, new: str, reason: str
) -> None:
    spoil(artifact(project, number), old, new)
    with following(project) as client:
        first = answered(client)
        point(project, "2")
        until(lambda: "version" in problems(client))
        assert "toy version 2 was refused, toy version 1 goes on" in problems(client)["version"]
        assert reason in problems(client)["version"]
        assert answered(client) == first
        assert 'lockstep_problem{kind="version"} 1.0' in client.get("/metrics").text
        point(project, "1")
        until(lambda: not problems(client))


def test_an_alias_that_was_removed_leaves_the_last_version(project: Project) -> None:
    with following(project) as client:
        project.store.client().delete_registered_model_alias("toy", "champion")
        until(lambda: "alias" in problems(client))
        assert "models:/toy@champion does not exist" in problems(client)["alias"]
        assert answered(client)[0] == "1"


def test_a_registry_that_is_away_stops_nothing_and_the_copy_starts_without_it(
    project: Project,
) -> None:
    with served(registry(project), poll=0.05) as client, contextlib.ExitStack() as away:
        first = answered(client)
        hide(project, away)
        until(lambda: "registry" in problems(client))
        assert answered(client) == first
        with served(registry(project), poll=0.05) as restarted:
            for each in (client, restarted):
                assert answered(each) == first
                assert "served from its copy" in problems(each)["registry"]
            away.close()
            point(project, "2")
            until(lambda: answered(restarted)[0] == "2")
            assert problems(restarted) == {}
        until(lambda: answered(client)[0] == "2")


def hide(project: Project, back: contextlib.ExitStack) -> None:
    """Have the registry not answer until `back` is closed."""
    from unittest import mock

    error = LockstepError("the MLflow server cannot be reached")
    patch = mock.patch("lockstep.mlflow.registry.find_version", side_effect=OSError(error))
    back.enter_context(patch)


def test_without_a_copy_a_registry_that_is_away_is_an_error(project: Project) -> None:
    with contextlib.ExitStack() as away:
        hide(project, away)
        with pytest.raises(LockstepError, match="cannot be reached"):
            Follower(registry(project), 1)


def test_a_store_that_started_again_is_not_answered_from_old_copies(project: Project) -> None:
    source = registry(project)
    about = source.wanted()
    source.load(about)
    copy = project.root / ".dvc/tmp/serve/toy/1/version.json"
    copy.write_text(copy.read_text().replace(str(about.run), "0" * 32))
    spoiled = copy.parent / "model.skops"
    spoiled.unlink()
    assert isinstance(source.load(about), Version), "the copy is of another run: loaded again"


def test_few_copies_are_kept(project: Project) -> None:
    source = registry(project)
    about = source.wanted()
    for number in range(6):
        (project.root / f".dvc/tmp/serve/toy/{number + 10}").mkdir(parents=True)
    source.load(about)
    source.remember(about)
    kept = [path.name for path in (project.root / ".dvc/tmp/serve/toy").iterdir() if path.is_dir()]
    assert len(kept) == 3
    assert "1" in kept


def test_the_command_serves_the_champion_and_ends_in_peace(tiny_rivals: Tiny) -> None:
    with tiny_rivals.entered():
        command = [sys.executable, "-m", "lockstep", "serve", "--port", "0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout
            line = process.stdout.readline()
            assert line.startswith("toy version 1 (models:/toy@champion) at http://127.0.0.1:")
            port = int(line.split(";")[0].rpartition(":")[2])
            assert answered(Client(port))[0] == "1"
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) in (0, -signal.SIGTERM)
        finally:
            process.kill()
            process.communicate()


def test_others_are_let_in_with_a_token_only(tiny_rivals: Tiny) -> None:
    output = tiny_rivals.lockstep("serve", "--host", "0.0.0.0", "--port", "0", ok=False)  # noqa: S104
    assert "set LOCKSTEP_SERVE_TOKEN" in output
    assert "--no-token" in output
    output = tiny_rivals.lockstep("serve", "models:/toy", ok=False)
    assert "write models:/name@alias" in output
    output = tiny_rivals.lockstep("serve", "models:/toy/9", "--port", "0", ok=False)
    assert "models:/toy/9 does not exist" in output
    assert "no file MLmodel" in tiny_rivals.lockstep("serve", "conf", "--port", "0", ok=False)
