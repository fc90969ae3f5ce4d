"""conf/ becomes params.yaml; mistakes are named, and no value is lost without a word."""

import json
from pathlib import Path

import pytest
import yaml

from project import Project

# Prints how often what is remembered says yes where scikit-learn says no, to other values than
# True and False and to these; and to the others, how often both say yes, and only scikit-learn.
AGREEMENT = """
import inspect, itertools
from pathlib import Path
from sklearn.utils import all_estimators
from sklearn.utils._param_validation import validate_parameter_constraints
from lockstep.config.accepted import Accepted, required

PLAIN = [None, True, False, -1, 0, 1, 2, 2**33, -0.5, 0.0, 0.3, 1.0, 1.5, 9e9, float("inf"),
         float("nan"), "x", "auto", "balanced", "sqrt", "l2", "gini", "log_loss", "uniform"]

def valid(name, target, params):
    try:
        validate_parameter_constraints(target._parameter_constraints, params, name)
    except ValueError:
        return False
    return True

accepted = Accepted(Path.cwd())
answers = []
for name, target in all_estimators():
    one_will_do = not required(inspect.signature(target).parameters)
    if hasattr(target, "_parameter_constraints") and one_will_do:
        name = f"{target.__module__}.{name}"
        accepted.learn(name, target)
        for key, value in itertools.product(target._parameter_constraints, PLAIN):
            known = accepted.accepts({"_target_": name, key: value})
            boolean = isinstance(value, bool)
            answers.append((known, valid(name, target, {key: value}), boolean))
print(answers.count((True, False, False)), answers.count((True, False, True)))
print(answers.count((True, True, False)), answers.count((False, True, False)))
"""


def params(project: Project) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = yaml.safe_load((project.path / "params.yaml").read_text())
    return found


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("conf/split/stratified.yaml", "test_size:", "test_siz:", "did you mean test_size?"),
        ("conf/split/stratified.yaml", "test_size: 0.2", "test_size: 1.5", "split.test_size: 1.5"),
        (
            "conf/split/stratified.yaml",
            "test_size: 0.2",
            "test_size: much",
            "split.test_size: 'much'",
        ),
        (
            "conf/model/random_forest.yaml",
            "n_estimators:",
            "n_estimator:",
            "did you mean n_estimators?",
        ),
        ("conf/model/random_forest.yaml", "n_estimators: 100", "n_estimators: -1", "[1, inf)"),
        ("conf/model/random_forest.yaml", "RandomForestC", "RandomForrestC", "mean RandomForestC"),
        (
            "conf/model/random_forest.yaml",
            "_target_: sklearn.ensemble.RandomForestClassifier",
            "_target_: 5",
            "model._target_: 5 will not do",
        ),
        (
            "conf/model/random_forest.yaml",
            "sklearn.ensemble.RandomForestClassifier",
            "RandomForestClassifier",
            "model._target_: 'RandomForestClassifier' will not do",
        ),
        (
            "conf/model/random_forest.yaml",
            "sklearn.ensemble.RandomForestClassifier",
            "sklearn.ensemble",
            "model._target_: sklearn.ensemble is not a class or function",
        ),
        (
            "conf/model/random_forest.yaml",
            "sklearn.ensemble.RandomForestClassifier",
            "sklearn.multiclass.OneVsOneClassifier\n"
            "estimator: {_target_: sklearn.multiclass.OneVsRestClassifier}",
            "model.estimator.estimator is missing: sklearn.multiclass.OneVsRestClassifier asks for",
        ),
        ("conf/model/random_forest.yaml", "sklearn.ensemble", "skleern.ensemble", "uv add skleern"),
        ("conf/config.yaml", "model: random_forest", "model: random_forrest", "random_forest"),
    ],
)
def test_a_mistake_in_conf_is_named(
    project: Project, file: str, old: str, new: str, expected: str
) -> None:
    project.edit(file, old, new)
    output = project.run("dvc", "repro", ok=False)
    assert expected in output
    assert "Traceback" not in output
    assert file in output or "conf/ cannot be composed" in output
    assert not (project.path / "params.yaml").exists()


def test_a_wrong_override_is_named(project: Project) -> None:
    project.commit()
    output = project.run("dvc", "exp", "run", "-S", "model.n_estimators=-3", ok=False)
    assert "-S model.n_estimators" in output
    assert "[1, inf)" in output


def test_a_hand_edited_params_file_is_kept(project: Project) -> None:
    project.run("lockstep", "compose")
    project.edit("params.yaml", "n_estimators: 100", "n_estimators: 55")
    output = project.run("lockstep", "compose", ok=False)
    assert "model.n_estimators: 55 in params.yaml, 100 in conf/" in output
    assert "lockstep compose --force" in output
    assert params(project)["model"]["n_estimators"] == 55

    project.edit("conf/model/random_forest.yaml", "n_estimators: 100", "n_estimators: 55")
    project.run("lockstep", "compose")
    assert params(project)["model"]["n_estimators"] == 55


