"""The documentation names what exists, and what exists is documented."""

import ast
import json
import re
import tomllib
from pathlib import Path

import pytest
from scaffold import TEMPLATE, render

from lockstep import __version__
from lockstep.cli import VERBS

PROJECT = TEMPLATE / "{{cookiecutter.project_slug}}"
GLUE = PROJECT / "packages" / "lockstep"
STAGES = PROJECT / "src" / "{{cookiecutter.package_name}}"
RECORDS = sorted((TEMPLATE / "docs" / "decisions").glob("0*.md"))
PAGES = [
    *TEMPLATE.glob("*.md"),
    *(TEMPLATE / "docs").rglob("*.md"),
    TEMPLATE / "server" / "README.md",
    GLUE / "README.md",
]
QUESTIONS = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_template_glue_and_changelog_have_one_version(tmp_path: Path) -> None:
    assert QUESTIONS["__template_version"] == __version__
    project = tomllib.loads(text(render(tmp_path) / "pyproject.toml"))
    assert project["tool"]["lockstep"]["template"] == __version__
    assert re.search(rf"^## .*\b{re.escape(__version__)}\b", text(TEMPLATE / "CHANGELOG.md"), re.M)
    for page in (TEMPLATE / "README.md", GLUE / "README.md", TEMPLATE / "docs" / "updating.md"):
        assert set(re.findall(r"lockstep-([\d.]+)-py3", text(page))) == {__version__}, page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(TEMPLATE).as_posix())
def test_links_and_paths_exist(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text(page))
    missing = [link for link in links if not (page.parent / link).exists()]
    named = re.findall(
        r"\b(?:tests|benchmarks|scripts|samples|hooks)/[\w/]+\.(?:py|sh)\b", text(page)
    )
    missing += [
        name for name in named if not any((at / name).exists() for at in (TEMPLATE, PROJECT))
    ]
    assert not missing, f"{page.name} names what does not exist"


def test_the_commands_of_make_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text(TEMPLATE / "Makefile"), re.M))
    named = {
        name
        for page in PAGES
        for line in re.findall(r"(?:`|\$ )make ((?:[a-z-]+ ?)+)(?=`|$|  )", text(page), re.M)
        for name in line.split()
    }
    assert {"demo", "lint", "test", "test-fast"} <= named <= targets, named - targets


def test_the_readme_lists_every_question() -> None:
    readme = text(TEMPLATE / "README.md")
    asked = [key for key in QUESTIONS if not key.startswith("_")]
    assert [key for key in asked if f"`{key}`" not in readme] == []


def test_the_architecture_page_names_every_room() -> None:
    rooms = {path.stem for path in (GLUE / "src" / "lockstep").iterdir() if path.suffix == ".py"}
    rooms |= {path.parent.name for path in (GLUE / "src" / "lockstep").glob("*/__init__.py")}
    table = text(TEMPLATE / "docs" / "architecture.md").partition("## The rooms")[2]
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\|[^|]+\|", table, re.M))))
    assert named == {room for room in rooms if not room.startswith("__")}


@pytest.mark.parametrize("record", RECORDS[1:], ids=lambda record: record.stem)
def test_a_decision_has_all_its_parts(record: Path) -> None:
    headings = re.findall(r"^## (\w+)$", text(RECORDS[0]), re.M)
    parts = dict(re.findall(r"^## (\w+)\n+(.*?)(?=^## |\Z)", text(record), re.M | re.S))
    assert list(parts) == headings
    assert all(len(part) > 80 for part in parts.values()), parts
    assert record.name in text(record.parent / "README.md")


def test_the_readme_of_the_package_shows_every_verb_and_every_public_name() -> None:
    readme = text(GLUE / "README.md")
    assert [verb for verb in VERBS if not re.search(rf"`(lockstep )?{verb}`", readme)] == []
    imports = {
        f"{node.module}.{alias.name}"
        for path in STAGES.glob("*.py")
        for node in ast.walk(ast.parse(text(path)))
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "lockstep"
        for alias in node.names
    }
    agents = text(PROJECT / "AGENTS.md")
    assert imports == set(re.findall(r"`(lockstep\.[\w.]+)`", agents)) - {"lockstep.LockstepError."}
    for name in imports:
        module, _, member = name.rpartition(".")
        assert f"from {module} import {member} " in readme


def test_the_tree_in_the_generated_readme_exists(tmp_path: Path) -> None:
    project = render(tmp_path)
    (tree,) = re.findall(r"^```text\n(.*?)^```", text(project / "README.md"), re.M | re.S)
    yours = re.findall(r"^(\S+) +(?:yours|the template's)", tree, re.M)
    assert len(yours) >= 5
    assert [path for path in yours if not (project / path).exists()] == ["schema.yaml"]
