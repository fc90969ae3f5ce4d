"""The bundled tables, as a new project reads and splits them."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf
from scaffold import render

from lockstep_template import folders, samples


@pytest.mark.parametrize("sample", samples.SAMPLES, ids=lambda sample: sample.name)
def test_a_sample_warns_only_if_its_leaks_or_a_random_split_are_asked_for(
    sample: samples.Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = {"bikes": "regression", "flights": "classification"}[sample.name]
    package = f"sampled_{sample.name}"
    project = render(tmp_path, data_source="", task=task, package_name=package)
    monkeypatch.syspath_prepend(project / "src")
    monkeypatch.chdir(tmp_path)

    raw = tmp_path / "raw.csv"
    folders.join(folders.files_of(str(sample.path)).values(), raw)

    def section(path: str) -> Any:
        return yaml.safe_load((project / "conf" / path).read_text(encoding="utf-8"))

    def warnings(strategy: str, drop: list[str]) -> str:
        data = {**section("data/default.yaml"), "drop": drop}
        cfg = OmegaConf.create({"data": data, "split": section(f"split/{strategy}.yaml")})
        table, schema = Path("table.parquet"), Path("schema.yaml")
        schema.unlink(missing_ok=True)
        ingest, split = (
            importlib.import_module(f"{package}.{name}") for name in ("ingest", "split")
        )
        ingest.main(cfg, raw, table, Path("columns.csv"), schema)
        split.main(cfg, table, Path("train.parquet"), Path("test.parquet"), Path("split.json"))
        return "\n".join(json.loads(Path("split.json").read_text(encoding="utf-8"))["warnings"])

    leaks = list(sample.leaks)
    assert section("data/default.yaml")["drop"] == leaks
    defaults = {next(iter(entry)): entry for entry in section("config.yaml")["defaults"][1:]}
    assert defaults["split"] == {"split": "time"}
    assert warnings("time", leaks) == ""
    assert all(name in warnings("time", []) for name in leaks)
    assert "time" in warnings("random", leaks)
