"""The golden pages: the help, a success and a refusal of every verb, as users see them."""

import os
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from golden import PAGES, WIDTH, Page
from scaffold import generate
from serving import lock_server
from tiny import Tiny
from windows import line, save

from lockstep.cli import VERBS
from lockstep.serve.places import place_of
from lockstep.serve.settings import ANSWERS
from project import Project

pytestmark = pytest.mark.skipif(os.name == "nt", reason="paths and system errors look differently")
Pages = Callable[[str], Page]


class Scenes:
    """The scenes of a page, played in a tiny project in this process.

    Attributes:
        project: The project, to be changed between two scenes.
    """

    def __init__(self, page: Page, project: Tiny) -> None:
        self.project = project
        self._page = page

    def tell(self, story: str) -> None:
        """Say what happens between two scenes."""
        self._page.tell(story)

    def play(self, *words: str, code: int = 0, **env: str) -> None:
        """Run a verb, which must end with an exit code.

        Args:
            words: Those after `lockstep`.
            code: The exit code.
            env: More variables.
        """
        found, output = self.project.answer(*words, COLUMNS=WIDTH, **env)
        assert found == code, f"lockstep {' '.join(words)} -> {found}\n{output}"
        command = shlex.join(["lockstep", *words])
        self._page.add(command, found, output, names=folders(self.project.path))


def folders(project: Path) -> dict[str, str]:
    """What pages show in place of the folders of a test."""
    parents = {project, project.resolve()}
    return {str(path.parent): "/home/ada" for path in parents} | {sys.executable: "python"}


