"""The life of a project with a remote of each kind: what goes there comes back, and faults heal.

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
from scaffold import TEMPLATE
from servers import PASSWORD, Door, Servers
from storages import (
    AZURE_KEY,
    KINDS,
    RESULTS,
    Storage,
    connected,
    sign_in,
    ssh,
    ssh_address,
)

from conftest import make
from lockstep_template import remotes
from project import Project, without_rights

PUSH = ("lockstep", "push")
# Their libraries ask a dead server for minutes; the user gives up earlier.
PATIENT = ("gcs", "azure")
# How wrong credentials are reported; a folder and the fake server of GCS ask for none.
REFUSED = {
    "s3": "Forbidden|The request signature",
    "ssh": "authentication failures|Permission denied",
    "webdav": "401",
    "http": "401",
    "azure": "failed to authenticate",
}
# How a remote is reported to which nothing, or no more, can be written.
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
def test_data_go_to_the_remote_and_come_back_whatever_happens_to_it(
    kind: str, servers: Servers, finished: Project, tmp_path: Path, origin: Path
) -> None:
    storage = KINDS[kind](servers)
    door = Door(storage.server, lambda: False) if storage.server else None
    if door:
        through(door, storage)
    project = connected(storage, finished, tmp_path)
    # A web server needs the password, which is not there when it is generated.
    state = "unreachable" if kind in ("http", "webdav") else "done"
    assert re.search(rf"^  DVC remote +{state} ", project.output, re.MULTILINE), project.output
    if kind != "local":
        assert f"credentials: {remotes.REMOTES[kind].credentials}" in project.output
    project.git("remote", "add", "origin", str(origin))
    project.commit("first result")
    assert project.git("status", "--porcelain") == ""

    if kind in REFUSED:
        refuse_wrong_credentials(kind, storage, project)
    with unwritable(storage, project) as push:
        stops(project, UNWRITABLE[kind], push)
    if door:
        die_in_mid_push(kind, storage, door, project)

    project.run("lockstep", "push")
    assert project.git("rev-parse", "origin/main") == project.git("rev-parse", "HEAD")
    code, output = project.answer("lockstep", "doctor", "--only", "DVC remote,git remote")
    assert code == 0, output
    assert_comes_back(project)
    assert PASSWORD not in project.output
    assert project.run("git", "grep", "--count", PASSWORD, "HEAD", ok=None) == ""


def test_a_prefix_of_a_bucket_is_followed_when_files_arrive(
    servers: Servers, equipped: Project, tmp_path: Path
) -> None:
    storage = KINDS["s3"](servers)
    assert storage.server
    access = {**storage.env, "AWS_ENDPOINT_URL": storage.server.url}
    january = TEMPLATE / "samples" / "bikes" / "2011-01.csv"
    put = "import sys, s3fs; s3fs.S3FileSystem().put(sys.argv[1], 'bucket/data/')"
    equipped.python(put, str(january), **access)
    answers = {
        "data_source": "s3://bucket/data/",
        "target_column": "rentals",
        "task": "regression",
    }
    project = make(equipped.env | access, tmp_path, answers, equipped.bin)
    raw = project.path / "data" / "raw"
    assert [path.read_bytes() for path in raw.iterdir()] == [january.read_bytes()]
    assert "1 partition: 1 to compute" in project.run("dvc", "repro", "ingest")
    project.python(put, str(shutil.copy(january, tmp_path / "again.csv")))
    project.run("dvc", "update", "data/raw.dvc")
    assert {path.name for path in raw.iterdir()} == {january.name, "again.csv"}
    assert "2 partitions: 1 to compute, 1 unchanged" in project.run("dvc", "repro", "ingest")


def refuse_wrong_credentials(kind: str, storage: Storage, project: Project) -> None:
    """See wrong credentials reported by every command, while nothing is lost."""
    assert storage.server
    if storage.locked:
        storage.server.restart(*storage.locked)
    sign_in(replace(storage, env=mistyped(storage.env), local=mistyped(storage.local)), project)
    code, output = project.answer("lockstep", "doctor", "--only", "DVC remote")
    assert code == 1
    assert re.search(f"^DVC remote +failed .*({REFUSED[kind]})", output, re.MULTILINE), output
    assert re.search(REFUSED[kind], project.run("dvc", "push", ok=False))
    stops(project, REFUSED[kind])
    if storage.locked:
        storage.server.restart()
    sign_in(storage, project)


def die_in_mid_push(kind: str, storage: Storage, door: Door, project: Project) -> None:
    """Kill the server in the middle of a push, and start it again."""
    assert storage.server
    many = project.path / "data" / "many"
    many.mkdir()
    for number in range(100):
        (many / f"{number}.bin").write_bytes(os.urandom(2000))
    project.run("dvc", "add", "--quiet", "data/many")
    project.commit("many")
    before = stored(storage)
    door.close_when(lambda: stored(storage) >= before + 10)
    push = subprocess.Popen(
        PUSH,
        cwd=project.path,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    deadline = time.monotonic() + 300
    while not door.held.wait(1):
        assert push.poll() is None, push.communicate()[0]
        assert time.monotonic() < deadline, "so much never arrived"
    storage.server.stop(signal.SIGKILL)
    if kind in PATIENT:
        assert door.knocked_in_vain.wait(60), "it does not ask again"
        push.send_signal(signal.SIGINT)
    output, _ = push.communicate(timeout=300)
    if kind in PATIENT:
        stopped, code = "^interrupted; ", 130
    else:
        stopped, code = "^error: data: .*/dvc.*: .+\nuv run lockstep doctor\ndone: nothing; ", 2
    # A storage client's own thread may still print a line after it.
    stopped += "left: data, git, runs\n(then )?continue with: uv run lockstep push$"
    assert re.search(stopped, output, re.MULTILINE), output
    assert push.returncode == code, output
    assert before + 10 <= stored(storage) < before + 100, output
    storage.server.start()
    door.open()


def stops(project: Project, reason: str, command: Sequence[str] = PUSH) -> None:
    """See `lockstep push` report what happened, what is left, and how to continue."""
    code, output = project.answer(*command)
    assert code == 2, output
    assert re.search(rf"^error: data: .*/(dvc|storage)\b.*({reason})", output, re.MULTILINE), output
    assert output.endswith(
        "\nuv run lockstep doctor\n"
        "done: nothing; left: data, git, runs\nthen continue with: uv run lockstep push\n"
    )
    assert "Traceback" not in output
    assert PASSWORD not in output
    assert project.git("ls-remote", "origin") == "", "no commit without its data"


def through(door: Door, storage: Storage) -> None:
    """Have clients of a remote go through a door."""
    assert storage.server
    direct, new = f":{storage.server.port}", f":{door.port}"
    for texts in (storage.answers, storage.env, storage.local):
        texts |= {key: text.replace(direct, new) for key, text in texts.items()}
    if "HOME" in storage.env:
        hosts = Path(storage.env["HOME"]) / ".ssh" / "known_hosts"
        hosts.write_text(hosts.read_text().replace(direct, new))


def mistyped(texts: dict[str, str]) -> dict[str, str]:
    """The same with other passwords."""
    return {
        name: text.replace(PASSWORD, PASSWORD[::-1]).replace(AZURE_KEY, AZURE_KEY[::-1])
        for name, text in texts.items()
    }


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


def test_remotes_that_are_away_are_reported_with_what_asks_again(
    equipped: Project, tmp_path: Path
) -> None:
    away = "http://127.0.0.1:9"
    answers = {
        "dvc_remote": "s3",
        "dvc_remote_url": f"s3://bucket/dvc?endpointurl={away}",
        "mlflow_tracking_uri": away,
        "git_remote_url": f"{away}/penguins.git",
    }
    project = make(equipped.env, tmp_path, answers, equipped.bin)
    for name in ("DVC remote", "MLflow", "git remote"):
        row = rf"^  {name} +unreachable  .*(refused|connect).*\n +credentials: .*\n"
        row += r" +\$ uv run lockstep doctor$"
        assert re.search(row, project.output, re.MULTILINE | re.IGNORECASE), project.output
    assert project.git("log", "--format=%s") == "Start from the Lockstep template"


def test_git_over_ssh_that_dies_or_is_read_only_gets_the_commits_later(
    servers: Servers, ada: Project, origin: Path
) -> None:
    shell = ssh(servers)
    server = shell.server
    assert server
    project = replace(ada, env={**ada.env, **shell.env})
    project.git("remote", "set-url", "origin", f"{ssh_address(server)}{origin}")

    def fails(reason: str) -> None:
        code, output = project.answer(*PUSH)
        assert code == 2, output
        assert re.search(f"(?ms)^error: git: git push failed: .*({reason})", output), output
        left = "\ndone: data; left: git, runs\nthen continue with: uv run lockstep push\n"
        assert left in output

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
