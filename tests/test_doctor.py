"""`lockstep doctor`: a healthy project, then one thing broken at a time."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any, cast

import pytest
from tiny import Tiny

from lockstep import __version__
from lockstep.doctor.checkup import Check, Finding, run_checks
from lockstep.doctor.machine import judge_space
from lockstep.doctor.servers import compatible
from project import rows

Lines = dict[str, list[str]]
CHECKS = [
    *("Lockstep", "git identity", "git remote", "git hooks", "Python", "environment"),
    *("params.yaml", "dvc.lock", "DVC cache", "DVC remote", "data", "MLflow", "artifacts"),
    *("registry", "runs", "live runs", "leftovers", "disk"),
]


def parse(table: str) -> Lines:
    """The table of the doctor: by check its state, text and cure."""
    lines: Lines = {}
    name = ""
    for line in table.splitlines():
        if cure := re.match(r" +\$ (.+)", line):
            lines[name].append(cure[1])
        else:
            name, state, text = re.split(r" {2,}", line, maxsplit=2)
            lines[name] = [state, text]
    return lines


@pytest.fixture
def healthy(tiny_published: Tiny, origin: Path) -> Tiny:
    """A project that has nothing left to do."""
    tiny_published.git("remote", "add", "origin", str(origin))
    hook = tiny_published.path / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\n# by pre-commit\n")
    return tiny_published


def examine(project: Tiny, *options: str, **env: str) -> tuple[int, Lines]:
    """The exit code of `lockstep doctor`, and its table."""
    code, output = project.answer("doctor", *options, **env)
    assert "Traceback" not in output
    return code, parse(output)


def not_ok(lines: Lines) -> dict[str, str]:
    """The state of each check that is not ok."""
    return {name: line[0] for name, line in lines.items() if line[0] != "ok"}


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


def test_each_thing_that_breaks_is_one_red_line_with_its_cure(healthy: Tiny, origin: Path) -> None:
    path, storage = healthy.path, healthy.path.parent / "storage"
    before = sorted([*storage.rglob("*"), *path.glob("mlartifacts/**/*")])
    code, lines = examine(healthy, "--strict")
    assert (code, not_ok(lines)) == (0, {})
    assert list(lines) == CHECKS
    after = sorted([*storage.rglob("*"), *path.glob("mlartifacts/**/*")])
    assert before == after, "it leaves nothing behind"
    assert rows(path / "mlflow.db", "runs") == 1, "no run is made"

    nobody = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_COUNT": "1"}
    nobody |= {"GIT_CONFIG_KEY_0": "user.useConfigOnly", "GIT_CONFIG_VALUE_0": "true"}
    here = nullcontext()
    breaks: list[tuple[AbstractContextManager[Any], dict[str, str], str, str, str]] = [
        (
            here,
            nobody,
            "git identity",
            "does not know who commits",
            'git config --global user.name "Your Name"',
        ),
        (moved(origin), {}, "git remote", "not appear to be a git repo", "git ls-remote origin"),
        (moved(storage), {}, "DVC remote", "does not exist", f"mkdir {storage}"),
        (moved(storage, "a full disk"), {}, "DVC remote", "storage: ", "uv run dvc remote list"),
        (
            edited(path / "params.yaml", "rows: 3", "rows: 2"),
            {},
            "params.yaml",
            "edited by hand.* data.rows: 2",
            "uv run lockstep compose",
        ),
        (
            edited(path / "pyproject.toml", ">=3.11", ">=3.11,<4"),
            {},
            "environment",
            "uv.lock does not match pyproject.toml",
            "uv lock",
        ),
        (moved(path / "uv.lock"), {}, "environment", "there is no uv.lock", "uv sync"),
        (
            edited(path / "pyproject.toml", ">=3.11", ">=3.99"),
            {},
            "Python",
            "but pyproject.toml requires >=3.99",
            "uv sync --reinstall",
        ),
    ]
    for broken, env, name, text, cure in breaks:
        with broken:
            code, lines = examine(healthy, **env)
        assert code == 1, lines
        failed = [key for key, line in lines.items() if line[0] == "failed"]
        assert [key for key in failed if key != "environment" or name == key] == [name], lines
        assert re.search(text, lines[name][1]), lines[name]
        assert lines[name][2] == cure


def test_what_is_merely_not_done_yet_is_a_warning(healthy: Tiny) -> None:
    (healthy.path / ".git/hooks/pre-commit").unlink()
    healthy.edit("conf/data/default.yaml", "rows: 3", "rows: 2")
    healthy.git("rm", "--quiet", "--cached", "dvc.lock")
    healthy.git("remote", "remove", "origin")
    healthy.write(".dvc/config", "")
    (healthy.path / "mlflow.db").unlink()
    code, lines = examine(healthy)
    assert code == 0, json.dumps(lines, indent=1)
    assert {name: [line[0], *line[2:]] for name, line in lines.items() if line[0] != "ok"} == {
        "git remote": ["warning", "git remote add origin URL"],
        "git hooks": ["warning", "uv run pre-commit install"],
        "params.yaml": ["warning", "uv run dvc repro"],
        "dvc.lock": ["warning", "git add dvc.lock", "git commit"],
        "DVC remote": ["warning", "uv run dvc remote add --default storage URL"],
        "artifacts": ["skipped"],
        "registry": ["skipped"],
        "runs": ["warning", "uv run lockstep publish --all"],
        "live runs": ["skipped"],
    }
    assert not (healthy.path / "mlflow.db").exists(), "only looked at"
    code, output = healthy.answer("doctor", "--json", "--strict")
    answer = json.loads(output)
    assert (code, answer["healthy"]) == (1, False)
    findings = {check["name"]: check for check in answer["checks"]}
    assert findings["git remote"]["state"] == "warning"
    assert findings["git remote"]["cure"] == ["git remote add origin URL"]


def test_a_project_in_a_folder_with_any_name(healthy: Tiny, tmp_path: Path) -> None:
    moved = tmp_path / 'it\'s "my" größe $HOME %20 #1' / "toy"
    moved.parent.mkdir()
    project = replace(healthy, path=healthy.path.rename(moved))
    _, lines = examine(project)
    assert not_ok(lines) == {"DVC cache": "warning", "DVC remote": "failed"}
    assert lines["DVC remote"][2] == f"mkdir {shlex.quote(str(moved.parent / 'storage'))}"
    assert "`dvc exp run --temp` and --queue fail: " in lines["DVC cache"][1]
    project.lockstep("reproduce", "HEAD", "--current-environment", "--checkout-only")
    (copy,) = moved.parent.glob("toy-*")
    assert (copy / "data/raw.csv").exists()


def test_only_some_checks_can_be_asked_for(healthy: Tiny, origin: Path) -> None:
    only = ("--only", "git remote, Lockstep")
    assert examine(healthy, *only)[0] == 0
    with moved(origin):
        code, lines = examine(healthy, *only)
    assert code == 1
    assert not_ok(lines) == {"git remote": "failed"}
    healthy.edit("pyproject.toml", "scoring =", 'template = "1.2"\nscoring =')
    assert examine(healthy, *only)[1]["Lockstep"] == ["ok", f"glue {__version__}, template 1.2"]
    code, output = healthy.answer("doctor", "--only", "git remotes")
    assert code == 2
    assert "there is no check 'git remotes'; did you mean git remote?" in output
    code, output = replace(healthy, path=healthy.path.parent).answer("doctor")
    assert code == 2
    assert "run this in the project's root" in output


def test_a_thread_that_hangs_does_not_keep_the_doctor_from_ending(healthy: Tiny) -> None:
    """It ends as a process, where Python would wait for the thread."""
    code = """
