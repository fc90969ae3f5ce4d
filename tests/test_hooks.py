"""The generated files for every answer, and what the hooks do around them."""

import ast
import functools
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml
from configobj import ConfigObj
from scaffold import PENGUINS, TEMPLATE, generate, git, render

from conftest import Once

OPTIONS: list[dict[str, str]] = [
    {},
    *({"license": name} for name in ("Apache-2.0", "BSD-3-Clause", "Proprietary")),
    {"task": "classification"},
    {"task": "regression"},
    {"target_column": "body_mass_g"},
    {"data_source": ""},
    {"data_source": "", "task": "classification"},
    {"dvc_remote": "s3", "dvc_remote_url": "s3://bucket/path"},
    {"dvc_remote": "s3", "dvc_remote_url": "s3://b/p?endpointurl=https://h:9000&region=garage"},
    {"dvc_remote": "gcs", "dvc_remote_url": "gs://bucket"},
    {"dvc_remote": "azure", "dvc_remote_url": "azure://container/path"},
    {"dvc_remote": "ssh", "dvc_remote_url": "ssh://ada@host/srv/dvc"},
    {"dvc_remote": "webdav", "dvc_remote_url": "webdavs://host/dvc"},
    {"dvc_remote": "http", "dvc_remote_url": "https://host/dvc"},
    {"dvc_remote": "dagshub", "dvc_remote_url": "ada/engine"},
    {"dvc_remote": "none"},
    {"dvc_remote_url": "../my storage, #1 (ünï)"},
    {"mlflow_tracking_uri": "https://mlflow.example.org"},
    {"mlflow_tracking_uri": "postgresql://db.example.org/mlflow"},
    {"git_remote_url": "git@host:ada/penguins.git"},
    {"ci": "gitlab"},
    {"ci": "none"},
    {"author_name": "", "author_email": ""},
    {"description": ""},
    {"project_slug": "my-birds", "package_name": "birds"},
    {"data_source": "s3://bucket/d.parquet", "task": "regression", "target_column": "y"},
    *(
        {"project_name": text, "description": text, "author_name": text}
        for text in [
            *('say "hi"', "it's", "back\\slash\\", "a # b", "key: value", "- item", "[x]", "&a *b"),
            *("{{ cookiecut }} {% raw %}", "{# no #}", "ペンギン 🐧", "'''\"\"\"", "  spaces  "),
        ]
    ),
]