def test_a_class_is_imported_once_for_all_its_values(project: Project) -> None:
    model = "conf/model/random_forest.yaml"

    def composed(old: str, new: str) -> tuple[int, str]:
        project.edit(model, f"n_estimators: {old}", f"n_estimators: {new}")
        return project.answer("python", "-X", "importtime", "-m", "lockstep", "compose")

    for old, new, imported in (("100", "55", True), ("55", "56", False), ("56", "-1", True)):
        code, output = composed(old, new)
        assert ("sklearn.ensemble" in output) == imported, (new, output)
        assert code == (2 if new == "-1" else 0)
    assert "conf/model/random_forest.yaml: model.n_estimators" in output

    # What is remembered is of other packages, or no longer to be read.
    remembered = project.path / ".dvc/tmp/lockstep/accepted.json"
    kept = json.loads(remembered.read_text())
    for old, new, text in (
        (
            "-1",
            "57",
            json.dumps({name: ["before an upgrade", *known] for name, (_, *known) in kept.items()}),
        ),
        ("57", "58", json.dumps(kept)[:100]),
        ("58", "59", "[]"),
        ("59", "60", '{"sklearn.svm.SVC": 5}'),
    ):
        remembered.write_text(text)
        code, output = composed(old, new)
        assert code == 0
        assert "sklearn.ensemble" in output
        assert json.loads(remembered.read_text()) == kept


def test_the_projects_own_classes_are_remembered_until_its_code_changes(project: Project) -> None:
    mine = project.path / "src/penguins/mine.py"
    mine.write_text(
        "from sklearn.ensemble import RandomForestClassifier as Chosen\n"
        "class Own:\n    def __init__(self, a): pass\n"
    )
    code = """
from pathlib import Path
from hydra.utils import get_class
from lockstep.workspace import import_from_workspace
from lockstep.config.accepted import Accepted
import_from_workspace()
nodes = [
    {"_target_": "penguins.mine.Chosen", "n_estimators": 5},
    {"_target_": "penguins.mine.Own", "a": 5},
    {"_target_": "sklearn.svm.SVC", "C": 5.0},
    {"_target_": "sklearn.multiclass.OneVsRestClassifier"},
]
accepted = Accepted(Path.cwd())
print(*(accepted.accepts(node) for node in nodes))
for node in nodes:
    accepted.learn(node["_target_"], get_class(node["_target_"]))
"""
    assert project.python(code).split() == ["False"] * 4
    assert project.python(code).split() == ["True", "True", "True", "False"]  # one lacks a param
    mine.write_text("from sklearn.svm import SVC as Chosen\n\nclass Own:\n    pass\n")
    (mine.parent / ".#mine.py").symlink_to("an.editor@host")
    assert project.python(code).split() == ["False", "False", "True", "False"]


def test_what_is_remembered_of_a_class_is_true(project: Project) -> None:
    """Of all that scikit-learn has: a yes is scikit-learn's, and nearly all its yeses are ours."""
    said = project.python(AGREEMENT)
    wrong, wrong_of_booleans, both, missed = map(int, said.split())
    assert wrong == wrong_of_booleans == 0
    assert both > 5000
    assert missed < 0.1 * both


def test_an_applied_override_is_not_dropped_silently(published: Project) -> None:
    project = published
    project.experiment("-S", "model=knn", "-S", "split.seed=7")
    project.commit("knn")
    project.edit("conf/evaluate/default.yaml", "[accuracy,", "[recall_macro,")
    output = project.run("dvc", "repro", ok=False)
    assert "an experiment left model=knn split.seed=7" in output
    assert params(project)["split"]["seed"] == 7

    output = project.experiment("-S", "model=knn")
    assert "the workspace held split.seed=7, which this experiment does not" in output
    assert params(project)["split"]["seed"] == 42

    project.run("lockstep", "compose", "--force")
    assert params(project)["model"]["_target_"] == "sklearn.ensemble.RandomForestClassifier"


def test_another_lock_file_keeps_an_applied_override(published: Project) -> None:
    project = published
    project.experiment("-S", "model=knn")
    lock = project.path / "uv.lock"
    lock.write_text(lock.read_text() + "\n# ruff was upgraded\n")
    assert project.repro() == ["compose"]
    assert str(params(project)["model"]["_target_"]).endswith("KNeighborsClassifier")


def test_a_comment_in_conf_reruns_nothing_else(published: Project) -> None:
    project = published
    config = project.path / "conf" / "config.yaml"
    config.write_text(config.read_text() + "\n# a thought\n")
    assert project.repro() == ["compose"]
    assert len(project.runs()) == 1


def test_a_stage_that_reads_an_unlisted_param_is_told(project: Project) -> None:
    split = project.path / "src" / "penguins" / "split.py"
    source = split.read_text()
    assert "cfg.split" in source
    split.write_text(source.replace("cfg.split", "cfg.model.split", 1))
    output = project.run("dvc", "repro", ok=False)
    assert "not listed for it in dvc.yaml" in output
    assert "stages.split.params" in output
    assert "Traceback" not in output


def test_commands_outside_a_project_say_so(project: Project, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    project.path = tmp_path / "elsewhere"
    for verb in ("compose", "publish"):
        output = project.run("lockstep", verb, ok=False)
        assert "go to the project's root" in output
        assert "Traceback" not in output
