"""Pipelines of every shape that DVC takes: what the glue reads of them is what DVC reads."""

import json
import os
import shutil
import sys
import textwrap
from pathlib import Path

import pandas as pd
import pytest
from examples import REGIONS, SWEEP, TEXT
from scaffold import render
from tiny import DVC_INSIDE, Tiny

from lockstep import LockstepError
from lockstep.dvc.pipeline import Pipeline
from lockstep.dvc.resolver import NOTE
from lockstep.dvc.values import load
from lockstep.project import Project
from lockstep.workspace import TEMPORARY

HYDRA = "[hydra]\n    enabled = true\n    config_dir = conf\n"
PIPELINE = """
vars:
  - names.yaml
  - sizes: {small: 1, large: 2}
stages:
  plain:
    cmd: cp ${source} ${folder}/plain.csv
    deps: ["${source}"]
    params: [rate, {names.yaml: [folder], whole.toml: }]
    outs: ["${folder}/plain.csv", {kept.txt: {persist: true, cache: false}}]
  within:
    wdir: inner
    vars: [{place: here}]
    cmd: make ${place}
    deps: [../out/plain.csv, ./code.py]
    params: [depth, {../params.yaml: [rate]}]
    outs: ["${place}/"]
    metrics: [{m.json: {cache: false}}]
  each:
    foreach: ${sizes}
    do:
      cmd: train --size ${item} ${key}
      deps: [inner/here]
      outs: ["models/${key}.pkl"]
      plots: [{"curves/${key}.csv": {x: step}}]
  grid:
    matrix:
      region: [north, south]
      kind: [[1, 2], {depth: 3}]
    cmd: fit ${item.region} ${key}
    deps: [inner/here/one.csv]
    outs: ["models/${item.region}-${key}.pkl"]
artifacts:
  best: {path: models/small.pkl, type: model, meta: {example: "${folder}/example.csv"}}
metrics: ["${folder}/all.json"]
plots: [{curves: {}}]
"""
FILES = {
    "dvc.yaml": PIPELINE,
    "names.yaml": "folder: out\n",
    "params.yaml": "source: raw.csv\nrate: 1e-3\n",
    "whole.toml": "a = 1\n",
    "inner/params.yaml": "depth: 2\n",
    "sub/dvc.yaml": (
        "stages:\n  plain: {cmd: x, deps: [../models/small.pkl], outs: [eval], metrics: [n.json]}\n"
        "metrics: [eval/n.json]\n"
        "artifacts: {sub: {path: eval/model, type: model, meta: {test: rows.csv}}}\n"
    ),
    "other/.dvc/config": "",
    "other/dvc.yaml": "stages: {not: {cmd: ours}}\n",
    ".dvc/config": "[core]\nanalytics = false\nno_scm = true\n",
    ".dvc/tmp/keep": "",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_stages_are_those_of_dvc_itself(folder: Path) -> None:
    """The one place that uses DVC's resolver, against DVC's own index of the project."""
    from dvc.dependency import ParamsDependency
    from dvc.repo import Repo

    index = Repo(str(folder)).index
    expected = {}
    for stage in index.stages:
        params = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
        expected[stage.addressing] = {
            "cmd": stage.cmd,
            "folder": _relative(stage.wdir, folder),
            "deps": {_relative(dep.fs_path, folder) for dep in stage.deps if dep not in params},
            "outs": {_relative(out.fs_path, folder) for out in stage.outs},
            "metrics": {_relative(o.fs_path, folder) for o in stage.outs if o.is_metric},
            "persistent": {_relative(o.fs_path, folder) for o in stage.outs if o.persist},
            "params": {_relative(dep.fs_path, folder): dep.params for dep in params},
        }
    pipeline = Pipeline(folder)
    found = {
        stage.name: {
            "cmd": stage.cmd,
            "folder": stage.folder,
            "deps": {*stage.deps},
            "outs": {*stage.outs},
            "metrics": {*stage.metrics},
            "persistent": {*stage.persistent},
            "params": stage.params,
        }
        for stage in pipeline.stages.values()
    }
    assert found == expected
    assert len(found) == 9
    top = [f"{_relative(file, folder).removesuffix('dvc.yaml')}{path}"
           for file, paths in index._metrics.items() for path in paths]  # fmt: skip
    assert {*pipeline.metrics} == {*top, "inner/m.json", "sub/n.json"}


def _relative(path: str, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix().removeprefix(".").lstrip("/")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "train: {sizes: [1, {deep: 1e-3}]}"),
        ("a.json", '{"train": {"sizes": [1, {"deep": 1e-3}]}}'),
        ("a.toml", "[train]\nsizes = [1, {deep = 1e-3}]"),
        ("a.py", "class train:\n    sizes = [1, {'deep': 1e-3}]"),
    ],
)
def test_params_and_metrics_are_read_in_each_form_that_dvc_takes(
    name: str, text: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    assert load(tmp_path / name) == {"train": {"sizes": [1, {"deep": 0.001}]}}


def test_what_is_known_of_an_unchanged_pipeline_is_not_asked_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Pipeline(folder).stages
    assert (folder / TEMPORARY / NOTE).exists()
    with monkeypatch.context() as patch:
        patch.setattr("dvc.parsing.DataResolver", None)
        assert Pipeline(folder).stages == first
    for file, old, new in [
        ("names.yaml", "out", "made"),
        ("params.yaml", "raw.csv", "rows.csv"),
        ("dvc.yaml", "small: 1", "small: 3"),
    ]:
        before = Pipeline(folder).stages
        text = (folder / file).read_text()
        (folder / file).write_text(text.replace(old, new, 1))
        assert Pipeline(folder).stages != before, file
    (folder / "sub/dvc.yaml").unlink()
    assert "sub/dvc.yaml:plain" not in Pipeline(folder).stages
    (folder / TEMPORARY / NOTE).write_text("{")
    assert "plain" in Pipeline(folder).stages


def test_a_dvc_yaml_that_dvc_cannot_read_is_said_as_it_is(folder: Path) -> None:
    (folder / "params.yaml").unlink()
    with pytest.raises(LockstepError, match="Could not find 'source'") as error:
        Pipeline(folder)
    assert str(error.value).endswith("`uv run lockstep compose` writes it")
    (folder / "dvc.yaml").write_text("stages: {train: }\n")
    with pytest.raises(
        LockstepError, match=r"dvc\.yaml is not valid; `uv run dvc status` says why"
    ):
        Pipeline(folder)
    (folder / "dvc.yaml").write_text("artifacts: {}\n")
    with pytest.raises(LockstepError, match=r"no dvc\.yaml with stages"):
        Pipeline(folder)


def inside(words: tuple[str, ...], python: Path | None = None) -> list[str]:
    """A DVC command in place of that of `reproduce`, with the stages in its process."""
    return [sys.executable, str(DVC_INSIDE), *words]


def regions(project: Tiny) -> Tiny:
    """Turn the tiny project into that of the regions."""
    for name, text in REGIONS.items():
        project.write(name, textwrap.dedent(text).lstrip("\n"))
    for name in ("raw.csv.dvc", "raw.csv"):
        (project.path / "data" / name).unlink()
    project.edit(".gitignore", "/models/\n", "/models/*.joblib\n/notes/*.txt\n")
    project.edit("conf/config.yaml", "environment:", "results: eval\nenvironment:")
    project.edit("conf/data/default.yaml", "rows: 3", "rows: 6")
    project.write(".dvc/config", (project.path / ".dvc/config").read_text() + HYDRA)
    project.lockstep("compose")  # until then, DVC cannot read dvc.yaml
    project.dvc("add", "--quiet", "data/in")
    return project


def test_a_pipeline_of_every_shape_has_a_whole_life(
    tiny_project: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = regions(tiny_project)
    output = project.dvc("repro")
    assert "note: the model is every, the first in dvc.yaml; of north" in output
    assert "toy version 1" in output
    assert "gate: passed" in output
    project.commit("regions")
    assert "are up to date" in project.dvc("repro")
    assert "already published" in project.lockstep("publish")
    tried = project.dvc("exp", "run", "-S", "model.positive=true")
    assert "toy version 2" in tried
    second, first = json.loads(project.lockstep("runs", "--json"))
    monkeypatch.setattr("lockstep.dvc.command._command", inside)
    assert second["metrics"]["mean_absolute_error"] > 0
    again = project.lockstep("reproduce", second["id"], "--current-environment")
    assert again.endswith(": identical\n"), again
    assert "models/all/dvc.yaml:join" in again
    traced = project.lockstep("trace", second["id"], "--json")
    came_from = json.loads(traced)["came_from"]
    assert came_from["code"]["changed"] == []
    assert {*came_from["data"]} == {"data/in/images", "data/in/labels.csv"}
    assert came_from["params"]["more.toml:fit.seed"] == "7"
    assert {"note", "train@north", "train@south"} < {*came_from["stages"]}
    for word in ("data/in", "data/in/images/north/1.pgm"):
        found = json.loads(project.lockstep("trace", word, "--json"))["used_in"]
        assert found["read_by"] == ["measure"]
        assert {run["id"] for run in found["runs"]} == {first["id"], second["id"]}
    joined = json.loads(project.lockstep("trace", "models/all/model.joblib", "--json"))
    assert joined["came_from"]["stage"] == "models/all/dvc.yaml:join"
    assert "git add composed.yaml dvc.lock models/all/dvc.lock params.yaml" in project.lockstep(
        "doctor", "--only", "dvc.lock", ok=None
    )
    assert "champion is version 2" in project.lockstep("promote")
    trials = ("sweep.stage=train@north", "model.positive=true,false")
    assert "best: trial " in project.lockstep("sweep", *trials)
    project.lockstep("predict", "models/all/example.parquet", "out.parquet")
    predicted = pd.read_parquet(project.path / "out.parquet")
    assert predicted["prediction"][:2].tolist() == pytest.approx([2.0, 1.0], rel=0.2)
    with project.entered():
        monkeypatch.chdir(project.path / "notes")
        with pytest.raises(LockstepError, match=r"is in the project .*: run this there"):
            _ = Project(Path.cwd()).pipeline


def test_a_model_that_differs_at_each_fit_is_explained(
    tiny_project: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tiny_project
    fit = "instantiate(cfg.model).fit(features, table[cfg.data.target])"
    project.edit(
        "src/toy/train.py",
        f"joblib.dump({fit}, model)",
        f"""fitted = {fit}
    fitted.steps_ = [{{"seconds": time.perf_counter()}}]
    joblib.dump(fitted, model)""",
    )
    project.edit("src/toy/train.py", "import joblib", "import time\n\nimport joblib")
    project.repro("train", "evaluate")
    project.commit("a clock")
    monkeypatch.setattr("lockstep.dvc.command._command", inside)
    output = project.lockstep("reproduce", "HEAD", "--current-environment")
    assert "models/model.joblib differs in steps_[0]['seconds'] (" in output
    assert "the stage train made a different models/model.joblib; it read the same" in output
    assert output.endswith(": same metrics\n"), output


def test_what_dvc_keeps_stays_out_of_git_after_a_stage_failed(tiny_project: Tiny) -> None:
    project = tiny_project
    project.edit(
        "dvc.yaml",
        "  publish:\n    cmd: lockstep publish\n    deps:\n",
        "  clean:\n    cmd: echo 1 > work/clean.csv\n    outs: [work/clean.csv]\n"
        "  publish:\n    cmd: lockstep publish\n    deps:\n      - work/clean.csv\n",
    )
    project.write("work/.keep", "")
    server = "uri: http://127.0.0.1:1"
    project.edit("conf/tracking/default.yaml", "uri: null", server)
    assert "cannot be reached" in project.dvc("repro", ok=False)
    assert "?? work/clean.csv" in project.git("status", "--porcelain", "-uall"), "DVC took it back"
    project.edit("conf/tracking/default.yaml", server, "uri: null")
    project.lockstep("compose")
    advice = project.lockstep("doctor", "--only", "dvc.lock", ok=None)
    assert "git does not ignore work/clean.csv, which DVC keeps" in advice
    assert "git add" not in advice
    assert "$ uv run lockstep publish" in advice
    output = project.lockstep("publish")
    assert "note: git ignores work/clean.csv again" in output
    assert "to keep it: git add" in output
    assert "work/clean.csv" not in output.partition("to keep it")[2]
    assert "work/clean.csv" not in project.git("status", "--porcelain", "-uall")
    assert project.git("check-ignore", "work/clean.csv")


def test_messages_lead_on(tiny_project: Tiny) -> None:
    project = tiny_project
    project.edit("conf/registry/default.yaml", "alias: challenger", "alias: null")
    project.lockstep("compose")
    assert "so name the version\n" in project.lockstep("promote", ok=False)
    project.edit("conf/registry/default.yaml", "name: toy", "name: null")
    project.lockstep("compose")
    for verb in ("models", "promote"):
        assert "no model is registered: `name` is not set" in project.lockstep(verb, ok=False)
    text = (project.path / "dvc.yaml").read_text()
    project.write("dvc.yaml", text.partition("artifacts:")[0])
    for verb in ("models", "promote"):
        assert "dvc.yaml has no artifact of the type `model`" in project.lockstep(verb, ok=False)
    project.edit("conf/config.yaml", "  - sweep: null\n", "")
    shutil.rmtree(project.path / "conf/sweep")
    for more in ([], ["+sweep=default"]):
        lacking = project.lockstep("sweep", "model.positive=true,false", *more, ok=False)
        assert "a sweep needs the folder conf/sweep/ and the line `- sweep: null`" in lacking


def test_a_text_pipeline_of_dvc_alone_is_brought_over_and_recomputes_nothing(
    clean_env: dict[str, str],
    empty_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = Tiny(tmp_path / "stackoverflow", clean_env)
    for name, text in TEXT.items():
        project.write(name, textwrap.dedent(text).lstrip("\n"))
    project.git("init", "--quiet")
    project.dvc("add", "--quiet", "data/data.xml")
    project.dvc("repro")
    project.commit("DVC alone")
    before = (project.path / "dvc.yaml").read_text()
    output = project.lockstep("adopt")
    assert "no other stage runs again" in output
    assert (project.path / "conf/prepare/default.yaml").read_text() == (
        "# All params.\n\n# How much is kept for testing.\nsplit: 0.25\nseed: 20170428\n"
    )
    assert "n_est: 5 # trees\n" in (project.path / "conf/train/default.yaml").read_text()
    assert all(line in (project.path / "dvc.yaml").read_text() for line in before.splitlines())
    shutil.copy(empty_store, project.path)
    output = project.dvc("repro")
    for stage in ("prepare", "featurize", "train", "evaluate"):
        assert f"Stage '{stage}' didn't change, skipping" in output
    assert "stackoverflow version 1" in output
    project.commit("Lockstep")
    for name, text in SWEEP.items():
        project.write(name, textwrap.dedent(text).lstrip("\n"))
    with (project.path / "src/evaluate.py").open("a") as script:
        script.write("import pandas as pd\nrows = pd.DataFrame(features[:2]).add_prefix('word')\n")
        script.write("rows.to_parquet('eval/example.parquet')\n")
    project.edit(
        "dvc.yaml", "type: model\n", "type: model\n    meta: {example: eval/example.parquet}\n"
    )
    project.dvc("exp", "run", "-S", "train.n_est=1")
    second, first = json.loads(project.lockstep("runs", "--json"))
    assert (second["options"], first["options"]) == ({"train.n_est": "1"}, {"train.n_est": "5"})
    assert first["metrics"] == {"acc.test": 1.0}
    monkeypatch.setattr("lockstep.dvc.command._command", inside)
    again = project.lockstep("reproduce", first["id"], "--current-environment")
    assert again.endswith(": identical\n"), again
    assert "champion is version 2" in project.lockstep("promote")
    assert "best: trial " in project.lockstep("sweep", "+sweep.n_trials=2")
    project.lockstep("predict", "eval/example.parquet", "out.parquet")
    assert pd.read_parquet(project.path / "out.parquet")["prediction"].dtype == bool


def test_a_stage_can_be_renamed_removed_and_added_in_dvc_yaml_alone(tmp_path: Path) -> None:
    path = render(tmp_path)
    project = Tiny(path, {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, "src"])})
    project.edit("dvc.yaml", "  train: # pre", "  fit: # pre")
    text = (path / "dvc.yaml").read_text()
    validate = text[text.index("  validate: ") : text.index("  split: ")]
    features = """\
  features:
    cmd: lockstep run penguins.doubled ${paths.table} data/doubled.parquet
    deps: [src/penguins/doubled.py, "${paths.table}"]
    outs: [data/doubled.parquet]

"""
    project.edit("dvc.yaml", validate, features)
    project.edit("dvc.yaml", "      - ${paths.validation}\n", "")
    project.edit("dvc.yaml", "penguins.split ${paths.table}", "penguins.split data/doubled.parquet")
    project.edit(
        "dvc.yaml",
        "tables.py\n      - ${paths.table}\n    params: [data.group",
        "tables.py\n      - data/doubled.parquet\n    params: [data.group",
    )
    project.write(
        "src/penguins/doubled.py",
        '''"""Each row twice."""\n\nimport pandas as pd\n\n\ndef main(cfg, table, doubled):
    """Run the stage."""
    rows = pd.read_parquet(table)
    pd.concat([rows, rows], ignore_index=True).to_parquet(doubled)\n''',
    )
    output = project.run(sys.executable, "-m", "pytest", "-q", "tests/test_pipeline.py")
    assert "[fit]" not in output
    assert "passed" in output
