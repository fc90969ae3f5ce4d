"""`lockstep doctor`: a healthy project, then one thing broken at a time."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any, cast

import pytest
from servers import Servers, mlflow

from lockstep.doctor.checkup import Check, Finding, run_checks
from lockstep.doctor.machine import judged_space
from lockstep.doctor.servers import compatible
from project import Project

Lines = dict[str, list[str]]


def looked_at(project: Project, *options: str, **env: str) -> tuple[int, Lines]:
    """What the doctor says: its exit code, and by check its state, text and cure."""
    code, output = project.answer("lockstep", "doctor", *options, env=env)
    assert "Traceback" not in output
    lines: Lines = {}
    name = ""
    for line in output.splitlines():
        if cure := re.match(r" +\$ (.+)", line):
            lines[name].append(cure[1])
        else:
            name, state, text = re.split(r" {2,}", line, maxsplit=2)
            lines[name] = [state, text]
    return code, lines


def states(lines: Lines) -> dict[str, str]:
    """The state of each check that is not ok."""
    return {name: line[0] for name, line in lines.items() if line[0] != "ok"}


@pytest.fixture
def healthy(ada: Project) -> Project:
    """A project that has nothing left to do."""
    ada.run("pre-commit", "install")
    ada.run("lockstep", "push")
    return ada


@contextmanager
def edited(path: Path, old: str, new: str) -> Iterator[None]:
    """A file with other content for a while."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    try:
        yield
    finally:
        path.write_text(text)


@contextmanager
def moved(path: Path, stand_in: str | None = None) -> Iterator[None]:
    """A file or folder that is away for a while; a text may lie in its place."""
    aside = path.rename(path.with_name(f"{path.name}.aside"))
    if stand_in is not None:
        path.write_text(stand_in)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        aside.rename(path)


def test_each_thing_that_breaks_is_one_red_line_with_its_cure(
    healthy: Project, origin: Path, storage: Path
) -> None:
    path = healthy.path
    before = sorted([*storage.rglob("*"), *path.glob("mlartifacts/**/*")])
    code, lines = looked_at(healthy, "--strict")
    assert (code, states(lines)) == (0, {})
    after = sorted([*storage.rglob("*"), *path.glob("mlartifacts/**/*")])
    assert before == after, "it leaves nothing behind"
    assert len(healthy.runs()) == 1

    nobody = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_COUNT": "1"}
    nobody |= {"GIT_CONFIG_KEY_0": "user.useConfigOnly", "GIT_CONFIG_VALUE_0": "true"}
    breaks: list[tuple[str, AbstractContextManager[Any], dict[str, str], str, str]] = [
        (
            "git identity",
            nullcontext(),
            nobody,
            "does not know who commits",
            'git config --global user.name "Your Name"',
        ),
        (
            "git remote",
            moved(origin),
            {},
            "does not appear to be a git repository",
            "git ls-remote origin",
        ),
        ("DVC remote", moved(storage), {}, "does not exist", f"mkdir {storage}"),
        (
            "DVC remote",
            moved(storage, "a full disk, say"),
            {},
            "storage: ",
            "uv run dvc remote list",
        ),
        (
            "params.yaml",
            edited(path / "params.yaml", "n_estimators: 100", "n_estimators: 7"),
            {},
            "edited by hand.* model.n_estimators: 7",
            "uv run lockstep compose",
        ),
        (
            "environment",
            edited(path / "pyproject.toml", '"joblib>=1.5,<2"', '"joblib>=1.5,<3"'),
            {},
            "uv.lock is not what pyproject.toml asks for",
            "uv lock",
        ),
        ("environment", moved(path / "uv.lock"), {}, "there is no uv.lock", "uv sync"),
    ]
    for name, broken, env, text, cure in breaks:
        with broken:
            code, lines = looked_at(healthy, **env)
        assert code == 1, lines
        assert [key for key, line in lines.items() if line[0] == "failed"] == [name], lines
        assert re.search(text, lines[name][1]), lines[name]
        assert lines[name][2] == cure


