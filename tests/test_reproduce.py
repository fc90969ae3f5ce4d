"""Months later: rebuild what a run shows, fill a lost store, ask where a thing came from."""

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from conftest import TEMPLATE, Once, make
from project import Project

FOREST = "conf/model/random_forest.yaml"
HERE = "--current-environment"


@pytest.fixture(scope="module")
def lived(clean_env: dict[str, str], first_project: Project, once: Once) -> Project:
    """A project with runs of every provenance, all made with code that was not committed then.

    In order: from the workspace; by `dvc exp run`; in a temporary copy; from a queue. What git does
    not know at all reaches only the first two: DVC's copies are made without.
    """

    def build(folder: Path) -> Project:
        parent = folder / "alt und neu"
        parent.mkdir()
        project = make(clean_env, parent, {}, first_project.bin)
        project.commit("environment")
        above = "from pathlib import Path\n"
        project.edit("src/penguins/split.py", above, f"{above}\nfrom .extra import LUCK\n")
        (project.path / "src/penguins/extra.py").write_text('"""Never committed."""\n\nLUCK = 7\n')
        code = "      - src/penguins/split.py\n"
        project.edit("dvc.yaml", code, f"{code}      - src/penguins/extra.py\n")
        project.edit(FOREST, "n_estimators: 100", "n_estimators: 20")
        project.repro()
        project.experiment("-S", "model=logistic", "--name", "in-the-workspace")
        project.commit("halfway")
        project.edit("src/penguins/extra.py", "LUCK = 7", "LUCK = 8")
        project.experiment("--temp", "-S", "model=knn", "--name", "in-a-copy")
        project.experiment("--queue", "-S", "model=dummy", "--name", "from-the-queue")
        project.run("dvc", "exp", "run", "--run-all")
        return project

    return once("lived", build)


@pytest.fixture
def project(lived: Project, tmp_path: Path) -> Project:
    """A copy of it, to be changed."""
    return lived.copy(tmp_path)


def worktrees(project: Project) -> list[str]:
    return project.git("worktree", "list").splitlines()[1:]


def test_every_run_is_rebuilt_bit_by_bit_after_its_code_is_gone(project: Project) -> None:
    runs = project.runs()
    assert len(runs) == 4
    project.git("reset", "--quiet", "--hard", "HEAD~1")
    project.git("clean", "--quiet", "--force", "-d")
    for run in runs:
        output = project.run("lockstep", "reproduce", run["name"], HERE)
        assert f"{run['name']}: identical" in output
        assert "Running stage 'train'" in output
    assert worktrees(project) == []
    assert len(project.runs()) == 4, "nothing is published"
    assert project.git("status", "--porcelain") == ""


def test_another_clone_rebuilds_it_from_the_remotes_alone(project: Project, tmp_path: Path) -> None:
    project.run("dvc", "push", "--all-commits", "data/raw.csv.dvc")
    hub = tmp_path / "hub.git"
    project.git("clone", "--quiet", "--bare", ".", str(hub))
    clone = Project(tmp_path / "clone", project.env, project.bin)
    project.git("clone", "--quiet", str(hub), str(clone.path))
    clone.run("dvc", "remote", "modify", "--local", "storage", "url", str(remote_of(project)))
    for name in ("mlflow.db", "mlartifacts"):  # in place of a server
        copy = shutil.copytree if (project.path / name).is_dir() else shutil.copy
        copy(project.path / name, clone.path / name)
    clone.git("reset", "--quiet", "--hard", "HEAD~1")
    output = clone.run("lockstep", "reproduce", "in-the-workspace", HERE)
    assert "in-the-workspace: identical" in output
    assert not (clone.path / "src/penguins/extra.py").exists(), "the code came with the run"


def remote_of(project: Project) -> Path:
    """The folder of the project's DVC remote."""
    url = project.run("dvc", "config", "remote.storage.url").strip()
    return (project.path / ".dvc" / url).resolve()


def test_the_locked_environment_is_installed_and_a_model_in_use_is_rebuilt(
    project: Project,
) -> None:
    output = project.run("lockstep", "reproduce", "models:/penguins@challenger", "--keep")
    (run,) = [run for run in project.runs() if run["name"] in output.splitlines()[0]]
    assert f"{run['name']}: identical" in output
    label = run["name"].rpartition(" · ")[2]
    folder = project.path.parent / f"{project.path.name}-{label}"
    assert (folder / ".venv").is_dir()
    assert f"kept: {folder}" in output
    again = project.run("lockstep", "reproduce", "models:/penguins@challenger", ok=False)
    assert f"git worktree remove --force {folder}" in again
    project.git("worktree", "remove", "--force", str(folder))


