"""Data that go to a remote and come back, for every kind, and what happens when it fails.

The servers are real. The pipeline runs once; its results are put into a project of each kind.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from servers import PASSWORD, Door, Servers
from storages import (
    AZURE_KEY,
    KINDS,
    RESULTS,
    Storage,
    connected,
    local,
    sign_in,
    ssh,
    ssh_address,
)

from conftest import make
from lockstep_template import remotes
from project import Project, without_rights

PUSH = ("lockstep", "push")
DYING = [kind for kind in KINDS if kind != "local"]
# Their libraries ask a dead server for minutes; the user gives up earlier.
PATIENT = ("gcs", "azure")
# What is told of credentials that are wrong; a folder and the fake server of GCS ask for none.
REFUSED = {
    "s3": "Forbidden",
    "ssh": "authentication failures|Permission denied",
    "webdav": "401",
    "http": "401",
    "azure": "failed to authenticate",
}
# What is told of a remote that nothing, or no more, can be written to.
UNWRITABLE = {
    "local": "Permission denied",
    "s3": "Internal Error",
    "ssh": "Permission denied",
    "webdav": "405",
    "http": "405",
    "gcs": "file too large",
    "azure": "not authorized",
}


def lose(project: Project) -> dict[str, bytes]:
    """Delete the cache and what the pipeline made; returns what was there."""
    paths = [path for name in RESULTS for path in (project.path / name).rglob("*")]
    tracked = {
        str(path.relative_to(project.path)): path.read_bytes()
        for path in paths
        if path.is_file() and path.suffix != ".dvc" and path.name != ".gitignore"
    }
    for name in tracked:
        (project.path / name).unlink()
    shutil.rmtree(project.path / ".dvc" / "cache")
    return tracked


def assert_comes_back(project: Project) -> None:
    """See that the remote holds all that the project needs."""
    before = lose(project)
    assert "data/raw.csv" in before
    project.run("dvc", "pull")
    assert {name: (project.path / name).read_bytes() for name in before} == before
    assert project.repro() == [], "all is up to date"


@pytest.mark.parametrize("kind", KINDS)
def test_data_go_to_the_remote_and_come_back(
    kind: str, servers: Servers, finished: Project, tmp_path: Path
) -> None:
    storage = KINDS[kind](servers)
    project = connected(storage, finished, tmp_path)
    # DVC looks into a web server only with the password, which is not there when it is generated.
    seen = "unreachable" if kind == "http" else "done"
    assert re.search(rf"^  DVC remote +{seen} ", project.output, re.MULTILINE), project.output
    if kind != "local":
        assert f"credentials: {remotes.REMOTES[kind].credentials}" in project.output
    project.run("dvc", "push")
    assert_comes_back(project)
    assert project.git("status", "--porcelain", ".dvc", "conf", "pyproject.toml") == ""
    assert PASSWORD not in project.output
    assert project.run("git", "grep", "--count", PASSWORD, "HEAD", ok=None) == ""


def test_remotes_that_are_away_are_told_with_what_asks_again(
    equipped: Project, tmp_path: Path
) -> None:
    away = "http://127.0.0.1:9"
    project = make(
        equipped.env,
        tmp_path,
        {
            "dvc_remote": "s3",
            "dvc_remote_url": f"s3://bucket/dvc?endpointurl={away}",
            "mlflow_tracking_uri": away,
            "git_remote_url": f"{away}/penguins.git",
        },
        equipped.bin,
    )
    for name, retry in {
        "DVC remote": "uv run dvc status --cloud data/raw.csv",
        "MLflow": f"curl --fail {away}/health",
        "git remote": "git ls-remote origin",
    }.items():
        row = rf"^  {name} +unreachable  .*(refused|connect).*\n +credentials: .*\n +\$ {retry}$"
        assert re.search(row, project.output, re.MULTILINE | re.IGNORECASE), project.output
    assert project.git("log", "--format=%s") == "Start from the Lockstep template"


def committed(storage: Storage, finished: Project, folder: Path, origin: Path) -> Project:
    """A project that has a result to push."""
    project = connected(storage, finished, folder)
    project.git("remote", "add", "origin", str(origin))
    project.commit("first result")
    return project


def stops(project: Project, said: str, command: Sequence[str] = PUSH) -> None:
    """See `lockstep push` say what happened, what is left, and how it goes on."""
    code, output = project.answer(*command)
    assert code == 2, output
    assert re.search(rf"^error: data: .*/(dvc|storage)\b.*({said})", output, re.MULTILINE), output
    assert output.endswith(
        "\nuv run lockstep doctor\n"
        "done: nothing; left: data, git, runs\nthen go on with: uv run lockstep push\n"
    )
    assert "Traceback" not in output
    assert PASSWORD not in output
    assert project.git("ls-remote", "origin") == "", "no commit without its data"


def assert_goes_on(project: Project) -> None:
    """See the push completed by one more."""
    project.run("lockstep", "push")
    assert project.git("rev-parse", "origin/main") == project.git("rev-parse", "HEAD")
    assert_comes_back(project)


@pytest.mark.parametrize("kind", DYING)
def test_a_server_that_dies_in_mid_push_gets_the_rest_later(
    kind: str, servers: Servers, finished: Project, tmp_path: Path, origin: Path
) -> None:
    storage = KINDS[kind](servers)
    assert storage.server
    door = Door(storage.server, lambda: stored(storage) >= 10)
    through(door, storage)
    project = committed(storage, finished, tmp_path, origin)
    many = project.path / "data" / "many"
    many.mkdir()
    for number in range(100):
        (many / f"{number}.bin").write_bytes(os.urandom(2000))
    project.run("dvc", "add", "--quiet", "data/many")
    project.commit("many")
    push = subprocess.Popen(
        PUSH,
        cwd=project.path,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert door.held.wait(120), "so much never arrived"
    storage.server.stop(signal.SIGKILL)
    if kind in PATIENT:
        assert door.knocked_in_vain.wait(60), "it does not ask again"
        push.send_signal(signal.SIGINT)
    output, _ = push.communicate(timeout=120)
    if kind in PATIENT:
        said, code = "^interrupted; ", 130
    else:
        said, code = "^error: data: .*/dvc.*: .+\nuv run lockstep doctor\ndone: nothing; ", 2
    said += "left: data, git, runs\n(then )?go on with: uv run lockstep push\n$"
    assert re.search(said, output, re.MULTILINE), output
    assert push.returncode == code, output
    assert 10 <= stored(storage) < 100, output

    storage.server.start()
    door.open()
    assert_goes_on(project)


def through(door: Door, storage: Storage) -> None:
    """Have clients of a remote go through a door."""
    assert storage.server
    direct, new = f":{storage.server.port}", f":{door.port}"
    for texts in (storage.answers, storage.env, storage.local):
        texts |= {key: text.replace(direct, new) for key, text in texts.items()}
    if "HOME" in storage.env:
        hosts = Path(storage.env["HOME"]) / ".ssh" / "known_hosts"
        hosts.write_text(hosts.read_text().replace(direct, new))


@pytest.mark.parametrize("kind", REFUSED)
def test_wrong_credentials_are_told_and_nothing_is_lost(
    kind: str, servers: Servers, finished: Project, tmp_path: Path, origin: Path
) -> None:
    storage = KINDS[kind](servers)
    assert storage.server
    if storage.locked:
        storage.server.restart(*storage.locked)
    wrong = replace(storage, env=mistyped(storage.env), local=mistyped(storage.local))
    project = committed(wrong, finished, tmp_path, origin)
    if storage.env:  # other credentials cannot be there when it is generated
        unreachable = f"^  DVC remote +unreachable  .*({REFUSED[kind]})"
        assert re.search(unreachable, project.output, re.MULTILINE), project.output
    assert re.search(REFUSED[kind], project.run("dvc", "push", ok=False))
    stops(project, REFUSED[kind])
    if storage.locked:
        storage.server.restart()
    sign_in(storage, project)
    assert_goes_on(project)


def mistyped(texts: dict[str, str]) -> dict[str, str]:
    """The same with other passwords."""
    return {
        name: text.replace(PASSWORD, PASSWORD[::-1]).replace(AZURE_KEY, AZURE_KEY[::-1])
        for name, text in texts.items()
    }


@pytest.mark.parametrize("kind", UNWRITABLE)
def test_a_full_or_read_only_remote_is_told_and_gets_the_rest_later(
    kind: str, servers: Servers, finished: Project, tmp_path: Path, origin: Path
) -> None:
    storage = KINDS[kind](servers)
    project = committed(storage, finished, tmp_path, origin)
    with unwritable(storage, project) as push:
        stops(project, UNWRITABLE[kind], push)
    assert_goes_on(project)


@contextlib.contextmanager
def unwritable(storage: Storage, project: Project) -> Iterator[Sequence[str]]:
    """A remote that is read-only, or full; what pushes to it then."""
    if storage.server is None:
        assert storage.files
        storage.files.chmod(0o555)
        yield without_rights(project, *PUSH)
        storage.files.chmod(0o755)
    elif storage.read_only:
        storage.server.restart(*storage.read_only)
        yield PUSH
        storage.server.restart()
    elif storage.reader:
        project.env["AZURE_STORAGE_CONNECTION_STRING"] = project.python(storage.reader).strip()
        yield PUSH
        project.env |= storage.env
    else:
        storage.server.fill(50_000)  # less than the largest file
        yield PUSH
        assert stored(storage), "what fits is there"
        storage.server.fill(None)


def test_git_over_ssh_that_dies_or_is_read_only_gets_the_commits_later(
    servers: Servers, finished: Project, tmp_path: Path, origin: Path
) -> None:
    shell = ssh(servers)
    server = shell.server
    assert server
    storage = replace(local(servers), env=shell.env)
    project = committed(storage, finished, tmp_path, origin)
    project.git("remote", "set-url", "origin", f"{ssh_address(server)}{origin}")

    def fails(said: str) -> None:
        code, output = project.answer(*PUSH)
        assert code == 2, output
        assert re.search(f"(?ms)^error: git: git push failed: .*({said})", output), output
        assert "\ndone: data; left: git, runs\nthen go on with: uv run lockstep push\n" in output

    server.stop()
    fails("Connection refused")
    command = " ".join(without_rights(project, "sh"))
    server.start("-o", f'ForceCommand={command} -c "$SSH_ORIGINAL_COMMAND"')
    folders = [origin, *filter(Path.is_dir, origin.rglob("*"))]
    for folder in folders:
        folder.chmod(0o555)
    fails("remote unpack failed: unable to create")
    for folder in folders:
        folder.chmod(0o755)

    hook = origin / "hooks" / "pre-receive"
    hook.write_text(f"#!/bin/sh\ntouch '{origin}/started'\nsleep 60\n")
    hook.chmod(0o755)
    with ThreadPoolExecutor() as pool:
        failed = pool.submit(fails, "closed by remote host|hung up unexpectedly")
        while not (origin / "started").exists() and not failed.done():
            time.sleep(0.05)
        server.stop(signal.SIGKILL)
        failed.result()
    hook.unlink()
    server.start()
    assert "0 files" in project.run(*PUSH), "the data were there"
    head = project.git("rev-parse", "HEAD")
    assert project.git("ls-remote", "origin", "main").split()[0] == head


def stored(storage: Storage) -> int:
    """How many objects a remote has."""
    if storage.files:
        return sum(path.is_file() for path in storage.files.rglob("*"))
    assert storage.server
    return storage.server.log.count('" 201 ')