def option_id(answers: dict[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in answers.items()) or "defaults"


def files(project: Path) -> Iterator[Path]:
    for path in sorted(project.rglob("*")):
        caches = ("__pycache__", ".mypy_cache", ".ruff_cache")  # of tools that ran in the template
        if path.is_file() and not set(caches) & set(path.parts):
            yield path


@pytest.fixture(
    scope="module", params=range(len(OPTIONS)), ids=[option_id(each) for each in OPTIONS]
)
def option(request: pytest.FixtureRequest, once: Once) -> Any:
    """One answer flipped: the answers, and the files rendered with them."""
    answers = OPTIONS[request.param]
    named = {"project_name": "Penguins", **answers}
    return answers, once(f"option-{request.param}", lambda folder: render(folder, **named))


@functools.cache  # most files are the same with all answers
def parse(suffix: str, text: str) -> None:
    """Raise if a file cannot be read."""
    if suffix == ".py":
        ast.parse(text)
    elif suffix == ".toml":
        tomllib.loads(text)
    elif suffix in (".yaml", ".yml"):
        list(yaml.safe_load_all(text))


def test_every_file_can_be_read(option: Any) -> None:
    _, project = option
    for path in files(project):
        parse(path.suffix, path.read_text(encoding="utf-8"))


@functools.cache
def untidy(text: str) -> str:
    """What is untidy in a text, in a word; nothing if it is tidy."""
    if text and not text.endswith("\n"):
        return "ends without a newline"
    if text.endswith("\n\n"):
        return "ends with empty lines"
    if re.search(r"[ \t]+$", text, re.MULTILINE):
        return "has trailing spaces"
    if "registry.npmjs" in text or "pypi" in text.lower().replace(".pypirc", ""):
        return "names a registry"
    return ""


def test_files_are_tidy(option: Any) -> None:
    answers, project = option
    braces = re.compile(r"(?<!\$)\{\{|\{%|cookiecutter\.")  # ${{ is GitHub's own
    for path in files(project):
        name, text = path.relative_to(project), path.read_text(encoding="utf-8")
        assert not untidy(text), f"{name} {untidy(text)}"
        if path.suffix != ".py" and "{" not in answers.get("description", ""):
            assert not braces.search(text), f"{name} is not wholly rendered"


def python_files(project: Path) -> dict[str, str]:
    """The text of each Python file, with the package's name left out."""
    (package,) = {path.parent.name for path in project.glob("src/*/ingest.py")}
    return {
        re.sub(rf"\b{package}\b", "PACKAGE", str(path.relative_to(project))): re.sub(
            rf"\b{package}\b", "PACKAGE", path.read_text(encoding="utf-8")
        )
        for path in project.rglob("*.py")
    }


def test_only_names_and_the_task_change_the_code(option: Any, once: Once) -> None:
    """tests/test_options.py looks at the code with these answers only."""
    answers, project = option
    if not {"task", "target_column", "package_name", "project_name"} & set(answers):
        assert python_files(project) == python_files(once("option-0", render))


def test_answers_arrive(option: Any) -> None:
    answers, project = option
    meta = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    if "description" in answers:
        assert meta["project"]["description"] == answers["description"].strip()
    if answers.get("author_name"):
        assert meta["project"]["authors"][0]["name"] == answers["author_name"]
    package = answers.get("package_name")
    if package:
        assert (project / "src" / package).is_dir()
        assert meta["tool"]["lockstep"]["schema"] == f"{package}.config:Config"
    if answers.get("author_name") == "":
        assert "authors" not in meta["project"]


def test_only_the_extra_of_the_remote_is_installed(option: Any) -> None:
    answers, project = option
    meta = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    (dvc,) = [line for line in meta["project"]["dependencies"] if line.startswith("dvc")]
    remote = answers.get("dvc_remote", "local")
    extra = {"gcs": "gs", "local": "", "http": "", "dagshub": "", "none": ""}.get(remote, remote)
    if answers.get("data_source", "").startswith("s3:"):
        extra = "s3"
    assert dvc.split(">=")[0] == (f"dvc[{extra}]" if extra else "dvc")


def test_ci_is_the_one_chosen(option: Any) -> None:
    answers, project = option
    chosen = answers.get("ci", "github")
    assert (project / ".github/workflows/ci.yml").exists() == (chosen == "github")
    assert (project / ".gitlab-ci.yml").exists() == (chosen == "gitlab")
    # Without a server, its runs would be lost.
    remote = answers.get("dvc_remote", "local")
    has_server = "mlflow_tracking_uri" in answers or remote == "dagshub"  # which brings one
    nightly = has_server and remote not in ("local", "none")
    file = project / ".github/workflows/retrain.yml"
    assert file.exists() == (chosen == "github" and nightly)
    for path in (file, project / ".gitlab-ci.yml"):
        if path.exists():
            text = path.read_text(encoding="utf-8")
            assert ("lockstep retrain --push" in text) == nightly
            assert yaml.safe_load(text), path


def test_the_licence_is_the_one_chosen(option: Any) -> None:
    answers, project = option
    chosen = answers.get("license", "MIT")
    text = (project / "LICENSE").read_text(encoding="utf-8")
    mark = {
        "MIT": 'THE SOFTWARE IS PROVIDED "AS IS"',
        "Apache-2.0": "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION",
        "BSD-3-Clause": "Neither the name of the copyright holder",
        "Proprietary": "All rights reserved.",
    }[chosen]
    assert mark in text
    assert time.strftime("%Y") in text
    meta = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    assert chosen in meta["project"]["license"]


def test_dvc_knows_its_remote(option: Any) -> None:
    answers, project = option
    config = ConfigObj(str(project / ".dvc/config"), encoding="utf-8")
    assert config["hydra"]["enabled"] == "True"
    if answers.get("dvc_remote") == "none":
        assert "core" not in config
        return
    url = answers.get("dvc_remote_url", f"../{project.name}-dvc")
    seen = dict(config['remote "storage"'])
    assert config["core"]["remote"] == "storage"
    if answers.get("dvc_remote") == "dagshub":
        assert seen == {"url": f"https://dagshub.com/{url}.dvc", "auth": "basic"}
    elif "?" in url:
        assert seen == {"url": "s3://b/p", "endpointurl": "https://h:9000", "region": "garage"}
    else:
        assert seen == {"url": f"../{url}" if "dvc_remote" not in answers else url}


def test_dagshub_is_git_dvc_and_mlflow_at_once(tmp_path: Path, identity: dict[str, str]) -> None:
    made = generate(
        tmp_path,
        env=identity,
        create_environment="no",
        dvc_remote="dagshub",
        dvc_remote_url="ada/engine",
    )
    assert made.returncode == 0, made.stderr
    project = tmp_path / "penguins"
    tracking = yaml.safe_load((project / "conf/tracking/default.yaml").read_text())
    assert tracking["uri"] == "https://dagshub.com/ada/engine.mlflow"
    assert git(project, "remote", "get-url", "origin") == "https://dagshub.com/ada/engine.git"
    config = ConfigObj(str(project / ".dvc/config"))
    assert config['remote "storage"'] == {
        "url": "https://dagshub.com/ada/engine.dvc",
        "auth": "basic",
    }
    assert "credentials: your DagsHub token: `dvc remote modify --local" in made.stdout
    assert "credentials: MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in made.stdout
    assert "credentials: git's credential helper" in made.stdout
    for name in ("DVC remote", "MLflow", "git remote"):
        row = rf"^  {name} +skipped +not asked: Lockstep comes with the environment\n"
        row += r" +credentials: .*\n +\$ .*uv run lockstep doctor$"
        assert re.search(row, made.stdout, re.MULTILINE), made.stdout


def test_prompts_cover_all_questions() -> None:
    questions = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    prompts = questions["__prompts__"]
    asked = {key: value for key, value in questions.items() if not key.startswith("_")}
    assert list(prompts) == list(asked)
    for key, value in asked.items():
        if isinstance(value, list):
            assert list(prompts[key]) == ["__prompt__", *value], key


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment without settings of git's."""
    (tmp_path / "home").mkdir()
    return {
        "HOME": str(tmp_path / "home"),
        "XDG_CONFIG_HOME": str(tmp_path / "home"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(tmp_path / "home/.gitconfig"),
    }


@pytest.fixture
def identity(home: dict[str, str]) -> dict[str, str]:
    """An environment in which git knows who commits."""
    who = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org"}
    return home | who | {key.replace("AUTHOR", "COMMITTER"): value for key, value in who.items()}


def states(output: str) -> dict[str, str]:
    """The closing table: step -> state."""
    names = "git repository|environment|raw data|data in DVC|DVC|DVC remote|MLflow|git remote"
    pattern = rf"^  ({names}|first commit) +(done|skipped|failed|unreachable)\b"
    return dict(re.findall(pattern, output, re.MULTILINE))


def test_a_project_is_set_up(tmp_path: Path, identity: dict[str, str]) -> None:
    made = generate(
        tmp_path,
        env=identity,
        create_environment="no",
        git_remote_url="git@host.invalid:ada/penguins.git",
        ci="none",
    )
    assert made.returncode == 0, made.stderr
    project = tmp_path / "penguins"
    assert git(project, "branch", "--show-current") == "main"
    assert git(project, "log", "--format=%an %s") == "Ada Start from the Lockstep template"
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "remote", "get-url", "origin") == "git@host.invalid:ada/penguins.git"
    assert (project / "data/raw.csv").read_bytes() == PENGUINS.read_bytes()
    assert (tmp_path / "penguins-dvc").is_dir()
    assert not (project / ".github").exists()
    table = states(made.stdout)
    assert table["environment"] == "skipped"
    assert table["first commit"] == table["raw data"] == "done"
    assert made.stdout.rstrip().endswith("uv run mlflow ui")
    assert "cd penguins\n" in made.stdout


@pytest.mark.skipif(os.name == "nt", reason="paths look differently")
def test_next_begins_with_what_the_set_up_left(tmp_path: Path, identity: dict[str, str]) -> None:
    """Neither uv nor DVC are on the path: the commands make them."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "git").symlink_to(str(shutil.which("git")))
    made = generate(tmp_path, env=identity | {"PATH": str(tools)}, create_environment="no")
    assert made.returncode == 0, made.stderr
    assert "Run the commands above" not in made.stdout
    commands = [line.strip() for line in made.stdout.partition("Next:")[2].splitlines()]
    assert commands[1:] == [
        "cd penguins",
        "python3 -m venv .venv",
        ".venv/bin/python -m pip install uv",
        ".venv/bin/uv sync",
        ".venv/bin/uv run dvc add data/raw.csv",
        ".venv/bin/uv run dvc repro",
        "git add --all",
        "git commit -m 'First result'",
        ".venv/bin/uv run lockstep runs",
        ".venv/bin/uv run mlflow ui",
    ]


@pytest.fixture
def doctor(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Puts a `lockstep` on the path that prints a text and notes how it was called."""

    def on_path(printed: str, code: int) -> dict[str, str]:
        folder = tmp_path / "on-path"
        folder.mkdir()
        script = folder / "lockstep"
        script.write_text(f"#!/bin/sh\necho \"$@\" >> '{folder}/calls'\n{printed}\nexit {code}\n")
        script.chmod(0o755)
        return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}

    return on_path