def test_code_data_and_outputs_can_be_restored_without_running(project: Project) -> None:
    output = project.run("lockstep", "reproduce", "in-the-workspace", HERE, "--checkout-only")
    assert "Running stage" not in output
    folder = project.path.parent / f"{project.path.name}-in-the-workspace"
    assert "Never committed" in (folder / "src/penguins/extra.py").read_text()
    assert "LogisticRegression" in (folder / "params.yaml").read_text()
    restored = Project(folder, project.env, project.bin)
    assert (folder / "models/model.joblib").exists()
    assert restored.run("dvc", "status", "evaluate").strip().endswith("up to date.")


def test_it_starts_from_a_stage_with_what_those_before_it_made(project: Project) -> None:
    (run,) = [run for run in project.runs() if "dvc.experiment" not in run["tags"]]
    output = project.run("lockstep", "reproduce", run["id"], HERE, "--from", "evaluate")
    assert "Running stage 'evaluate'" in output
    assert "Running stage 'train'" not in output
    assert "identical" in output
    output = project.run("lockstep", "reproduce", run["id"], "--from", "sprinkle", ok=False)
    assert "no stage 'sprinkle'" in output
    assert "evaluate" in output
    assert worktrees(project) == []


def test_a_commit_and_an_experiment_are_rebuilt_without_a_store(project: Project) -> None:
    commit = project.git("rev-parse", "HEAD")
    (project.path / "mlflow.db").unlink()
    from_train = (HERE, "--from", "train")
    assert "identical" in project.run("lockstep", "reproduce", commit[:8], *from_train)
    assert "identical" in project.run("lockstep", "reproduce", "in-a-copy", *from_train)
    assert not (project.path / "mlflow.db").exists()


# The last commit of this template whose projects kept the glue in src/lockstep/.
OLD_LAYOUT = "66b600899d982f88e243a52b3c253097832b8e65"


def test_a_run_of_the_layout_before_this_one_is_rebuilt_by_its_own_glue(
    clean_env: dict[str, str], first_project: Project, tmp_path: Path
) -> None:
    archive = [
        "git",
        "-C",
        str(TEMPLATE),
        "archive",
        f"--output={tmp_path / 'old.tar'}",
        OLD_LAYOUT,
    ]
    if subprocess.run(archive, capture_output=True).returncode:
        pytest.skip(f"this clone lacks the commit {OLD_LAYOUT}")
    with tarfile.open(tmp_path / "old.tar") as content:
        content.extractall(tmp_path / "old", filter="data")
    (tmp_path / "work").mkdir()
    project = make(clean_env, tmp_path / "work", {}, first_project.bin, tmp_path / "old")
    glue = project.path / "src/lockstep"
    project.edit(
        "src/lockstep/cli.py", "import argparse\n", "import argparse\nprint('the old one')\n"
    )
    project.repro("evaluate")
    project.commit("a result")
    shutil.rmtree(glue)
    shutil.copytree(first_project.path / "packages", project.path / "packages")
    project.commit("a newer template")
    project.run("lockstep", "publish", "--all")
    (run,) = project.runs()
    output = project.run("lockstep", "reproduce", run["name"], HERE)
    assert "the old one" in output
    assert f"{run['name']}: identical" in output


def test_a_difference_is_reported_with_where_it_begins(project: Project) -> None:
    """A seed that the clock chooses: the one thing that no snapshot can bring back."""
    project.edit("src/penguins/train.py", "import itertools", "import itertools\nimport os")
    project.edit(
        "src/penguins/train.py",
        "    model = build(cfg.model)\n",
        "    model = build(cfg.model).set_params(random_state=int.from_bytes(os.urandom(2)))\n",
    )
    project.run("lockstep", "compose", "--force")
    project.repro()
    name = project.runs()[-1]["name"]
    output = project.run("lockstep", "reproduce", name, HERE, "--from", "train", ok=False)
    assert "the stage train made a different models/model.joblib; it read the same" in output
    assert f"{name}: different" in output
    assert "kept: " in output
    assert len(worktrees(project)) == 1


def test_a_word_that_means_nothing_is_reported(project: Project) -> None:
    for word, said in {
        "no-such-thing": "is not a run, model, DVC experiment or git revision",
        "models:/penguins@nobody": "nobody",
        "models:/penguins": "models:/name@alias",
    }.items():
        output = project.run("lockstep", "reproduce", word, ok=False)
        assert said in output
        assert "Traceback" not in output


