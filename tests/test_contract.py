"""docs/contract.md, executed: what it says that the glue reads is what the glue reads."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

from tiny import FILES, Tiny

from lockstep.dvc.dvcfile import ROLES
from lockstep.gate.rules import Rules

TEMPLATE = Path(__file__).parent.parent
PROJECT = TEMPLATE / "{{cookiecutter.project_slug}}"
GLUE = PROJECT / "packages/lockstep/src/lockstep"
PAGE = (TEMPLATE / "docs" / "contract.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^```\w+ (\S+)\n(.*?)^```", PAGE, re.M | re.S))


def section(title: str) -> str:
    """The text below a heading."""
    found: str = PAGE.split(f"\n## {title}\n")[1].partition("\n## ")[0]
    return found


def keys_of(row: str) -> set[str]:
    """The keys in the row of a config group."""
    (line,) = (line for line in section("conf/").splitlines() if line.startswith(f"| `{row}`"))
    return {key for key in re.findall(r"`(\w+)`", line.split("|")[2]) if key != row}


def test_it_names_all_that_is_read() -> None:
    roles = re.findall(r"`artifacts\.\*\.meta\.(\w+)`", section("dvc.yaml"))
    files = [path.read_text(encoding="utf-8") for path in GLUE.rglob("*.py")]
    code = "".join(text for text in files if " = pipeline.about_model()" in text)
    asked = re.findall(r"""\babout\.get\("(\w+)"\)""", code)
    assert {*ROLES} < {*roles}
    assert {"example", "evaluation"} < {*asked} <= {*roles}
    groups = {path.name for path in (PROJECT / "conf").iterdir() if path.is_dir()}
    own = {"data", "split", "preprocess", "model", "evaluate", "experiment"}  # the template's
    rows = {*re.findall(r"^\| `(\w+)`", section("conf/"), re.M)}
    assert rows == groups - own | {"environment"}
    rules = {field.name for field in dataclasses.fields(Rules)}
    assert keys_of("registry") == {"name", "alias", "policy"} | rules
    for group in ("registry", "tracking", "sweep"):
        text = (PROJECT / "conf" / group / "default.yaml").read_text(encoding="utf-8")
        given = {*re.findall(r"^(\w+):", text, re.M)} - {"defaults"}
        assert keys_of(group) == given | ({"engine"} if group == "sweep" else set()), group
    settings = {*re.findall(r"^\| `(\w+)`", section("[tool.lockstep] in pyproject.toml"), re.M)}
    readme = (PROJECT / "packages/lockstep/README.md").read_text(encoding="utf-8")
    block = readme.partition("[tool.lockstep]\n")[2].partition("```")[0]
    assert settings == {*re.findall(r"^(\w+) =", block, re.M)}


def test_the_interfaces_are_those_of_the_template_and_of_the_tiny_project() -> None:
    wanted = dict(re.findall(r"def (\w+)\(([^)]*)\)", BLOCKS["scoring"]))
    source = PROJECT / "src/{{cookiecutter.package_name}}/scoring.py"
    for text in (source.read_text(encoding="utf-8"), FILES["src/toy/scoring.py"]):
        for name, arguments in wanted.items():
            found = re.findall(rf"^ *def {name}\(([^)]*)\)", text, re.M)[0]
            assert len(found.split(", ")) == len(arguments.split(", ")), name
    incoming = PROJECT / "src/{{cookiecutter.package_name}}/incoming.py"
    for line in re.findall(r"^def .*", BLOCKS["incoming"], re.M):
        assert line.replace("cfg)", "cfg: Any)") in incoming.read_text(encoding="utf-8")
    assert "def __call__(self, cfg)" in BLOCKS["objective"]
    assert "def __call__(self, cfg)" in FILES["src/toy/tune.py"]


def test_the_least_project_has_runs_and_says_what_it_lacks(
    clean_env: dict[str, str], empty_store: Path, tmp_path: Path
) -> None:
    """An ETL in the shell: no model, no Python."""
    project = Tiny(tmp_path / "etl", clean_env)
    for name in ("dvc.yaml", "conf/config.yaml"):
        project.write(name, BLOCKS[name])
    project.write(".dvc/config", "[core]\n    analytics = false\n[hydra]\n    enabled = true\n")
    project.write(".gitignore", "/mlflow.db*\n/mlartifacts/\n")
    shutil.copy(empty_store, project.path)
    project.git("init", "--quiet")
    project.lockstep("compose")
    output = project.dvc("repro")
    assert "published: run" in output
    project.commit("first")
    assert "are up to date" in project.dvc("repro")
    # DVC resolves ${rows} before `compose` runs; for an experiment, it composes conf/ itself first.
    project.edit("conf/config.yaml", "rows: 3", "rows: 5")
    assert "DVC had read the old ones: run the same command again" in project.dvc("repro", ok=False)
    assert "published: run" in project.dvc("repro")
    project.commit("second")
    project.dvc("exp", "run", "-S", "rows=4")
    runs = json.loads(project.lockstep("runs", "--json"))
    assert [run["metrics"]["rows"] for run in runs] == [4.0, 5.0, 3.0]
    traced = json.loads(project.lockstep("trace", "counts.csv", "--json"))["used_in"]
    assert traced["read_by"] == ["publish"]
    assert [run["id"] for run in traced["runs"]] == [runs[0]["id"]]
    for verb, lack in {
        "models": "dvc.yaml has no artifact of the type `model` to register",
        "promote": "dvc.yaml has no artifact of the type `model` to register",
        "sweep": "a sweep needs the folder conf/sweep/ and the line `- sweep: null`",
    }.items():
        assert lack in project.lockstep(verb, ok=False)
    project.write("conf/config.yaml", "rows: 4\n")
    project.lockstep("compose", "--force")
    assert "has no section `tracking`" in project.lockstep("publish", ok=False)
