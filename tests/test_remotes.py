"""Data that go to a remote and come back, for every kind, and what happens when it fails.

The servers are real. The pipeline runs once; its results are put into a project of each kind.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from servers import PASSWORD, Servers
from storages import KINDS, RESULTS, connected, s3, ssh, webdav

from conftest import make
from lockstep_template import remotes
from project import Project

pytestmark = pytest.mark.slow


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


def test_a_server_that_dies_in_mid_push_gets_the_rest_later(
    servers: Servers, finished: Project, tmp_path: Path
) -> None:
    storage = ssh(servers)
    project = connected(storage, finished, tmp_path)
    many = project.path / "data" / "many"
    many.mkdir()
    for number in range(300):
        (many / f"{number}.bin").write_bytes(os.urandom(2000))
    project.run("dvc", "add", "--quiet", "data/many")
    assert storage.server
    assert storage.files
    push = subprocess.Popen(
        ["dvc", "push"],
        cwd=project.path,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    while push.poll() is None and len(stored(storage.files)) < 50:
        time.sleep(0.01)
    storage.server.stop(signal.SIGKILL)
    output, _ = push.communicate(timeout=120)
    assert push.returncode, output
    assert "ERROR" in output
    assert 50 <= len(stored(storage.files)) < 300, output

    storage.server.start()
    project.run("dvc", "push")
    assert_comes_back(project)


def test_wrong_credentials_are_told_and_nothing_is_lost(
    servers: Servers, finished: Project, tmp_path: Path
) -> None:
    storage = s3(servers)
    right = storage.env["AWS_SECRET_ACCESS_KEY"]
    storage.env["AWS_SECRET_ACCESS_KEY"] = right[::-1]
    project = connected(storage, finished, tmp_path)
    assert re.search("^  DVC remote +unreachable  .*Forbidden", project.output, re.MULTILINE)
    output = project.run("dvc", "push", ok=False)
    assert "Forbidden" in output
    project.env["AWS_SECRET_ACCESS_KEY"] = right
    project.run("dvc", "push")
    assert_comes_back(project)


def test_a_read_only_remote_is_told_and_nothing_is_lost(
    servers: Servers, finished: Project, tmp_path: Path
) -> None:
    storage = ssh(servers)
    assert storage.server
    project = connected(storage, finished, tmp_path)
    storage.server.stop()
    storage.server.start("-o", "ForceCommand=internal-sftp -R")
    assert "Permission denied" in project.run("dvc", "push", ok=False)
    storage.server.stop()
    storage.server.start()
    project.run("dvc", "push")
    assert_comes_back(project)


def test_a_full_remote_is_told_and_gets_the_rest_later(
    servers: Servers, finished: Project, tmp_path: Path
) -> None:
    storage = webdav(servers)
    assert storage.server
    assert storage.files
    project = connected(storage, finished, tmp_path)
    storage.server.fill(20_000)
    output = project.run("dvc", "push", ok=False)
    assert re.search(r"failed to push data to the cloud - \d+ files failed to upload", output)
    assert stored(storage.files), "what fits is there"
    storage.server.fill(None)
    project.run("dvc", "push")
    assert_comes_back(project)


def stored(folder: Path) -> list[Path]:
    """The objects in a remote's folder."""
    return [path for path in folder.rglob("*") if path.is_file()]