def comparable(project: Project, **env: str) -> dict[str, dict[str, object]]:
    """The runs, without what differs from store to store: the verdict, which is of its champion."""
    kept = ("name", "status", "params", "metrics", "inputs", "history")
    return {
        run["tags"]["lockstep.state"]: {key: run[key] for key in kept}
        | {
            "tags": {
                key: value
                for key, value in run["tags"].items()
                if not key.startswith(("gate.", "git.snapshot", "mlflow.note"))
            }
        }
        for run in project.runs(**env)
    }


def test_a_lost_store_is_filled_again_from_git_and_dvc(project: Project) -> None:
    before = comparable(project)
    shutil.rmtree(project.path / "mlartifacts")
    (project.path / "mlflow.db").unlink()
    output = project.run("lockstep", "publish", "--all")
    assert "4 runs added" in output
    assert comparable(project) == before
    assert "every state has its run" in project.run("lockstep", "publish", "--all")
    assert len(project.runs()) == 4
    loaded = project.python(
        "import mlflow\n"
        "for version in (1, 2, 3, 4):\n"
        "    print(mlflow.pyfunc.load_model(f'models:/penguins/{version}').metadata.run_id)"
    )
    assert set(loaded.split()) == {run["id"] for run in project.runs()}
    rebuilt = project.run("lockstep", "reproduce", "in-a-copy", HERE, "--from", "train")
    assert "in-a-copy: identical" in rebuilt


def test_two_stores_become_one(lived: Project, project: Project, tmp_path: Path) -> None:
    """Two colleagues, one of them a step ahead, fill a store that both will use from now on."""
    behind = lived.copy(tmp_path, "behind")
    project.edit("conf/split/stratified.yaml", "seed: 42", "seed: 1")
    project.run("lockstep", "compose", "--force")
    project.repro()
    team = f"sqlite:///{tmp_path}/team.db"
    for colleague in (project, behind, project):
        colleague.run("lockstep", "publish", "--all", env={"MLFLOW_TRACKING_URI": team})
    assert comparable(project, MLFLOW_TRACKING_URI=team) == comparable(project)


def test_committed_history_is_shown_without_running_anything(project: Project) -> None:
    """What another tool, or a colleague without MLflow, committed: nothing but git and DVC."""
    project.commit("the first state")
    project.run("dvc", "exp", "apply", "in-a-copy")
    second = project.commit("the second one")
    refs = project.git("for-each-ref", "--format=delete %(refname)", "refs/lockstep", "refs/exps")
    for line in refs.splitlines():
        project.git("update-ref", "-d", line.removeprefix("delete "))
    (project.path / "mlflow.db").unlink()
    project.run("lockstep", "publish", "--all")
    runs = project.runs()
    assert len(runs) == 2
    assert runs[-1]["tags"]["mlflow.source.git.commit"] == second
    page = project.run("lockstep", "report", runs[-1]["id"], "--markdown")
    assert "system.platform" not in page, "nobody knows where it ran"
    assert "package.scikit-learn" in page
    alias = project.python(
        "from mlflow import MlflowClient\n"
        "print(MlflowClient().get_model_version_by_alias('penguins', 'challenger').run_id)"
    )
    assert alias.strip() == runs[-1]["id"], "the newest state is the challenger"


def test_trace_shows_both_ways(lived: Project) -> None:
    found = json.loads(lived.run("lockstep", "trace", "in-a-copy", "--json"))
    run = next(run for run in lived.runs() if run["name"].endswith("· in-a-copy"))
    assert found["id"] == run["id"]
    assert found["came_from"]["data"] == {"data/raw.csv": run["inputs"]["data/raw.csv"]}
    assert found["came_from"]["code"]["snapshot"] == run["tags"]["git.snapshot"]
    assert "src/penguins/extra.py" in found["came_from"]["code"]["changed"]
    assert found["came_from"]["overrides"] == "model=knn"
    assert found["used_in"]["models"][0]["model"] == "penguins"

    data = json.loads(lived.run("lockstep", "trace", "data/raw.csv", "--json"))
    assert {entry["run"] for entry in data["used_in"]["runs"]} == {
        run["name"] for run in lived.runs()
    }
    model = json.loads(lived.run("lockstep", "trace", "models/model.joblib", "--json"))
    assert model["came_from"]["stage"] == "train"
    assert len(model["used_in"]["runs"]) == 1

    tree = lived.run("lockstep", "trace", "models:/penguins@challenger")
    assert "└── used in" in tree
    assert "challenger" in tree
    assert "is not a run, model or file" in lived.run("lockstep", "trace", "what", ok=False)