REMOTES = {
    "create_environment": "no",
    "dvc_remote": "ssh",
    "dvc_remote_url": "ssh://ada@host.invalid/dvc",
    "mlflow_tracking_uri": "https://mlflow.invalid",
    "git_remote_url": "https://host.invalid/p.git",
}


def test_what_the_doctor_finds_at_the_remotes_is_in_the_table(
    tmp_path: Path, identity: dict[str, str], doctor: Callable[..., dict[str, str]]
) -> None:
    checks = [
        {"name": "git remote", "state": "ok", "text": "https://host.invalid/p.git answers"},
        {"name": "DVC remote", "state": "failed", "text": "no such host"},
        {"name": "MLflow", "state": "failed", "text": "https://mlflow.invalid answers 401"},
    ]
    path = doctor(f"cat << END\n{json.dumps({'checks': checks})}\nEND", 1)
    made = generate(tmp_path, env=identity | path, **REMOTES)
    assert made.returncode == 0, made.stderr
    calls = (tmp_path / "on-path" / "calls").read_text().splitlines()
    assert calls == ["doctor --json --only git remote,DVC remote,MLflow"], "all at once"
    for row in (
        r"git remote  +done  +https://host\.invalid/p\.git answers; nothing is pushed yet",
        r"DVC remote  +unreachable  +no such host\n +credentials: the SSH agent",
        r"MLflow  +unreachable  +https://mlflow\.invalid answers 401\n +credentials: MLFLOW_TRACK",
    ):
        assert re.search(f"^  {row}", made.stdout, re.MULTILINE), made.stdout
    assert made.stdout.count("uv run lockstep doctor\n") == 2
    assert states(made.stdout)["first commit"] == "done"


