"""dvc.yaml: each stage lists the code and the params that it uses."""

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import CONF, ROOT, compose_conf
from omegaconf import OmegaConf

from lockstep.dvc.pipeline import Pipeline
from lockstep.partitions.mapping import Options, map_partitions
from lockstep.stage import run_stage

PACKAGE = "{{ cookiecutter.package_name }}"
SOURCE = ROOT / "src" / PACKAGE
PIPELINE = Pipeline(ROOT)
STAGES = {
    name: stage
    for name, stage in PIPELINE.stages.items()
    if stage.cmd.startswith((f"lockstep run {PACKAGE}.", f"lockstep map {PACKAGE}."))
}
MODELS = {model["path"] for model in PIPELINE.models()}


def module_of(stage: str) -> str:
    """The module of a stage."""
    return STAGES[stage].cmd.split()[2].removeprefix(f"{PACKAGE}.")


def imported(module: str, seen: set[str]) -> set[str]:
    """The modules of the package that a module imports, directly or indirectly, and itself."""
    if module in seen or not (SOURCE / f"{module}.py").exists():
        return seen
    seen.add(module)
    for node in ast.walk(ast.parse((SOURCE / f"{module}.py").read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            names = [node.module] if node.module else names
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == PACKAGE:
            names = [*names, *str(node.module).split(".")[1:]]
        elif isinstance(node, ast.Import):
            names = [part for alias in node.names for part in alias.name.split(".")]
        else:
            names = []
        for name in names:
            imported(name, seen)
    return seen


def deps_of(stage: str) -> set[str]:
    """The modules of the package that dvc.yaml lists for a stage."""
    prefix = f"src/{PACKAGE}/"
    deps = STAGES[stage].deps
    if f"src/{PACKAGE}" in deps:
        return {path.stem for path in SOURCE.glob("*.py")}
    return {dep.removeprefix(prefix).removesuffix(".py") for dep in deps if dep.startswith(prefix)}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_code_that_it_imports(stage: str) -> None:
    missing = imported(module_of(stage), set()) - deps_of(stage)
    files = ", ".join(f"src/{PACKAGE}/{name}.py" for name in sorted(missing))
    assert not missing, f"add to stages.{stage}.deps in dvc.yaml: {files}"


@pytest.mark.parametrize("stage", [n for n, s in STAGES.items() if MODELS & {*s.deps, *s.outs}])
def test_a_stage_with_the_model_depends_on_the_code_that_the_config_names(stage: str) -> None:
    # conf/sweep is for trials; no stage uses it.
    files = set(CONF.rglob("*.yaml")) - set(CONF.glob("sweep/**/*.yaml"))
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    named = set(re.findall(rf"_target_: {PACKAGE}\.(\w+)\.", text))
    missing = {module for name in named for module in imported(name, set())} - deps_of(stage)
    assert not missing, f"add to stages.{stage}.deps in dvc.yaml: {sorted(missing)}"


def test_the_stages_run_with_the_params_that_they_list(
    table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg: Any = compose_conf(
        *("data.target=outcome", "model.n_estimators=20"),
        *("evaluate.importance.repeats=1", "evaluate.intervals.resamples=50"),
    )
    cfg.data.update({"drop": [], "time": None, "group": None, "types": {}})
    (tmp_path / "params.yaml").write_text(OmegaConf.to_yaml(cfg))
    (tmp_path / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    made = {path for stage in STAGES.values() for path in stage.outs}
    read = {path for stage in STAGES.values() for path in stage.deps if path[:4] != "src/"}
    for raw in map(Path, read - made):
        raw.parent.mkdir(parents=True, exist_ok=True)
        if raw.suffix == ".parquet":
            table.to_parquet(raw)
        elif raw.suffix:
            table.to_csv(raw, index=False)
        else:  # a folder: each file in it is a partition
            raw.mkdir()
            for number, rows in enumerate(np.array_split(np.arange(len(table)), 3)):
                table.iloc[rows].to_csv(raw / f"{number}.csv", index=False)
    for name in sorted(STAGES, key=lambda name: len(PIPELINE.ancestors(name))):
        monkeypatch.setenv("DVC_STAGE", name)
        paths = [Path(word) for word in STAGES[name].cmd.split()[3:] if word[:2] != "--"]
        module = f"{PACKAGE}.{module_of(name)}"
        if STAGES[name].cmd.startswith("lockstep map"):
            map_partitions(module, paths[0], paths[1], paths[2:3], Options(".parquet"))
        else:
            run_stage(module, paths)
    missing = [path for path in made if not Path(path).exists()]
    assert not missing, f"no stage wrote {missing}"