def test_what_is_merely_not_done_yet_is_a_warning(healthy: Project) -> None:
    path = healthy.path
    (path / ".git/hooks/pre-push").unlink()
    healthy.edit("conf/model/random_forest.yaml", "n_estimators: 100", "n_estimators: 7")
    healthy.git("rm", "--quiet", "--cached", "dvc.lock")
    healthy.git("remote", "remove", "origin")
    healthy.run("dvc", "remote", "remove", "storage")
    (path / "mlflow.db").unlink()
    code, lines = looked_at(healthy)
    assert code == 0, lines
    assert {name: [line[0], *line[2:]] for name, line in lines.items() if line[0] != "ok"} == {
        "git remote": ["warning", "git remote add origin URL"],
        "git hooks": ["warning", "uv run pre-commit install"],
        "params.yaml": ["warning", "uv run dvc repro"],
        "dvc.lock": ["warning", "git add dvc.lock", "git commit"],
        "DVC remote": ["warning", "uv run dvc remote add --default storage URL"],
        "artifacts": ["skipped"],
        "registry": ["skipped"],
        "runs": ["warning", "uv run lockstep publish --all"],
    }
    assert not (path / "mlflow.db").exists(), "only looked at"
    code, output = healthy.answer("lockstep", "doctor", "--json", "--strict")
    answer = json.loads(output)
    assert (code, answer["healthy"]) == (1, False)
    found = {check["name"]: check for check in answer["checks"]}
    assert found["git remote"]["state"] == "warning"
    assert found["git remote"]["cure"] == ["git remote add origin URL"]
    code, output = replace(healthy, path=path.parent).answer("lockstep", "doctor")
    assert code == 2
    assert "go to the project's root" in output


def test_servers_are_asked_and_told_apart(
    healthy: Project, first_project: Project, servers: Servers, tmp_path: Path
) -> None:
    server = mlflow(servers, first_project)
    shared = {"MLFLOW_TRACKING_URI": server.url}
    code, lines = looked_at(healthy, **shared)
    assert code == 1
    assert lines["MLflow"][0] == "failed"
    assert f"{server.url} does not answer" in lines["MLflow"][1]
    assert lines["MLflow"][2] == f"uv run mlflow server --port {server.port}"
    assert states(lines) == {
        "MLflow": "failed",
        **dict.fromkeys(["artifacts", "registry", "runs"], "skipped"),
    }

    servers.add(server)
    code, lines = looked_at(healthy, **shared)
    assert code == 0, lines
    assert states(lines) == {"runs": "warning"}
    assert "1 not in MLflow yet: main-" in lines["runs"][1]
    assert "written, read back, deleted" in lines["artifacts"][1]
    assert not [path for path in server.folder.rglob("*") if "doctor" in path.name]
    assert healthy.runs(**shared) == [], "no run is made"

    # Another version of the client, as far as Python reports it.
    for name in ("mlflow", "mlflow-skinny", "mlflow-tracing"):
        fake = tmp_path / "fake" / f"{name.replace('-', '_')}-99.0.dist-info"
        fake.mkdir(parents=True)
        (fake / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 99.0\n")
    code, lines = looked_at(healthy, PYTHONPATH=str(tmp_path / "fake"), **shared)
    assert code == 1
    assert re.search(r"server 3\.\d+\.\d+, client 99\.0", lines["MLflow"][1])
    assert re.fullmatch(r'uv add "mlflow==3\.\d+\.\*"', lines["MLflow"][2])


def test_a_check_that_hangs_or_breaks_holds_up_no_other() -> None:
    def breaks(_: Any) -> Finding:
        raise RuntimeError("out of luck")

    def hangs(_: Any) -> Finding:
        Event().wait()
        raise AssertionError

    checks = [
        Check("hangs", hangs, seconds=0.2),
        Check("waits", hangs, needs="hangs"),
        Check("breaks", breaks),
        Check("works", lambda _: Finding("ok", "fine")),
    ]
    found = {check.name: finding for check, finding in run_checks(checks, cast(Any, None))}
    assert {name: (finding.state, finding.text) for name, finding in found.items()} == {
        "hangs": ("failed", "no answer within 0.2 s"),
        "waits": ("skipped", "waits for: hangs"),
        "breaks": ("failed", "RuntimeError: out of luck"),
        "works": ("ok", "fine"),
    }


@pytest.mark.parametrize(
    ("free", "written", "state"),
    [(5e9, 1e6, "ok"), (0.9e9, 1e6, "warning"), (5e9, 3e9, "failed")],
)
def test_the_disk_must_hold_another_run(free: float, written: float, state: str) -> None:
    assert judged_space({"project": int(free), "cache": int(1e12)}, int(written)).state == state


@pytest.mark.parametrize(
    ("server", "state"),
    [("3.17.0", "ok"), ("3.19.1", "ok"), ("3.9.0", "warning"), ("2.22.0", "failed")],
)
def test_a_server_may_be_newer_than_its_client_within_a_major_version(
    server: str, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _: "3.17.2")
    assert compatible("http://127.0.0.1:5000", server).state == state