from threading import Event
from lockstep.doctor import checks
from lockstep.doctor.checkup import Check
from lockstep.cli import main
checks.CHECKS[:] = [Check("hangs", lambda _: Event().wait(), seconds=0.2)]
main(["doctor"])
"""
    env = {**healthy.env, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=healthy.path, env=env, stdout=subprocess.PIPE, timeout=300)
    assert done.returncode == 1
    assert b"failed   no answer within 0.2 s" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="SIGINT cannot be sent to one process")
def test_ctrl_c_ends_the_doctor_while_a_check_hangs(healthy: Tiny) -> None:
    code = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from threading import Event
from lockstep.doctor import checks
from lockstep.doctor.checkup import Check
from lockstep.cli import main

def hangs(_):
    print("looking", flush=True)
    Event().wait()

checks.CHECKS[:] = [Check("hangs", hangs, seconds=60)]
main(["doctor"])
"""
    env = {**healthy.env, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=healthy.path, env=env, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"looking\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(300) == 130


def test_a_check_that_hangs_or_breaks_holds_up_no_other() -> None:
    end = Event()

    def breaks(_: Any) -> Finding:
        raise RuntimeError("out of luck")

    def breaks_without_a_word(_: Any) -> Finding:
        raise RuntimeError

    def hangs(_: Any) -> Finding:
        end.wait()
        return Finding("ok", "at last")

    checks = [
        Check("hangs", hangs, seconds=0.2),
        Check("waits", hangs, needs="hangs"),
        Check("waits, too", hangs, needs="waits"),
        Check("breaks", breaks),
        Check("says nothing", breaks_without_a_word),
        Check("works", lambda _: Finding("ok", "fine")),
        Check("is alone", lambda _: Finding("ok", "fine"), needs="what nobody asked for"),
    ]
    findings = {check.name: finding for check, finding in run_checks(checks, cast(Any, None))}
    end.set()  # a thread that still hangs would keep pytest from ending
    assert {name: (finding.state, finding.text) for name, finding in findings.items()} == {
        "hangs": ("failed", "no answer within 0.2 s"),
        "waits": ("skipped", "waits for: hangs"),
        "waits, too": ("skipped", "waits for: waits"),
        "breaks": ("failed", "RuntimeError: out of luck"),
        "says nothing": ("failed", "RuntimeError"),
        "works": ("ok", "fine"),
        "is alone": ("ok", "fine"),
    }


def test_a_check_that_answers_too_late_has_failed_for_all() -> None:
    """It must not be both ok and what another one waits for."""

    def slow(_: Any) -> Finding:
        time.sleep(0.1)
        return Finding("ok", "late")

    needed = Check("slow", slow, seconds=0.1)
    other = Check("other", lambda _: Finding("ok", "fine"), needs="slow")
    for _ in range(20):
        (_, first), (_, second) = run_checks([needed, other], cast(Any, None))
        assert (first.state, second.state) in [("ok", "ok"), ("failed", "skipped")]


@pytest.mark.parametrize(
    ("free", "written", "state"),
    [(5e9, 1e6, "ok"), (0.9e9, 1e6, "warning"), (5e9, 3e9, "failed")],
)
def test_the_disk_must_hold_another_run(free: float, written: float, state: str) -> None:
    assert judge_space({"project": int(free), "cache": int(1e12)}, int(written)).state == state


@pytest.mark.parametrize(
    ("server", "state"),
    [("3.17.0", "ok"), ("3.19.1", "ok"), ("3.9.0", "warning"), ("2.22.0", "failed")],
)
def test_a_server_may_be_newer_than_its_client_within_a_major_version(
    server: str, state: str
) -> None:
    finding = compatible("http://127.0.0.1:5000", server, "3.17.2")
    assert finding.state == state
    assert finding.text == f"http://127.0.0.1:5000: server {server}, client 3.17.2"
    major, minor, _ = server.split(".")
    assert finding.cure == ([] if state == "ok" else [f'uv add "mlflow=={major}.{minor}.*"'])
