"""`make lifecycle`, in short: from the first model to the rebuild of the last champion."""

import json
import subprocess
import sys
from pathlib import Path

from conftest import TEMPLATE, Scaffold
from project import Project


def test_a_model_follows_the_world(scaffold: Scaffold, equipped: Project, tmp_path: Path) -> None:
    project = scaffold(data_source="")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--no-verify", "--message", "start")
    words = [str(tmp_path), "--months", "5", "--trees", "20"]
    places = ["--project", str(project.path), "--bin", str(equipped.bin)]
    done = subprocess.run(
        [sys.executable, "-m", "scripts.lifecycle", *words, *places],
        cwd=TEMPLATE,
        env={**project.env, "UV_PROJECT_ENVIRONMENT": str(equipped.bin.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout
    told = json.loads((tmp_path / "lifecycle.json").read_text(encoding="utf-8"))
    assert told["failures"] == []
    assert {"1", "2"} <= set(told["answers"]), "the server followed, and answered all the time"
    counts = told["retrainings"]
    assert (counts["quiet"], counts["faults"]) == (1, 1)
    assert min(counts["promoted"], counts["refused"]) >= 1
    assert told["months"][-1]["verdict"] == "alarm"
    assert any("alarm" in text for text in told["notifications"])
    assert "identical" in told["rebuilt"]
    page = (tmp_path / "lifecycle.html").read_text(encoding="utf-8")
    assert {event["outcome"] for event in told["events"]} >= {"version 2 is promoted"}
    assert all(event["outcome"] in page for event in told["events"])
    assert "data:image/svg+xml;base64," in page, "each month with and without retraining"
    assert "put off (an alarm about version 1): the newest window" in done.stdout