def test_a_doctor_that_fails_is_in_the_table_and_asked_once(
    tmp_path: Path, identity: dict[str, str], doctor: Callable[..., dict[str, str]]
) -> None:
    path = doctor("echo 'error: out of luck' >&2", 2)
    made = generate(tmp_path, env=identity | path, **REMOTES)
    assert made.returncode == 0, made.stderr
    assert len((tmp_path / "on-path" / "calls").read_text().splitlines()) == 1
    for name in ("DVC remote", "MLflow", "git remote"):
        row = f"^  {name} +unreachable  lockstep doctor: error: out of luck$"
        assert re.search(row, made.stdout, re.MULTILINE), made.stdout


def test_a_local_project_asks_nothing(
    tmp_path: Path, identity: dict[str, str], doctor: Callable[..., dict[str, str]]
) -> None:
    made = generate(tmp_path, env=identity | doctor("", 0), create_environment="no")
    table = states(made.stdout)
    assert (table["DVC remote"], table["MLflow"], table["git remote"]) == (
        "done",
        "done",
        "skipped",
    )
    assert not (tmp_path / "on-path" / "calls").exists()


def test_refused_answers_leave_nothing(tmp_path: Path) -> None:
    made = generate(tmp_path, package_name="class", target_column="spcies")
    assert made.returncode == 1
    assert "package_name: class is a Python keyword" in made.stdout
    assert "did you mean 'species'?" in made.stdout
    assert "Traceback" not in made.stdout + made.stderr
    assert not (tmp_path / "penguins").exists()


