"""Pipelines of every shape that DVC takes: what the glue reads of them is what DVC reads."""

import json
import os
import sys
import textwrap
from pathlib import Path

import pytest
from tiny import DVC_INSIDE, Tiny

from lockstep import LockstepError
from lockstep.dvc.pipeline import Pipeline
from lockstep.dvc.resolver import NOTE
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


# One model per region by a matrix; a sub-pipeline that makes one model of them; a stage of the
# shell in a folder of its own; raw data within a folder that `dvc add` tracks; a path that conf/
# sets; metrics in a folder, which the top of dvc.yaml names.
REGIONS = {
    "dvc.yaml": """
        vars:
          - regions: [north, south]
        stages:
          compose:
            cmd: lockstep compose
            deps: [conf]
            outs:
              - params.yaml: {cache: false, persist: true}
              - composed.yaml: {cache: false, persist: true}
          split:
            cmd: lockstep run toy.split data/in/rows/raw.csv data/train.csv data/test.csv
            deps: [src/toy/split.py, data/in/rows]
            params: [data.rows]
            outs: [data/train.csv, data/test.csv]
          note:
            wdir: notes
            cmd: echo made of ../data/train.csv > note.txt
            deps: [../data/train.csv]
            outs: [note.txt]
          train:
            matrix: {region: "${regions}"}
            cmd: lockstep run toy.regional data/train.csv models/${item.region}.joblib
            deps: [src/toy/regional.py, data/train.csv, notes/note.txt]
            params: [data.target, model, {composed.yaml: [packages]}]
            outs: ["models/${item.region}.joblib"]
          evaluate:
            cmd: >-
              lockstep run toy.evaluate models/all/model.joblib data/test.csv
              ${results}/metrics.json ${results}/predictions.parquet ${results}/evaluation.json
            deps: [src/toy/evaluate.py, src/toy/scoring.py, models/all/model.joblib, data/test.csv]
            params: [data.target]
            outs: ["${results}"]
          publish:
            cmd: lockstep publish
            deps: [models/all, "${results}"]
            params: [data, model, tracking, registry, {composed.yaml: [packages]}]
        metrics: ["${results}/metrics.json"]
        artifacts:
          every: &model
            path: models/all/model.joblib
            type: model
            meta:
              example: models/all/example.parquet
              test: data/test.csv
              predictions: ${results}/predictions.parquet
              evaluation: ${results}/evaluation.json
          north: {path: models/north.joblib, type: model}
        """,
    "models/all/dvc.yaml": """
        stages:
          join:
            cmd: >-
              lockstep run toy.join ../north.joblib ../south.joblib ../../data/train.csv
              model.joblib example.parquet
            deps: [../../src/toy/join.py, ../north.joblib, ../south.joblib, ../../data/train.csv]
            params: [../../params.yaml: [data.target]]
            outs: [model.joblib, example.parquet]
        """,
    "src/toy/regional.py": '''
        """Fit the model of one region."""

        import joblib
        import pandas as pd
        from hydra.utils import instantiate


        def main(cfg, train, model):
            """Run the stage."""
            table = pd.read_csv(train).query("region == @model.stem")
            features = table[["x"]]
            joblib.dump(instantiate(cfg.model).fit(features, table[cfg.data.target]), model)
        ''',
    "src/toy/join.py": '''
        """Make one model of those of the regions."""

        import joblib
        import pandas as pd
        from sklearn.base import BaseEstimator, RegressorMixin


        class ByRegion(RegressorMixin, BaseEstimator):
            """Asks the model of a row's region."""

            def __init__(self, models=None):
                self.models = models

            def predict(self, rows):
                """One number for each row."""
                return [
                    float(self.models[region].predict(pd.DataFrame({"x": [x]}))[0])
                    for region, x in zip(rows["region"], rows["x"], strict=True)
                ]


        def main(cfg, north, south, train, model, example):
            """Run the stage."""
            models = {path.stem: joblib.load(path) for path in (north, south)}
            joblib.dump(ByRegion(models), model)
            rows = pd.read_csv(train).drop(columns=cfg.data.target)
            rows.astype({"x": float}).to_parquet(example)
        ''',
    "data/in/rows/raw.csv": (
        "region,x,y\nnorth,1,2\nsouth,1,1\nnorth,2,4\nsouth,2,2\nnorth,3,6.5\nsouth,3,3\n"
        "north,4,8\nsouth,4,4.5\nnorth,5,9\nsouth,5,5\n"
    ),
    "notes/.keep": "",
}


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
    monkeypatch.setattr(
        "lockstep.dvc.command._command",
        lambda words, python=None: [sys.executable, str(DVC_INSIDE), *words],
    )
    assert second["metrics"]["mean_absolute_error"] > 0
    again = project.lockstep("reproduce", second["id"], "--current-environment")
    assert again.endswith(": identical\n"), again
    assert "models/all/dvc.yaml:join" in again
    traced = project.lockstep("trace", second["id"], "--json")
    came_from = json.loads(traced)["came_from"]
    assert came_from["code"]["changed"] == []
    assert {*came_from["data"]} == {"data/in/rows"}
    assert {"note", "train@north", "train@south"} < {*came_from["stages"]}
    for word in ("data/in", "data/in/rows/raw.csv"):
        found = json.loads(project.lockstep("trace", word, "--json"))["came_of_it"]
        assert found["read_by"] == ["split"]
        assert {run["id"] for run in found["runs"]} == {first["id"], second["id"]}
    joined = json.loads(project.lockstep("trace", "models/all/model.joblib", "--json"))
    assert joined["came_from"]["stage"] == "models/all/dvc.yaml:join"
    assert "git add composed.yaml dvc.lock models/all/dvc.lock params.yaml" in project.lockstep(
        "doctor", "--only", "dvc.lock", ok=None
    )
    assert "champion is version 2" in project.lockstep("promote")
    with project.entered():
        monkeypatch.chdir(project.path / "notes")
        with pytest.raises(LockstepError, match=r"is in the project .*: run this there"):
            _ = Project(Path.cwd()).pipeline
