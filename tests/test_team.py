"""Two colleagues over the servers of a team: git over SSH, S3, and MLflow on PostgreSQL and S3."""

import re
import subprocess
from pathlib import Path

from servers import PASSWORD, Servers, mlflow, postgres
from storages import connected, s3, ssh, ssh_address

from project import Project

LOAD = """
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model("models:/penguins@challenger")
print(model.metadata.run_id, len(model.predict(pd.read_parquet("models/example.parquet"))))
"""


def test_two_colleagues_share_code_data_and_runs(
    servers: Servers, finished: Project, tmp_path: Path
) -> None:
    storage, shell = s3(servers), ssh(servers)
    assert storage.server
    assert shell.server
    assert storage.files
    database, password, _ = postgres(servers)
    variables = {"MLFLOW_S3_ENDPOINT_URL": storage.server.url, **storage.env, **password}
    stores = ("--backend-store-uri", database, "--artifacts-destination", "s3://bucket/mlflow")
    tracking = servers.add(mlflow(servers, finished, *stores, **variables))
    bare = servers.folder / "penguins.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", str(bare)], check=True)
    git_url = f"{ssh_address(shell.server)}{bare}"
    storage.env |= shell.env | {"MLFLOW_TRACKING_URI": tracking.url}

    answers = {"mlflow_tracking_uri": tracking.url, "git_remote_url": git_url}
    ada = connected(storage, finished, tmp_path, **answers)
    for name, remark in {
        "DVC remote": "s3://bucket/dvc: written, read back, removed",
        "MLflow": r"http://\S+: server 3\.\d+\.\d+, client 3\.\d+\.\d+",
        "git remote": ".* answers; nothing is pushed yet",
    }.items():
        assert re.search(f"^  {name} +done +{remark}", ada.output, re.MULTILINE), ada.output

    storage.server.stop()
    output = ada.run("dvc", "repro", ok=False)
    assert "nothing is lost: DVC keeps the results. Fix this, then run `uv run dvc repro`" in output
    storage.server.start()
    assert ada.repro() == ["publish"]
    (run,) = ada.runs()
    assert run["status"] == "FINISHED"
    kept = storage.files.parent / "mlflow"
    assert {"dvc.lock", "roc.png", "MLmodel"} <= {path.name for path in kept.rglob("*")}
    assert run["id"] in ada.python(LOAD)
    ada.commit("first results")
    ada.run("git", "push", "--set-upstream", "origin", "main")
    ada.run("dvc", "push")

    ada.run("git", "clone", "--quiet", git_url, str(tmp_path / "ben"))
    ben = Project(tmp_path / "ben", ada.env, ada.bin)
    ben.run("dvc", "pull")
    assert ben.repro() == [], "Ada has computed it"
    assert f"already published: run {run['id']}" in ben.run("lockstep", "publish")
    assert ben.runs() == [run]
    ben.edit("conf/model/random_forest.yaml", "n_estimators: 100", "n_estimators: 10")
    assert ben.repro() == ["compose", "train", "evaluate", "publish"]
    ben.commit("a smaller forest")
    ben.run("dvc", "push")
    ben.run("git", "push")

    ada.run("git", "pull", "--quiet")
    ada.run("dvc", "pull")
    assert ada.repro() == [], "Ben has computed it"
    assert [run["params"]["model.n_estimators"] for run in ada.runs()] == ["100", "10"]
    assert PASSWORD not in ada.output
    assert ada.run("git", "grep", "--count", PASSWORD, "HEAD", ok=None) == ""