def test_the_hook_refuses_what_a_replay_brings(tmp_path: Path) -> None:
    good = render(tmp_path)
    shutil.rmtree(good)
    (replay,) = (tmp_path / ".replay").iterdir()
    replay.write_text(replay.read_text().replace('"species"', '"spcies"'))
    made = subprocess.run(
        [
            *(sys.executable, "-m", "cookiecutter", str(TEMPLATE), "--replay"),
            *("--config-file", str(tmp_path / ".cookiecutter.yaml")),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 1
    assert "target_column: there is no column 'spcies'" in made.stderr
    assert not (tmp_path / "penguins").exists()


def test_a_missing_identity_is_reported_with_its_cure(tmp_path: Path, home: dict[str, str]) -> None:
    home |= {"GIT_CONFIG_COUNT": "1"}
    home |= {"GIT_CONFIG_KEY_0": "user.useConfigOnly", "GIT_CONFIG_VALUE_0": "true"}
    made = generate(tmp_path, env=home, create_environment="no", author_name="Ada O'Neil")
    assert made.returncode == 0
    assert states(made.stdout)["first commit"] == "failed"
    assert "$ git config --global user.email you@example.org" in made.stdout
    commands = re.findall(r"\$ (git .*)", made.stdout.split("\n  git repository")[1])
    for command in commands:
        if not command.startswith("git remote"):
            subprocess.run(
                ["sh", "-c", command],
                cwd=tmp_path / "penguins",
                env=os.environ | home,
                check=True,
            )
    assert git(tmp_path / "penguins", "log", "--format=%an") == "Ada O'Neil"


def test_missing_git_stops_only_what_needs_it(tmp_path: Path, home: dict[str, str]) -> None:
    (tmp_path / "bin").mkdir()
    made = generate(tmp_path, env=home | {"PATH": str(tmp_path / "bin")}, create_environment="no")
    assert made.returncode == 0, made.stderr
    assert states(made.stdout) == {
        "git repository": "failed",
        "environment": "skipped",
        "DVC": "skipped",
        "raw data": "done",
        "data in DVC": "skipped",
        "DVC remote": "done",
        "MLflow": "done",
        "git remote": "skipped",
        "first commit": "skipped",
    }
    assert "git is not installed" in made.stdout


def test_inside_a_repository_the_project_has_its_own(
    tmp_path: Path, identity: dict[str, str]
) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    made = generate(tmp_path, env=identity, create_environment="no")
    assert states(made.stdout)["first commit"] == "done"
    assert f"branch main, a separate repository inside {tmp_path.resolve()}" in made.stdout
    assert git(tmp_path / "penguins", "rev-parse", "--show-prefix") == ""


def test_generating_again_commits_nothing(tmp_path: Path, identity: dict[str, str]) -> None:
    generate(tmp_path, env=identity, create_environment="no", git_remote_url="/srv/a.git")
    project = tmp_path / "penguins"
    (project / "data/raw.csv").write_text("mine")
    again = generate(
        tmp_path, "-f", env=identity, create_environment="no", git_remote_url="/srv/b.git"
    )
    assert again.returncode == 0
    assert git(project, "rev-list", "--count", "HEAD") == "1"
    assert git(project, "remote", "get-url", "origin") == "/srv/a.git"
    assert (project / "data/raw.csv").read_text() == "mine"


def test_generating_over_a_project_loses_nothing(tmp_path: Path, identity: dict[str, str]) -> None:
    generate(tmp_path, env=identity, create_environment="no")
    project = tmp_path / "penguins"
    readme, own = project / "README.md", project / "notebooks.md"
    rendered = readme.read_text()
    readme.write_text("# Mine\n")
    own.write_text("mine, too\n")

    refused = generate(tmp_path, "--overwrite-if-exists", env=identity, create_environment="no")
    assert refused.returncode != 0
    assert "README.md\n  notebooks.md\n  commit them first" in refused.stderr
    assert readme.read_text() == "# Mine\n"

    git(project, "add", "--all")
    run = {**os.environ, **identity}
    subprocess.run(["git", "commit", "-q", "-m", "mine"], cwd=project, env=run, check=True)
    again = generate(tmp_path, "--overwrite-if-exists", env=identity, create_environment="no")
    assert again.returncode == 0, again.stderr
    assert readme.read_text() == rendered
    assert git(project, "show", "HEAD:README.md") == "# Mine", "git has it still"
    assert own.read_text() == "mine, too\n"
    assert git(project, "rev-list", "--count", "HEAD") == "2"


@pytest.mark.parametrize("way", ["absolute", "relative", "link"])
def test_own_data_are_found_from_the_users_folder(
    tmp_path: Path, identity: dict[str, str], way: str
) -> None:
    (tmp_path / "my data").mkdir()
    template = {"relative": os.path.relpath(TEMPLATE, tmp_path), "link": "a link"}.get(way)
    if way == "link":
        (tmp_path / "a link").symlink_to(TEMPLATE, target_is_directory=True)
    (tmp_path / "my data/houses, “all”.csv").write_text("rooms;price\n1;100,5\n2;200,5\n3;150\n")
    made = generate(
        tmp_path,
        env=identity,
        template=template or str(TEMPLATE),
        create_environment="no",
        data_source="my data/houses, “all”.csv",
        target_column="price",
    )
    assert made.returncode == 0, made.stdout
    project = tmp_path / "penguins"
    assert (project / "data/raw.csv").read_text().startswith("rooms;price")
    assert "task: regression" in (project / "conf/data/default.yaml").read_text()
    texts = chain.from_iterable(path.read_text().splitlines() for path in files(project / "conf"))
    assert not [line for line in texts if str(tmp_path) in line]


def test_a_table_in_a_database_is_named_in_the_config(
    tmp_path: Path, identity: dict[str, str]
) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop, shop:
        for name in ("orders", "old orders"):
            shop.execute(f'CREATE TABLE "{name}" (price, rooms)')
            shop.execute(f'INSERT INTO "{name}" VALUES (1.5, 2), (2.5, 3)')  # noqa: S608
    given = {"create_environment": "no", "target_column": "price", "task": "regression"}
    refused = generate(tmp_path, env=identity, data_source="shop.db", **given)
    assert "the column 'price' in several: name one in data.table" in refused.stdout
    made = generate(tmp_path, env=identity, data_source="shop.db/old orders", **given)
    assert made.returncode == 0, made.stdout
    project = tmp_path / "penguins"
    assert (project / "data/raw.sqlite").read_bytes() == (tmp_path / "shop.db").read_bytes()
    config = yaml.safe_load((project / "conf/data/default.yaml").read_text())
    assert config["table"] == "old orders"
    assert git(project, "ls-files", "data") == "", "what DVC does not track yet is not in git"


def test_a_folder_of_files_is_not_committed_to_git(tmp_path: Path) -> None:
    project = render(tmp_path, data_source=str(TEMPLATE / "samples/bikes"), target_column="rentals")
    git(project, "init", "--quiet")
    ignored = ["data/raw/2011-01.csv", "data/table/2011-01.parquet"]
    assert git(project, "check-ignore", *ignored, "data/raw.dvc").split() == ignored


def test_environment_variables_of_another_repository_do_no_harm(
    tmp_path: Path, identity: dict[str, str]
) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path / "other")], check=True)
    misleading = {"GIT_DIR": str(tmp_path / "other/.git"), "GIT_WORK_TREE": str(tmp_path / "other")}
    made = generate(tmp_path, env=identity | misleading, create_environment="no")
    assert states(made.stdout)["first commit"] == "done"
    assert git(tmp_path / "penguins", "rev-list", "--count", "HEAD") == "1"