@pytest.fixture
def story(page: Pages, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page that the test is named after; compared when the test is over."""
    made = page(request.node.name.removeprefix("test_"))
    yield made
    made.check()


@pytest.fixture
def scenes(story: Page, tiny_published: Tiny) -> Scenes:
    """The scenes of the test's page, in a project with one run."""
    return Scenes(story, tiny_published)


@pytest.fixture
def rivals(story: Page, tiny_rivals: Tiny) -> Scenes:
    """The same, in a project whose champion is better than the newest version."""
    return Scenes(story, tiny_rivals)


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help(page: Pages, tiny_once: Tiny, verb: str) -> None:
    code, output = tiny_once.answer(*filter(None, [verb, "--help"]), COLUMNS=WIDTH)
    made = page(f"help/{verb or 'lockstep'}")
    made.add(" ".join(filter(None, ["lockstep", verb, "--help"])), code, output, names={})
    made.check()


def test_usage(scenes: Scenes) -> None:
    scenes.play("--version")
    scenes.play()
    scenes.play("pubish", code=2)
    scenes.play("qwertz", code=2)
    scenes.play("promote", "--forced", code=2)
    scenes.tell("in a folder that is not a project")
    shutil.rmtree(scenes.project.path / "conf")
    for name in ("dvc.yaml", "params.yaml"):
        (scenes.project.path / name).unlink()
    for words in (["compose"], ["publish"], ["models"], ["sweep"], ["trace", "HEAD"], ["doctor"]):
        scenes.play(*words, code=2)


def test_monitor(story: Page, watched: Tiny) -> None:
    scenes = Scenes(story, watched)
    save(watched, "july.csv", line(300, seed=1))
    save(watched, "august.csv", line(300, seed=2, shift=1.0))
    save(watched, "september.csv", line(300, seed=3, shift=1.0))
    scenes.play("monitor", "new/july.csv")
    scenes.tell("another month, and another")
    scenes.play("monitor", "new/august.csv")
    scenes.play("monitor", "new/august.csv", "new/september.csv", code=1)
    scenes.play("monitor", "new/october.csv", code=2)
    scenes.tell("as a DVC stage does it")
    scenes.play("monitor", "new", "--each", "--output", "reports/monitor", "--exit-zero")


def test_predict(scenes: Scenes) -> None:
    line(5, seed=1).to_csv(scenes.project.path / "new.csv", index=False)
    scenes.play("predict", "new.csv", "out.parquet", "--model", "models:/toy/1")
    scenes.play("predict", "none.csv", "out.parquet", "--model", "models:/toy/1", code=2)
    scenes.play("predict", "new.csv", "out.parquet", code=2)
    scenes.play("serve", code=2)


def test_feedback(scenes: Scenes) -> None:
    scenes.project.write("labels.csv", "request_id,value\na1,6.5\na2,many\n")
    scenes.play("feedback", "labels.csv", code=2)
    scenes.tell("after `lockstep serve --log` answered the request a1")
    answers = {"_request": ["a1"], "_row": [0], "_prediction": [6.4]}
    place_of(str(scenes.project.path / "predictions")).write(ANSWERS, pa.table(answers))
    scenes.play("feedback", "labels.csv", code=2)
    scenes.project.write("labels.csv", "request_id,value\na1,6.5\na2,7\n")
    scenes.play("feedback", "labels.csv")


def test_build(scenes: Scenes) -> None:
    words = ["build", "models:/toy/1", "image", "--base", f"python:3.12-slim@sha256:{'0' * 64}"]
    scenes.play(*words, code=2)
    scenes.tell("after `uv lock` with the extra serve in pyproject.toml")
    lock_server(scenes.project)
    scenes.play(*words)
    scenes.play("build", "models:/toy/1", "src", code=2)


def test_retrain(scenes: Scenes) -> None:
    scenes.play("retrain")
    scenes.tell("after an edit in conf/")
    scenes.project.edit("conf/model/linear.yaml", "positive: false", "positive: true")
    scenes.play("retrain", code=2)


def test_watch(scenes: Scenes) -> None:
    scenes.play("watch", "data/new", code=2)
    scenes.play("export", "airflow", "--windows", "data/new", "--project", "/srv/toy")
    scenes.play("export", "dagster", "--stages", "-o", "dags/toy.py")
    (scenes.project.path / "dvc.yaml").unlink()
    scenes.tell("where there is no pipeline")
    scenes.play("export", "airflow", "--stages", code=2)


def test_compose(scenes: Scenes) -> None:
    scenes.play("compose")
    scenes.tell("after an edit in conf/")
    scenes.project.edit("conf/model/linear.yaml", "positive: false", "positive: true")
    scenes.play("compose")
    scenes.tell("after an edit in params.yaml")
    scenes.project.edit("params.yaml", "positive: true", "positive: false")
    scenes.play("compose", code=2)
    scenes.play("compose", "--force")
    scenes.tell("an option that does not exist")
    scenes.project.edit("conf/config.yaml", "model: linear", "model: linaer")
    scenes.play("compose", code=2)


def test_adopt(scenes: Scenes) -> None:
    project = scenes.project
    scenes.play("adopt", code=2)
    scenes.tell("a pipeline of DVC alone, with params.yaml")
    shutil.rmtree(project.path / "conf")
    (project.path / "composed.yaml").unlink()
    project.write("params.yaml", "# All of it.\nmodel:\n  depth: 3 # at most\nseed: 1\n")
    project.write(
        "dvc.yaml",
        "stages:\n  train:\n    cmd: python train.py\n    params: [model, seed]\n"
        "    outs: [model.pkl]\n    metrics: [{metrics.json: {cache: false}}]\n",
    )
    scenes.play("adopt")
    for name in ("conf/config.yaml", "conf/model/default.yaml", "dvc.yaml"):
        scenes.tell(f"{name} is now:\n{(project.path / name).read_text(encoding='utf-8')}")
    scenes.play("adopt", code=2)


def test_report(scenes: Scenes) -> None:
    scenes.play("report", "--output", "page.html")
    scenes.play("report", "nobody", code=2)


def test_map(scenes: Scenes) -> None:
    project = scenes.project
    stage = (
        "  square: {cmd: lockstep map toy.square data/months data/squares, deps: [data/months]}\n"
    )
    project.edit("dvc.yaml", "stages:\n", f"stages:\n{stage}")
    code = """
        from lockstep import LockstepError

        def main(cfg, month, out):
            if not month.read_text():
                raise LockstepError(f"{month} is empty: write a number")
            out.write_text(str(float(month.read_text()) ** 2))
    """
    project.write("src/toy/square.py", textwrap.dedent(code))
    words = ["map", "toy.square", "data/months", "data/squares", "--jobs", "1"]
    for month in (7, 8, 9):
        project.write(f"data/months/2013-0{month}.txt", str(month))
    scenes.play(*words, DVC_STAGE="square")
    scenes.tell("another month, and one of them is removed")
    project.write("data/months/2013-10.txt", "10")
    (project.path / "data/months/2013-07.txt").unlink()
    scenes.play(*words, DVC_STAGE="square")
    scenes.tell("a bad one")
    project.write("data/months/2013-11.txt", "")
    scenes.play(*words, "--leave-out", DVC_STAGE="square")
    scenes.play(*words, DVC_STAGE="square", code=2)


def test_run(scenes: Scenes) -> None:
    train = ["toy.train", "data/train.csv", "models/model.joblib", "models/example.parquet"]
    scenes.play("run", *train, DVC_STAGE="train")
    scenes.play("run", *train, DVC_STAGE="trian", code=2)
    scenes.tell("after a typing error in conf/")
    scenes.project.edit("conf/model/linear.yaml", "positive", "postive")
    scenes.project.lockstep("compose")
    scenes.play("run", *train, DVC_STAGE="train", code=2)
    scenes.project.edit("conf/model/linear.yaml", "postive", "positive")
    scenes.project.lockstep("compose")
    scenes.tell("a stage that reads a param that dvc.yaml does not list for it")
    scenes.project.edit("dvc.yaml", "params: [data.target, model, ", "params: [model, ")
    scenes.play("run", *train, DVC_STAGE="train", code=2)


@pytest.mark.project
def test_publish(scenes: Scenes) -> None:
    scenes.play("publish")
    scenes.tell("after an edit in conf/ and `dvc repro`")
    scenes.project.edit("conf/model/linear.yaml", "positive: false", "positive: true")
    scenes.project.repro()
    metrics = (scenes.project.path / "metrics/metrics.json").read_text(encoding="utf-8")
    scenes.tell("and after an edit of the metrics by hand")
    scenes.project.write("metrics/metrics.json", metrics.replace("1", "2"))
    scenes.play("publish", code=2)
    scenes.project.write("metrics/metrics.json", metrics)
    scenes.tell("without that one")
    scenes.play("publish")
    scenes.tell("a server that is down")
    scenes.play("publish", code=2, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    scenes.tell("the pipeline has not run")
    (scenes.project.path / "dvc.lock").unlink()
    scenes.play("publish", code=2)


@pytest.mark.project
def test_publish_all(scenes: Scenes, empty_store: Path) -> None:
    scenes.tell("the MLflow store is new")
    shutil.copy(empty_store, scenes.project.path)
    scenes.play("publish", "--all")
    scenes.play("publish", "--all")


@pytest.mark.project
def test_runs(rivals: Scenes, empty_store: Path) -> None:
    rivals.play("runs")
    rivals.play("runs", "--sort", "best", "--filter", "metrics.mean_absolute_error < 1.2")
    rivals.play("runs", "--limit", "1")
    rivals.play("runs", "--sort", "mean_absolut_error", code=2)
    rivals.play("runs", "--filter", "metrics.mean_absolute_error <", code=2)
    rivals.tell("an empty MLflow store")
    shutil.copy(empty_store, rivals.project.path)
    rivals.play("runs")


@pytest.mark.project
def test_diff(rivals: Scenes) -> None:
    rivals.play("diff")
    rivals.play("diff", "2", "HEAD~1", "--markdown")
    rivals.play("diff", "champion", "champion", "--html", "diff.html")
    rivals.play("diff", "nothing", code=2)


@pytest.mark.project
def test_models(scenes: Scenes) -> None:
    scenes.play("models")
    scenes.play("models", "--json")


@pytest.mark.project
def test_promote(scenes: Scenes, empty_store: Path) -> None:
    scenes.play("promote")
    scenes.play("promote")
    scenes.play("promote", "7", code=2)
    scenes.tell("an empty MLflow store")
    shutil.copy(empty_store, scenes.project.path)
    scenes.play("promote", code=2)


@pytest.mark.project
def test_promote_a_worse_one(rivals: Scenes) -> None:
    rivals.play("promote", code=1)
    rivals.play("promote", "--force", code=2)
    rivals.tell("by real traffic, of which there is none")
    rivals.play("promote", "--on-traffic", code=1)
    rivals.play("promote", "--force", "--reason", "a drill")


@pytest.mark.project
def test_rollback(rivals: Scenes) -> None:
    rivals.play("rollback", code=2)
    rivals.tell("after another promotion")
    rivals.project.lockstep("promote", "--force", "--reason", "a drill")
    rivals.play("rollback", "--reason", "wrong answers")
    rivals.play("models")


@pytest.mark.project
def test_trace(scenes: Scenes) -> None:
    scenes.play("trace", "models:/toy/1")
    scenes.play("trace", "data/train.csv")
    scenes.play("trace", "data/train.csv", "--json")
    scenes.play("trace", "nothing", code=2)
    scenes.play("trace", "models:/toy@champion", code=2)


@pytest.mark.project
def test_reproduce(scenes: Scenes) -> None:
    scenes.play("reproduce", "nothing", code=2)
    scenes.play("reproduce", "models:/toy/1", "--from", "trian", code=2)
    scenes.play(
        *("reproduce", "models:/toy/1", "--current-environment", "--checkout-only", "--keep")
    )


@pytest.mark.project
def test_push_and_pull(scenes: Scenes, tmp_path: Path) -> None:
    ada = scenes.project
    scenes.play("push")
    scenes.play("pull")
    ada.run("git", "init", "--quiet", "--bare", "-b", "main", str(tmp_path / "origin.git"))
    ada.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    scenes.tell("with a remote")
    scenes.play("push", "--dry-run")
    scenes.play("push")
    scenes.play("push")
    scenes.play("pull")
    scenes.tell("another clone pushes a result")
    (tmp_path / "ben").mkdir()
    ada.git("clone", "--quiet", str(tmp_path / "origin.git"), str(tmp_path / "ben" / "toy"))
    ben = Tiny(tmp_path / "ben" / "toy", dict(ada.env))
    ben.edit(".dvc/config", "../../storage", "../../../storage")
    ben.lockstep("pull")
    ben.edit("conf/model/linear.yaml", "positive: false", "positive: true")
    ben.repro()
    ben.git("checkout", "--quiet", ".dvc/config")
    ben.commit("a positive one")
    ben.edit(".dvc/config", "../../storage", "../../../storage")
    ben.lockstep("push")
    scenes.play("pull")
    scenes.tell("both have commits of their own")
    ada.write("ada.txt", "hers")
    ada.commit("ada's")
    ben.write("ben.txt", "his")
    ben.git("add", "ben.txt")
    ben.git("commit", "--quiet", "--message", "ben's")
    ben.git("push", "--quiet")
    scenes.play("push", code=2)
    scenes.play("pull", code=2)
    scenes.tell("the pipeline has run, and nobody has committed it")
    ada.edit("conf/model/linear.yaml", "positive: true", "positive: false")
    ada.repro()
    scenes.play("push", code=2)


@pytest.mark.project
def test_doctor(scenes: Scenes) -> None:
    scenes.play("doctor")
    scenes.tell("the remote is away, and a param was edited")
    shutil.rmtree(scenes.project.path.parent / "storage")
    scenes.project.edit("params.yaml", "positive: false", "positive: true")
    scenes.play("doctor", code=1)
    scenes.play("doctor", "--strict", "--json", code=1)


def test_sweep(scenes: Scenes) -> None:
    scenes.play("sweep", code=2)
    scenes.play("sweep", "model.positive=choice(true,false)", "model.postive=1", code=2)
    scenes.play("sweep", "--resume", code=2)
    scenes.play("sweep", "--apply", "best", code=2)


def test_scaffold(story: Page, tmp_path: Path, clean_env: dict[str, str]) -> None:
    env = {**clean_env, "COLUMNS": WIDTH, "PWD": str(tmp_path)}
    names = {
        str(Path(sys.executable).parent) + os.sep: "",
        **dict.fromkeys((str(tmp_path), str(tmp_path.resolve())), "/home/ada"),
    }

    def play(*options: str, code: int = 0, **answers: str) -> None:
        done = generate(tmp_path, *options, env=env, **{"data_source": "", **answers})
        assert done.returncode == code, done.stderr
        words = [*options, *map("=".join, answers.items())]
        command = shlex.join(["cookiecutter", "lockstep", "--no-input", *words])
        output = done.stdout + done.stderr
        # cookiecutter shows where its own code raised.
        shown = re.sub(r"ERROR: .*(?=Hook script failed)", "", output, flags=re.DOTALL)
        story.add(command, code, shown, names=names)

    play(create_environment="no")
    play(code=1, package_name="class", target_column="rentls")
    story.tell("over a project with changes")
    (tmp_path / "bike-hire" / "README.md").write_text("mine")
    play("--overwrite-if-exists", code=1, create_environment="no")


def test_long_commands(story: Page, published: Project) -> None:
    """The verbs that need a real project: they fit models."""
    (run,) = published.runs()
    names = {**folders(published.path), run["id"]: "RUN"}

    def play(*words: str) -> None:
        code, output = published.answer("lockstep", *words, env={"COLUMNS": WIDTH})
        assert code == 0, output
        command = shlex.join(["lockstep", *words])
        story.add(command.replace(run["id"], "RUN"), code, output, names=names, numbers=False)

    play("reproduce", run["id"], "--current-environment")
    play("sweep", "model=knn", "sweep.n_trials=2", "sweep.engine.workers=1")
    play("sweep", "--apply", "best")


def test_every_verb_has_a_success_and_a_refusal() -> None:
    """And no page has outlived its test."""
    tests = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    pages = {path.stem for path in PAGES.glob("*.txt")}
    assert pages <= tests
    text = "\n".join(path.read_text(encoding="utf-8") for path in PAGES.glob("*.txt"))
    for verb in VERBS:
        ends = re.findall(rf"^\$ lockstep {verb}\b.*\n(?:(?!\$ ).*\n)*?(\[exit|\n)", text, re.M)
        assert "[exit" in ends, f"no refusal of {verb}"
        endless = verb in ("serve", "watch")
        assert "\n" in ends or endless, f"no success of {verb}"
