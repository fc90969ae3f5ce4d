"""conf/ becomes params.yaml; mistakes are reported where they are, and no value is lost."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from scaffold import render
from tiny import GLUE, Tiny

from lockstep import LockstepError, cli
from lockstep.config.check import Checker
from lockstep.config.compose import composer
from lockstep.config.grammar import hydra_value, parsed
from lockstep.config.overrides import differences, overrides_between
from lockstep.config.params import compose_params, pending_changes
from lockstep.dvc.environment import ALL, EXPERIMENT
from lockstep.files import read_yaml
from lockstep.stage import run_stage
from project import Project

FOREST = "conf/model/random_forest.yaml"
SPLIT = "conf/split/stratified.yaml"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as the template renders it; tests copy it."""
    return render(tmp_path_factory.mktemp("rendered"))


@pytest.fixture
def workspace(rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project whose code is importable; nothing ran in it yet."""
    path = tmp_path / "penguins"
    shutil.copytree(rendered, path)
    monkeypatch.chdir(path)
    monkeypatch.syspath_prepend(path / "src")
    for name in ALL:
        monkeypatch.delenv(name, raising=False)
    yield path
    for name in [name for name in sys.modules if name.partition(".")[0] == "penguins"]:
        del sys.modules[name]


def edit(workspace: Path, file: str, old: str, new: str) -> None:
    path = workspace / file
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{file} has no {old!r}:\n{text}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def params(workspace: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((workspace / "params.yaml").read_text())
    return content


def start_experiment(workspace: Path, monkeypatch: pytest.MonkeyPatch, *overrides: str) -> None:
    """Write params.yaml as `dvc exp run -S ...` does before the first stage."""
    with composer(workspace) as compose:
        composed = compose(list(overrides))
    (workspace / "params.yaml").write_text(yaml.safe_dump(composed))
    monkeypatch.setenv(EXPERIMENT, "brisk-noon")


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        (SPLIT, "test_size:", "test_siz:", f"{SPLIT}: split.test_siz is unknown; did you mean"),
        (SPLIT, "test_size: 0.2", "test_size: 1.5", f"{SPLIT}: split.test_size: 1.5"),
        (SPLIT, "test_size: 0.2", "test_size: much", f"{SPLIT}: split.test_size: 'much'"),
        (
            FOREST,
            "_target_: sklearn.ensemble.RandomForestClassifier",
            "_target_: 5",
            f"{FOREST}: model._target_: 5 is not valid",
        ),
        (
            FOREST,
            "sklearn.ensemble.RandomForestClassifier",
            "RandomForestClassifier",
            f"{FOREST}: model._target_: 'RandomForestClassifier' is not valid",
        ),
        ("conf/config.yaml", "model: random_forest", "model: random_forrest", "random_forest"),
    ],
)
def test_a_mistake_in_conf_is_reported_where_it_is(
    workspace: Path, file: str, old: str, new: str, expected: str
) -> None:
    edit(workspace, file, old, new)
    with pytest.raises(LockstepError) as error:
        compose_params(workspace)
    assert expected in str(error.value)
    assert not (workspace / "params.yaml").exists()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "n_estimators:",
            "n_estimator:",
            "model.n_estimator is unknown to sklearn.ensemble.Random",
        ),
        ("n_estimators:", "n_estimator:", "did you mean n_estimators?"),
        ("n_estimators: 100", "n_estimators: -1", "model.n_estimators: The 'n_estimators' param"),
        ("n_estimators: 100", "n_estimators: -1", "[1, inf)"),
        ("RandomForestC", "RandomForrestC", "did you mean RandomForestC"),
        (
            "sklearn.ensemble.RandomForestClassifier",
            "sklearn.ensemble",
            "model._target_: sklearn.ensemble is not a class or function",
        ),
        (
            "sklearn.ensemble.RandomForestClassifier",
            "sklearn.multiclass.OneVsOneClassifier\n"
            "estimator: {_target_: sklearn.multiclass.OneVsRestClassifier}",
            "model.estimator.estimator is missing: sklearn.multiclass.OneVsRestClassifier requires",
        ),
        (
            "sklearn.ensemble.RandomForestClassifier",
            "sklearn.multiclass.OneVsRestClassifier\nestimator: {_target_: penguins.mine.Refusing}",
            "model._target_: it cannot be created: RuntimeError",
        ),
        ("sklearn.ensemble.RandomForestClassifier", "penguins.mine.Own", "n_jobs is unknown to"),
    ],
)
def test_what_a_class_does_not_accept_stops_the_stage_that_builds_it(
    workspace: Path, old: str, new: str, expected: str
) -> None:
    (workspace / "src/penguins/mine.py").write_text(
        "class Own:\n    def __init__(self, n_estimators): pass\n\n"
        "class Refusing:\n    def __init__(self): raise RuntimeError\n"
    )
    edit(workspace, FOREST, old, new)
    if "multiclass" in new:  # which takes nothing but an estimator
        for line in (workspace / FOREST).read_text().splitlines():
            if line.startswith(("n_", "max_", "min_", "random_")):
                edit(workspace, FOREST, f"{line}\n", "")
    compose_params(workspace)
    with pytest.raises(LockstepError) as error:
        run_stage("penguins.train", [Path("unread")] * 4)
    assert str(error.value).startswith("the config is not valid\n")
    assert f"  {FOREST}: model." in str(error.value)
    assert expected in str(error.value)


def test_a_package_that_is_not_installed_stops_compose(workspace: Path) -> None:
    edit(workspace, FOREST, "sklearn.ensemble", "skleern.ensemble")
    with pytest.raises(LockstepError) as error:
        compose_params(workspace)
    assert str(error.value) == (
        "conf/ names skleern.ensemble.RandomForestClassifier, but skleern is not installed: "
        "`uv add skleern`"
    )


def test_the_class_of_a_wrong_value_is_the_innermost(workspace: Path) -> None:
    edit(workspace, "conf/model/svm.yaml", "C: 1.0", "C: -1.0")
    edit(workspace, "conf/config.yaml", "model: random_forest", "model: svm")
    compose_params(workspace)
    with pytest.raises(LockstepError, match=r"conf/model/svm\.yaml: model\.estimator\.C: .*'C'"):
        run_stage("penguins.train", [])


def test_a_wrong_override_is_reported_as_such(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose_params(workspace)
    start_experiment(workspace, monkeypatch, "split.test_size=2", "model.n_estimators=-3")
    with pytest.raises(LockstepError, match=r"\n  -S split\.test_size: 2"):
        compose_params(workspace)
    start_experiment(workspace, monkeypatch, "model.n_estimators=-3")
    compose_params(workspace)
    with pytest.raises(LockstepError, match=r"\n  -S model\.n_estimators: .*\[1, inf\)") as error:
        run_stage("penguins.train", [])
    assert "--force" not in str(error.value)
    monkeypatch.delenv(EXPERIMENT)
    with pytest.raises(LockstepError, match=r"an experiment left that .* compose --force"):
        run_stage("penguins.train", [])
    edit(workspace, "conf/config.yaml", "model: random_forest", "model: unknown")
    with pytest.raises(LockstepError, match=r"\n  params\.yaml: model\.n_estimators: "):
        run_stage("penguins.train", [])


def test_a_checker_reports_everything_at_once(workspace: Path) -> None:
    """As a sweep needs it: the schema and the classes, each where it is set."""
    edit(workspace, SPLIT, "test_size: 0.2", "test_size: 2")
    edit(workspace, FOREST, "n_estimators: 100", "n_estimators: -1")
    edit(workspace, "conf/sweep/engine/local.yaml", "threads: 1", "thread: 1")
    edit(workspace, "conf/sweep/default.yaml", "_target_: penguins.tune.Cross", "_target_: 5 # ")
    overrides = ["sweep=default", "sweep.sampler._target_=optuna.samplers.TPESample"]
    with composer(workspace) as compose, pytest.raises(LockstepError) as error:
        Checker(workspace, compose.files)(compose(overrides), overrides)
    expected = [
        f"  {SPLIT}: split.test_size: 2 is not valid: ",
        "  conf/sweep/default.yaml: sweep.objective._target_: 5 is not valid: ",
        f"  {FOREST}: model.n_estimators: ",
        "  conf/sweep/engine/local.yaml: sweep.engine.thread is unknown to ",
        "  -S sweep.sampler._target_: optuna.samplers has no TPESample; did you mean TPESampler?",
    ]
    lines = str(error.value).splitlines()[1:]
    assert len(lines) == len(expected), lines
    for line, start in zip(lines, expected, strict=True):
        assert line.startswith(start)


def test_composing_imports_no_library_of_the_components(workspace: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from lockstep.config.params import compose_params\n"
        "sys.path.insert(0, 'src'); compose_params(Path.cwd())\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    path = str(Path(cli.__file__).parent.parent)
    command = [sys.executable, "-B", "-c", f"import sys; sys.path.insert(0, {path!r})\n{code}"]
    done = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=True)
    assert "'pydantic'" in done.stdout
    assert not {"'sklearn'", "'pandas'", "'mlflow'", "'numpy'"} & set(
        done.stdout.splitlines()[-1].strip("[]").split(", ")
    )


def test_the_command_reports_a_mistake_and_returns_2(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("switch_to_own_copy", "import_from_workspace", "collect_seldom"):
        monkeypatch.setattr(cli, name, lambda: None)  # they change this process
    edit(workspace, FOREST, "n_estimators: 100", "n_estimators: -1")
    assert cli.main(["compose"]) == 0
    assert cli.main(["run", "penguins.train"]) == 2
    assert f"error: the config is not valid\n  {FOREST}: model.n_estimators" in (
        capsys.readouterr().err
    )
    edit(workspace, SPLIT, "test_size:", "test_siz:")
    assert cli.main(["compose"]) == 2
    assert f"error: the config is not valid\n  {SPLIT}: split.test_siz" in capsys.readouterr().err


def test_a_hand_edited_params_file_is_kept(workspace: Path) -> None:
    compose_params(workspace)
    edit(workspace, "params.yaml", "n_estimators: 100", "n_estimators: 55")
    with pytest.raises(
        LockstepError, match=r"model\.n_estimators: 55 in params\.yaml, 100 in conf/"
    ):
        compose_params(workspace)
    with pytest.raises(LockstepError, match="lockstep compose --force"):
        pending_changes(workspace)
    assert params(workspace)["model"]["n_estimators"] == 55

    edit(workspace, FOREST, "n_estimators: 100", "n_estimators: 55")
    assert pending_changes(workspace) == []
    compose_params(workspace)
    assert params(workspace)["model"]["n_estimators"] == 55

    edit(workspace, FOREST, "n_estimators: 55", "n_estimators: 60")
    assert [item.key for item in pending_changes(workspace)] == ["model.n_estimators"]
    assert params(workspace)["model"]["n_estimators"] == 55
    compose_params(workspace)
    assert params(workspace)["model"]["n_estimators"] == 60


def test_an_applied_override_is_kept_until_it_would_be_lost(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compose_params(workspace)
    assert "composed from conf/" in capsys.readouterr().out
    start_experiment(workspace, monkeypatch, "model=knn", "split.seed=7")
    compose_params(workspace)
    assert "conf/ with model=knn split.seed=7" in capsys.readouterr().out
    assert read_yaml(workspace / "composed.yaml")["overrides"] == ["model=knn", "split.seed=7"]

    monkeypatch.delenv(EXPERIMENT)
    config = workspace / "conf/config.yaml"
    config.write_text(config.read_text() + "\n# a comment\n")
    compose_params(workspace)
    assert params(workspace)["model"]["_target_"] == "sklearn.neighbors.KNeighborsClassifier"

    edit(workspace, "conf/evaluate/default.yaml", "[accuracy,", "[recall_macro,")
    with pytest.raises(LockstepError, match=r"an experiment left model=knn split\.seed=7 in"):
        compose_params(workspace)
    assert params(workspace)["split"]["seed"] == 7

    start_experiment(workspace, monkeypatch, "model=knn")
    compose_params(workspace)
    assert params(workspace)["split"]["seed"] == 42

    monkeypatch.delenv(EXPERIMENT)
    compose_params(workspace, force=True)
    assert params(workspace)["model"]["_target_"] == "sklearn.ensemble.RandomForestClassifier"
    assert read_yaml(workspace / "composed.yaml")["overrides"] == []


def test_a_value_that_no_override_can_express_is_kept_too(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hydra's grammar has no way to write this key; an experiment can choose it by an option."""
    (workspace / "conf/experiment/other.yaml").write_text(
        "# @package _global_\ndata:\n  types:\n    größe: number\n"
    )
    compose_params(workspace)
    start_experiment(workspace, monkeypatch, "experiment=other")
    compose_params(workspace)
    monkeypatch.delenv(EXPERIMENT)
    compose_params(workspace)
    assert params(workspace)["data"]["types"] == {"größe": "number"}
    edit(workspace, SPLIT, "test_size: 0.2", "test_size: 0.3")
    with pytest.raises(LockstepError, match="an experiment left values in params"):
        compose_params(workspace)


def test_a_package_that_is_not_installed_is_reported(workspace: Path) -> None:
    edit(workspace, "conf/config.yaml", "scikit-learn]", "scikit-lern]")
    with pytest.raises(LockstepError, match="'scikit-lern' under environment, but it is not insta"):
        compose_params(workspace)


@pytest.mark.parametrize("verb", ["compose", "publish"])
def test_commands_outside_a_project_say_so(
    verb: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "collect_seldom", lambda: None)
    assert cli.main([verb]) == 2
    assert "run this in the project's root" in capsys.readouterr().err


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A small conf/: a group, and a seed that one of its options follows."""
    for file, text in {
        "config.yaml": "defaults: [_self_, {model: forest}, {data: default}, {extra: null}]\n"
        "seed: 1\nvalue: {columns: {}}\n",
        "model/forest.yaml": "_target_: Forest\ntrees: 10\nseed: ${seed}\n",
        "model/linear.yaml": "_target_: Linear\nc: 1.0\n",
        "model/trees/extra.yaml": "_target_: Extra\nsplits: 2\nleaves: 5\nbins: 9\n",
        "extra/some.yaml": "a: 1\nb: 2\nc: 3\n",
        "data/default.yaml": "target: y\ntypes: {}\n",
        "data/german.yaml": "target: y\ntypes: {größe: number}\n",
    }.items():
        path = tmp_path / "conf" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "conf"


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["seed=7"],
        ["model=linear"],
        ["model=linear", "model.c=0.5"],
        ["model=trees/extra"],
        ["model=trees/extra", "model.splits=3"],
        ["seed=3", "model.trees=5"],
        ["+model.depth=3"],
        ["~value"],
        ["data=german"],
        ["extra=some", "extra.b=3"],
    ],
)
def test_the_overrides_behind_params_are_found(overrides: list[str], conf: Path) -> None:
    with composer(conf.parent) as compose:
        assert overrides_between(compose, conf, compose(overrides)) == overrides


NASTY: list[Any] = [
    *["größe", "日本", "é", "two words", "", " ", "a\nb", "a\tb", "\x01", "\u2028"],
    *["\\", "a\\", "\\n", 'a"b', "a'b", 'a\\"b', "a,b", "[x]", "{a:b}", "a=b", "choice(a,b)"],
    *["true", "Null", "nan", "1e3", "0x1", "1_000", "12:30", "-", "~", "+x", "a-b", "#x", "?", "$"],
    *[None, True, False, 0, -1, 10**20, 0.5, 1e-07, 1e20, float("inf")],
    *[[], ["größe", ["a,b", 1]], {}, {"a": {"b c": "ü"}}, {"Length (mm)": "x", "a:b": [None]}],
]


def test_any_value_survives_as_an_override(conf: Path) -> None:
    with composer(conf.parent) as compose:
        base = compose([])
        named = {f"v{at}": value for at, value in enumerate(NASTY)}
        columns = {f"Length {at} (mm)": value for at, value in enumerate(NASTY)}
        params = {**base, "value": {**named, "columns": columns}}
        overrides = [str(item.override) for item in differences(base, params)]
        assert len(overrides) == 2 * len(NASTY)
        assert differences(compose(overrides), params) == [], overrides


def test_only_ascii_words_stay_without_quotes() -> None:
    assert hydra_value("size_2.x") == "size_2.x"
    assert hydra_value("größe") == '"größe"'
    assert parsed('a="größe"').value() == "größe"
    with pytest.raises(LockstepError, match="'a=größe' is not in Hydra's grammar: "):
        parsed("a=größe")


def test_differences_tell_missing_keys_and_types_apart() -> None:
    found = differences({"a": 1, "b": {"c": True}}, {"b": {"c": 1, "d": None}})
    assert [(item.key, item.left_text, item.right_text) for item in found] == [
        ("a", "1", "(unset)"),
        ("b.c", "true", "1"),
        ("b.d", "(unset)", "null"),
    ]


def test_queueing_names_the_override_that_dvc_drops(tiny_project: Tiny) -> None:
    """Even before the first commit: the queue then starts without composed.yaml."""
    tiny_project.edit(".dvc/config", "[core]", "[hydra]\n    enabled = true\n[core]")
    tiny_project.git("rm", "--quiet", "--cached", "composed.yaml", "params.yaml", "dvc.lock")
    tiny_project.git("commit", "--quiet", "--message", "no result is committed")
    tiny_project.edit("composed.yaml", "overrides: []", "overrides: [model=dummy, data.rows=4]")
    source = str(tiny.GLUE / "src")
    tiny_project.env["PYTHONPATH"] = os.pathsep.join([source, str(tiny_project.path / "src")])
    queue = (sys.executable, "-m", "dvc", "exp", "run", "--queue")
    output = tiny_project.run(*queue, "-S", "data.rows=3,5")
    assert output.count("the workspace holds model=dummy, which this experiment will not") == 1
    assert "to keep it, repeat it (-S model=dummy)" in output
    output = tiny_project.run(*queue, "-S", "data.rows=2", "--set-param=params.yaml:model=dummy")
    assert "Queued experiment" in output
    assert "note:" not in output


def test_an_experiment_and_its_override_live_on(published: Project) -> None:
    """What only DVC can show: which stages run, and that a mistake ends the experiment."""
    project = published
    output = project.run("dvc", "exp", "run", "-S", "model.n_estimators=-3", ok=False)
    assert "error: the config is not valid\n  -S model.n_estimators" in output
    assert "Traceback" not in output
    project.git("checkout", "--", ".")
    project.run("dvc", "checkout")

    project.experiment("-S", "model=knn", "-S", "split.seed=7")
    project.commit("knn")
    config, lock = project.path / "conf/config.yaml", project.path / "uv.lock"
    config.write_text(config.read_text() + "\n# a comment\n")
    lock.write_text(lock.read_text() + "\n# ruff was upgraded\n")
    assert project.repro() == ["compose"]
    assert params(project.path)["model"]["_target_"] == "sklearn.neighbors.KNeighborsClassifier"
    assert len(project.runs()) == 2
    project.edit("conf/evaluate/default.yaml", "[accuracy,", "[recall_macro,")
    output = project.run("dvc", "repro", ok=False)
    assert "an experiment left model=knn split.seed=7" in output
    output = project.experiment("-S", "model=knn")
    assert output.count("the workspace holds split.seed=7, which this experiment will not") == 1
    assert params(project.path)["split"]["seed"] == 42


def test_values_of_environment_variables_stay_out_of_files(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "hunter2hunter2")
    edit(workspace, SPLIT, "test_size: 0.2", "test_size: ${oc.env:SHOP_TOKEN,0.2}")
    edit(workspace, "conf/tracking/default.yaml", "uri: null", 'uri: "x${ oc.env:SHOP_TOKEN }"')
    with pytest.raises(LockstepError) as caught:
        compose_params(workspace)
    message = str(caught.value)
    assert f"  {SPLIT}: split.test_size\n" in message
    assert "  conf/tracking/default.yaml: tracking.uri\n" in message
    assert "for tracking.uri, the variable that conf/tracking/default.yaml names" in message
    assert "hunter2" not in message
    assert not (workspace / "params.yaml").exists()
    with pytest.raises(LockstepError, match="it is committed"):
        pending_changes(workspace)


def test_an_experiment_that_was_given_a_secret_is_refused(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC resolves `-S 'x=${oc.env:X}'` and a shell `-S x=$X` before any stage runs."""
    monkeypatch.setenv("SHOP_TOKEN", "hunter2hunter2")
    compose_params(workspace)
    start_experiment(workspace, monkeypatch, "tracking.experiment=${oc.env:SHOP_TOKEN}")
    with pytest.raises(LockstepError) as caught:
        compose_params(workspace)
    message = str(caught.value)
    assert "tracking.experiment in params.yaml is the value of the environment variable" in message
    assert "SHOP_TOKEN" in message
    assert "hunter2" not in message
    assert "hunter2" not in (workspace / "composed.yaml").read_text()
    monkeypatch.delenv(EXPERIMENT)
    compose_params(workspace, force=True)
    assert "hunter2" not in (workspace / "params.yaml").read_text()


def test_a_wrong_value_in_an_option_in_a_subfolder_is_found(workspace: Path) -> None:
    (workspace / "conf/model/trees").mkdir()
    shutil.copy(workspace / FOREST, workspace / "conf/model/trees/few.yaml")
    edit(workspace, "conf/model/trees/few.yaml", "n_estimators: 100", "n_estimators: -3")
    edit(workspace, "conf/config.yaml", "model: random_forest", "model: trees/few")
    compose_params(workspace)
    with pytest.raises(LockstepError, match=r"\n  conf/model/trees/few\.yaml: model\.n_estimators"):
        run_stage("penguins.train", [])


def test_an_option_that_git_does_not_track_is_named_before_anything_is_queued(
    tiny_project: Tiny,
) -> None:
    """`dvc exp run --temp` and `--queue` copy what git tracks; DVC composes before that."""
    tiny_project.edit(".dvc/config", "[core]", "[hydra]\n    enabled = true\n[core]")
    tiny_project.commit()
    tiny_project.write("conf/model/mine.yaml", "_target_: sklearn.dummy.DummyRegressor\n")
    command = (sys.executable, "-m", "dvc", "exp", "run", "--queue", "-S", "model=mine")
    done = subprocess.run(
        command, cwd=tiny_project.path, capture_output=True, text=True,
        env={**tiny_project.env, "PYTHONPATH": str(GLUE / "src")},
    )  # fmt: skip
    assert done.returncode == 1
    assert "`git add conf/model/mine.yaml`, then run the experiment again" in done.stderr
    assert "Traceback" not in done.stderr
    assert not tiny_project.git("for-each-ref", "refs/exps")
    assert tiny_project.git("status", "--porcelain") == "?? conf/model/mine.yaml"


def test_an_option_that_git_does_not_track_is_named_in_an_experiment_s_copy(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dvc exp run --temp` and `--queue` copy what git tracks; DVC composes before that."""
    subprocess.run(["git", "init", "--quiet"], check=True)
    subprocess.run(["git", "add", "--all"], check=True)
    (workspace / "conf/model/mine.yaml").write_text("_target_: sklearn.dummy.DummyClassifier\n")
    edit(workspace, "conf/config.yaml", "model: random_forest", "model: mine")
    start_experiment(workspace, monkeypatch)
    copy = tmp_path / "copy"
    shutil.copytree(workspace, copy)
    (copy / "conf/model/mine.yaml").unlink()
    monkeypatch.setenv("DVC_ROOT", str(workspace))
    with pytest.raises(LockstepError, match=r"`git add conf/model/mine\.yaml`, then run the exp"):
        compose_params(copy)


PRINTABLE = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=6)
KEYS = PRINTABLE | st.integers() | st.sampled_from(["1", "true", "null", "1.5", "größe", "a (mm)"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(value=VALUES, key=KEYS)
@example(value="größe", key="größe")
@example(value={"1": 1, "b": [None, {"c": "ü"}]}, key="1")
@example(value=[["a,b", 1.5]], key=0)
def test_any_value_survives_in_every_position(value: Any, key: Any) -> None:
    """As a scalar, in a list, as a key, nested: an override says exactly this, or there is none."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "conf").mkdir()
        (Path(folder) / "conf/config.yaml").write_text("value: {columns: {}}\nlist: []\n")
        with composer(Path(folder)) as compose:
            base = compose([])
            params = {**base, "value": {"columns": {key: value}, "v": value}, "list": [value]}
            text = OmegaConf.to_yaml(OmegaConf.create(params))
            assert yaml.safe_load(text) == params
            found = differences(base, params)
            overrides = [item.override for item in found if item.override]
            left = {item.key for item in differences(compose(overrides), params)}
            assert left <= {item.key for item in found if not item.override}