@pytest.mark.project
@pytest.mark.parametrize("tool", ["uv", "venv"])
def test_the_environment_is_made(tmp_path: Path, identity: dict[str, str], tool: str) -> None:
    """With uv, and without: then through venv and pip, which leave a uv.lock all the same."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    (tmp_path / "bin").mkdir()
    for name in ("git", "uv") if tool == "uv" else ("git",):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name, path=path)))
    del identity["HOME"]  # the caches of uv and pip are there
    env = identity | {"PATH": str(tmp_path / "bin"), "UV_PYTHON": sys.executable}
    made = generate(tmp_path, env=env)
    assert made.returncode == 0, made.stderr
    not_done = {name for name, state in states(made.stdout).items() if state != "done"}
    assert not_done == {"git remote"}, made.stdout
    project = tmp_path / "penguins"
    tracked = git(project, "ls-files").splitlines()
    assert {"uv.lock", "data/raw.csv.dvc"} <= set(tracked)
    assert "data/raw.csv" not in tracked
    assert git(project, "status", "--porcelain") == ""
    dvc = subprocess.run([project / ".venv/bin/dvc", "status", "data/raw.csv.dvc"], cwd=project)
    assert dvc.returncode == 0


@pytest.mark.project
def test_cruft_updates_only_files(tmp_path: Path, identity: dict[str, str]) -> None:
    """A later template reaches a project; its history, data and remotes stay as they are."""
    template, project = tmp_path / "template", tmp_path / "penguins"
    shutil.copytree(
        TEMPLATE, template, ignore=shutil.ignore_patterns(".git", ".venv", "__pycache__", "tests")
    )
    (tmp_path / "own.csv").write_text("x,price\n" + "".join(f"{n},{n}.5\n" for n in range(40)))
    env = os.environ | identity

    def run(*argv: str, cwd: Path) -> str:
        done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def commit(folder: Path) -> None:
        run("git", "add", "-A", cwd=folder)
        run("git", "commit", "-q", "-m", "a version", cwd=folder)

    run("git", "init", "-q", cwd=template)
    commit(template)
    cruft = (sys.executable, "-m", "cruft")
    data = {"data_source": "own.csv", "target_column": "price"}
    answers = {"project_name": "Penguins", "create_environment": "no", **data}
    given = ("--no-input", "--extra-context", json.dumps(answers))
    run(*cruft, "create", str(template), *given, cwd=tmp_path)
    assert git(project, "rev-list", "--count", "HEAD") == "1"
    (project / "AGENTS.md").write_text("# What I tell my tools\n")
    run("git", "remote", "add", "origin", "https://example.org/mine.git", cwd=project)
    commit(project)
    (tmp_path / "own.csv").unlink()
    readme = template / "{{cookiecutter.project_slug}}" / "README.md"
    readme.write_text(readme.read_text() + "\n{{ cookiecutter | remark }}\n")
    filters = template / "lockstep_template/answers.py"
    remark = "def remark(_: Answers) -> str:\n    return 'A later remark.'\n\n\nDERIVED"
    code = filters.read_text().replace("DERIVED", remark, 1)
    filters.write_text(code.replace("    setup,\n", "    setup,\n    remark,\n"))
    commit(template)

    diff = run(*cruft, "diff", cwd=project)
    assert re.findall(r"^diff --git \S+?/(\S+)", diff, re.MULTILINE) == ["AGENTS.md"], "mine alone"
    run(*cruft, "update", "--skip-apply-ask", cwd=project)
    assert git(project, "status", "--porcelain", "--untracked-files").count("\n") == 1
    assert git(project, "diff", "--name-only", "HEAD").split() == [".cruft.json", "README.md"]
    assert (project / "README.md").read_text().endswith("\nA later remark.\n")
    assert (project / "AGENTS.md").read_text() == "# What I tell my tools\n"
    assert git(project, "rev-list", "--count", "HEAD") == "2", "the hook's commit, and the user's"
    assert git(project, "remote", "--verbose").count("(fetch)") == 1
    assert not (project / ".venv").exists()
    assert "task: regression" in (project / "conf/data/default.yaml").read_text()
