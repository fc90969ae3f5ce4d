"""Files that look like secrets stay out of what is uploaded; nothing else does."""

import json
import random
import string
import sys
from pathlib import Path

import joblib
import pytest
from tiny import Tiny

from lockstep.mlflow import package
from lockstep.secrets import secret_in, untracked_secrets

DRAW = random.Random(5)  # noqa: S311
RANDOM = "".join(DRAW.choices(string.ascii_letters + string.digits, k=40))
HEX = "".join(DRAW.choices("0123456789abcdef", k=40))
LINES = "\n".join("".join(DRAW.choices(string.ascii_letters, k=64)) for _ in range(3))
KEY = f"-----BEGIN OPENSSH {'PRIVATE'} KEY-----\n{LINES}\n-----END OPENSSH PRIVATE KEY-----\n"


def written(folder: Path, name: str, text: str = "x\n") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "name",
    [
        *("id_rsa", "deploy_ed25519", "key.pem", "server.KEY", "store.p12", ".netrc", "_netrc"),
        *("credentials.json", ".env", ".env.local", "prod.env", ".aws/credentials", ".pgpass"),
        *("sub/.ssh/config", "service-account-7.json", "secrets.yaml", ".bash_history"),
        *("client_secret_1.json", ".git-credentials", "kaggle.json", ".kube/config", "x.kdbx"),
    ],
)
def test_a_secret_is_known_by_its_name(tmp_path: Path, name: str) -> None:
    assert secret_in(written(tmp_path, name)) == "its name"


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("deploy", KEY, "a private key"),
        ("notes.md", f"Use this:\n\n{KEY}", "a private key"),
        ("hub.py", f'login("ghp_{RANDOM[:36]}")\n', "an access token"),
        ("conf/x.yaml", f"a: 1\napi_key: {RANDOM}\n", "line 2"),
        ("settings.py", f'SECRET_KEY = "{RANDOM}"  # of the shop\n', "line 1"),
        ("app.json", json.dumps({"db": {"password": RANDOM}}), "line 1"),
        ("run.sh", f"\n\nexport HUB_TOKEN={HEX}\n", "line 3"),
    ],
)
def test_a_secret_is_known_by_what_it_contains(
    tmp_path: Path, name: str, text: str, reason: str
) -> None:
    assert secret_in(written(tmp_path, name, text)) == reason


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("data/raw.csv", f"password,token\n{RANDOM},{HEX}\napi_key={RANDOM}\n{KEY}"),
        ("explore.ipynb", json.dumps({"cells": [f"token = '{RANDOM}'", KEY]})),
        ("keys.tsv", KEY),
        (".env.example", "TOKEN=\n"),
        (".ssh/id_ed25519.pub", f"ssh-ed25519 {RANDOM}\n"),
        ("auth.py", "token = os.environ['HUB_TOKEN_FOR_THE_MODEL_REGISTRY_2']\n"),
        ("auth.py", "token = SomeSettings2_OfTheProject_AndItsModel\n"),
        ("scan.py", 'HEADER = "-----BEGIN RSA PRIVATE KEY-----"\n'),
        ("model.yaml", "tokenizer: distilbert-base-uncased-finetuned-sst-2-english\n"),
        ("model.yaml", "pad_token: <|reserved_special_token_250|>\nkey: length_of_the_wing_2\n"),
        ("conf/data.yaml", "api_key: ${oc.env:SHOP_API_KEY}\npassword: null\n"),
        ("dvc.lock", f"md5: {HEX[:32]}\n"),
        ("monkey.py", "monkey = 1\n"),
        ("environment.yml", f"hash: {HEX}\n"),
        ("photo.png", "\x00\x01"),
    ],
)
def test_false_alarms_are_rare(tmp_path: Path, name: str, text: str) -> None:
    assert secret_in(written(tmp_path, name, text)) is None


def test_no_file_of_the_template_looks_like_a_secret() -> None:
    template = Path(__file__).parent.parent
    files = [
        file
        for folder in ("{{cookiecutter.project_slug}}", "docs", "tests", "lockstep_template")
        for file in (template / folder).rglob("*")
        if "__pycache__" not in file.parts
    ]
    assert len(files) > 200
    assert {file: reason for file in files if (reason := secret_in(file))} == {}


SECRETS = ("id_rsa", "key.pem", ".netrc", "credentials.json", ".env.local", ".aws/credentials")


def test_untracked_secrets_are_left_out_of_a_run_and_named(tiny_project: Tiny) -> None:
    toy = tiny_project
    for name in SECRETS:
        toy.write(name, f"hunter2 {name}\n")
    toy.write("src/toy/server.key", "hunter2\n")
    toy.write("src/toy/new.py", "x = 1\n")
    output = toy.lockstep("publish")
    for name in (*SECRETS, "src/toy/server.key"):
        assert f"note: {name} looks like a secret (its name), so it is not in the" in output
    assert "tracking.snapshot_include in conf/" in output
    (ref,) = toy.git("for-each-ref", "--format=%(refname)", "refs/lockstep").splitlines()
    names = toy.git("ls-tree", "-r", "--name-only", ref).splitlines()
    assert "src/toy/new.py" in names
    assert not {*SECRETS, "src/toy/server.key"} & set(names)
    for blob in toy.git("cat-file", "--batch-all-objects", "--batch-check").splitlines():
        if blob.split()[1] == "blob":
            assert "hunter2" not in toy.git("cat-file", "blob", blob.split()[0])
    assert (toy.path / "id_rsa").exists()


def test_a_file_that_conf_names_is_kept(tiny_project: Tiny) -> None:
    toy = tiny_project
    for name in ("tests/fake.pem", "tests/other.pem", "real.pem"):
        toy.write(name, "x\n")
    found = untracked_secrets(toy.path, ["tests/fake.pem"])
    assert set(found) == {"tests/other.pem", "real.pem"}
    assert set(untracked_secrets(toy.path, ["tests/*"])) == {"real.pem"}
    toy.git("add", "real.pem")
    assert untracked_secrets(toy.path, ["tests/*"]) == {}, "who stages a file has decided"


def test_a_project_within_a_repository_looks_at_all_of_it(tiny_project: Tiny) -> None:
    toy = tiny_project
    toy.write("model/dvc.yaml", "")
    for name in ("id_rsa", "model/id_rsa", "model/tests/id_rsa"):
        toy.write(name, "x\n")
    assert set(untracked_secrets(toy.path / "model", ["tests/*"])) == {"id_rsa", "model/id_rsa"}


def test_the_code_packaged_with_a_model_has_none(tiny_project: Tiny, tmp_path: Path) -> None:
    """Of a class of the project's own, the whole package is uploaded, ignored files included."""
    toy = tiny_project
    toy.write(
        "src/toy/own.py",
        "from sklearn.dummy import DummyClassifier\n\n\nclass Own(DummyClassifier): ...\n",
    )
    for name in (".env", "deploy_rsa", "sub/id_rsa"):
        toy.write(f"src/toy/{name}", "hunter2\n")
    with toy.entered():
        sys.path.insert(0, "src")
        from toy.own import Own  # type: ignore[import-not-found]

        joblib.dump(Own().fit([[1], [2]], [0, 1]), "own.joblib")
        package.save("own.joblib", None, tmp_path / "model", {})
    code = {file.name for file in (tmp_path / "model/code").rglob("*") if file.is_file()}
    assert {"own.py", "scoring.py"} <= code
    assert not code & {".env", "deploy_rsa", "id_rsa"}
