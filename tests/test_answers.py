"""What is derived from the answers, and what is refused, without cookiecutter around it."""

import gzip
import json
import os
import re
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pandas as pd
import pytest
import yaml
from openpyxl import Workbook  # type: ignore[import-untyped]
from scaffold import PENGUINS, render

from lockstep_template import answers, cruft, folders, names, remotes, samples, table, urls

GOOD = {
    "project_name": "Penguins",
    "project_slug": "penguins",
    "package_name": "penguins",
    "description": "Birds.",
    "author_name": "Ada",
    "author_email": "ada@example.org",
    "license": "MIT",
    "data_source": str(PENGUINS),
    "task": "auto",
    "target_column": "species",
    "dvc_remote": "local",
    "dvc_remote_url": "../penguins-dvc",
    "mlflow_tracking_uri": "",
    "git_remote_url": "",
    "ci": "github",
    "create_environment": True,
}
NASTY = [
    'quo"te',
    "apos'trophe",
    "back\\slash",
    "# comment",
    "key: value",
    "{{ braces }}",
    "{% tag",
    "[list, of]",
    "- dash",
    "*anchor &x !tag",
    "ünï ペンギン 🐧",
    "'''\"\"\"",
    "%s %(x)s $HOME",
    "trailing \\",
    "null",
    "0x1F",
]


def problems(folder: Path = Path(), /, **changed: Any) -> list[str]:
    return answers.problems(answers.Answers.of(GOOD | changed, folder))


def task(tmp_path: Path, text: str, target: str = "y") -> str:
    (tmp_path / "data.csv").write_text(text)
    table.look.cache_clear()
    given = GOOD | {"data_source": "data.csv", "target_column": target}
    return answers.inferred_task(answers.Answers.of(given, tmp_path))


@pytest.fixture(autouse=True)
def _fresh_look() -> None:
    table.look.cache_clear()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A web server on a folder."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None: ...

    served = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    Thread(target=served.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{served.server_address[1]}"
    served.shutdown()
    served.server_close()


@pytest.mark.parametrize(
    ("name", "slug", "package"),
    [
        ("Penguins", "penguins", "penguins"),
        ("  House Prices, 2nd try! ", "house-prices-2nd-try", "house_prices_2nd_try"),
        ("Größe", "grosse", "grosse"),
        ("ペンギン", "ml-project", "ml_project"),
        ("3D shapes", "3d-shapes", "p3d_shapes"),
        ("MLflow", "mlflow-project", "mlflow_project"),
        ("Test", "test", "test_project"),
        ("class", "class", "class_project"),
        ("../../etc/passwd", "etc-passwd", "etc_passwd"),
        ("x" * 200, "x" * 64, "x" * 64),
    ],
)
def test_names_are_derived(name: str, slug: str, package: str) -> None:
    assert (names.slug(name), names.package(names.slug(name))) == (slug, package)


@pytest.mark.parametrize(
    "name", [*NASTY, "import", "sklearn", "Lockstep", "none", "_", "0", "x" * 63]
)
def test_derived_names_are_never_refused(name: str) -> None:
    slug = names.slug(name)
    assert problems(project_name=name, project_slug=slug, package_name=names.package(slug)) == []


@pytest.mark.parametrize("text", NASTY)
def test_a_quoted_text_reads_back_in_each_language(text: str) -> None:
    quoted = names.quote(text)
    assert tomllib.loads(f"x = {quoted}") == {"x": text}
    assert yaml.safe_load(f"x: {quoted}") == {"x": text}
    assert json.loads(quoted) == text


def test_good_answers_have_no_problems() -> None:
    assert problems() == []


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"project_name": " "}, "project_name: it is empty"),
        ({"project_slug": "a b"}, "project_slug: 'a b' is not a valid folder .* such as a-b"),
        ({"project_slug": ".."}, "project_slug: '..' is not a valid folder"),
        ({"project_slug": "mlflow"}, "project_slug: mlflow is a package that the project depends"),
        ({"package_name": "my-pkg"}, "package_name: 'my-pkg' is not a valid package name.* my_pkg"),
        ({"package_name": "größe"}, "package_name: 'größe' is not a valid package name.* grosse"),
        ({"package_name": "class"}, "package_name: class is a Python keyword.* class_project"),
        ({"package_name": "json"}, "package_name: json is a module of the standard library"),
        (
            {"package_name": "sklearn"},
            "package_name: sklearn is a package that the project depends",
        ),
        ({"package_name": "MLflow"}, "package_name: MLflow is a package that the project depends"),
        ({"package_name": "lockstep"}, "package_name: lockstep is a folder of the project itself"),
        ({"package_name": "tests"}, "package_name: tests is a folder of the project itself"),
        ({"description": "a\nb"}, r"description: 'a\\nb' contains a line break"),
        ({"author_name": "a\x1b[2J"}, "author_name: .* contains a line break or control character"),
        (
            {"target_column": "${x}"},
            "target_column: it contains .* which Hydra and DVC interpolate",
        ),
        ({"author_email": "ada"}, "author_email: 'ada' is not an e-mail address"),
        ({"author_email": "a b@c"}, "author_email: 'a b@c' is not an e-mail address"),
        (
            {"target_column": "specie"},
            "target_column: .*did you mean 'species'\\? the columns are sp",
        ),
        ({"target_column": ""}, "target_column: it is empty; .* the columns are species, island"),
        ({"task": "regression"}, "task: regression needs numbers, but 'species' contains 'Adelie'"),
        ({"dvc_remote_url": ""}, "dvc_remote_url: a local remote needs a folder"),
        ({"dvc_remote_url": "store"}, "dvc_remote_url: 'store' is inside the project"),
        ({"dvc_remote_url": "../a/../p/../x/.."}, ""),
        ({"dvc_remote_url": "s3://b/p"}, "dvc_remote_url: s3:// is not a folder"),
        ({"dvc_remote_url": '../a"b'}, 'dvc_remote_url: DVC cannot store a "'),
        ({"dvc_remote": "s3", "dvc_remote_url": ""}, "s3 needs a URL such as s3://bucket/path"),
        ({"dvc_remote": "s3"}, "'../penguins-dvc' is not a URL of kind s3; write s3://bucket/p"),
        ({"dvc_remote": "s3", "dvc_remote_url": "s3://b/p"}, ""),
        ({"dvc_remote": "gcs", "dvc_remote_url": "gcs://b/p"}, "kind gcs; write gs://bucket/path"),
        ({"dvc_remote": "gcs", "dvc_remote_url": "gs://b"}, ""),
        ({"dvc_remote": "azure", "dvc_remote_url": "azure://c/p"}, ""),
        ({"dvc_remote": "azure", "dvc_remote_url": "azure:///p"}, "write azure://container/path"),
        ({"dvc_remote": "ssh", "dvc_remote_url": "ssh://u@h:2222/p"}, ""),
        ({"dvc_remote": "ssh", "dvc_remote_url": "u@h:p"}, "write ssh://user@host:22/path"),
        (
            {"dvc_remote": "ssh", "dvc_remote_url": "ssh://u:pw@h/p"},
            "before @ could be a credential",
        ),
        ({"dvc_remote": "webdav", "dvc_remote_url": "webdavs://h/p"}, ""),
        ({"dvc_remote": "webdav", "dvc_remote_url": "https://h/p"}, "write webdavs://host/path"),
        ({"dvc_remote": "http", "dvc_remote_url": "https://h/p"}, ""),
        ({"dvc_remote": "dagshub", "dvc_remote_url": "ada/engine"}, ""),
        ({"dvc_remote": "dagshub", "dvc_remote_url": "https://h/p"}, "write owner/repository"),
        ({"dvc_remote": "s3", "dvc_remote_url": "s3://b?endpointurl=http://h:9000/&region=a"}, ""),
        (
            {"dvc_remote": "s3", "dvc_remote_url": "s3://b/p?endpointurl=minio:9000"},
            "endpointurl is 'minio:9000'; write endpointurl=https://minio.example.org:9000",
        ),
        (
            {"dvc_remote": "s3", "dvc_remote_url": "s3://b/p?endpoint_url=http://h"},
            "'endpoint_url' is not an option of kind s3; write it as s3://bucket/path\\?endpointurl=ht",
        ),
        (
            {"dvc_remote": "s3", "dvc_remote_url": "s3://b/p?region=a&region=b"},
            "write each option once after the \\?, as in s3://bucket/path\\?endpointurl=",
        ),
        ({"dvc_remote": "s3", "dvc_remote_url": "s3://b/p?"}, "write each option once"),
        (
            {"dvc_remote": "s3", "dvc_remote_url": "s3://b/p?endpointurl=http://u:pw@h"},
            "the part after \\? could be a credential.* AWS_PROFILE",
        ),
        (
            {"dvc_remote": "s3", "dvc_remote_url": "s3://b/p?access_key_id=A"},
            "'access_key_id' is not an option of kind s3; write it as s3://",
        ),
        ({"dvc_remote": "gcs", "dvc_remote_url": "gs://b?endpointurl=http://h&projectname=p"}, ""),
        ({"dvc_remote": "azure", "dvc_remote_url": "azure://c/p?account_name=ada1"}, ""),
        ({"dvc_remote": "azure", "dvc_remote_url": "azure://c?account_name=A_"}, "write account_n"),
        (
            {"dvc_remote": "azure", "dvc_remote_url": "azure://c?account_key=A"},
            "'account_key' is not an option of kind azure",
        ),
        ({"dvc_remote": "ssh", "dvc_remote_url": "ssh://h/p?port=22"}, "ssh; it has none"),
        ({"dvc_remote": "http", "dvc_remote_url": "https://h/p?method=PUT&auth=basic"}, ""),
        ({"dvc_remote": "http", "dvc_remote_url": "https://h/p?method=GET"}, "write method=PUT"),
        ({"dvc_remote": "none"}, "dvc_remote_url: there is a URL, but dvc_remote is none"),
        ({"mlflow_tracking_uri": "https://mlflow.example.org"}, ""),
        ({"mlflow_tracking_uri": "postgresql+psycopg://db/mlflow"}, ""),
        ({"mlflow_tracking_uri": "sqlite:////srv/mlflow.db"}, ""),
        ({"mlflow_tracking_uri": "databricks"}, ""),
        ({"mlflow_tracking_uri": "databricks://profile"}, ""),
        (
            {"mlflow_tracking_uri": "./mlruns"},
            "mlflow_tracking_uri: './mlruns' is not a tracking URI",
        ),
        ({"mlflow_tracking_uri": "https://"}, "mlflow_tracking_uri: 'https://' is not"),
        ({"mlflow_tracking_uri": "http://h:port"}, "mlflow_tracking_uri: this answer is not"),
        (
            {"mlflow_tracking_uri": "https://u:pw@h"},
            "before @ could be a credential.* MLFLOW_TRACKING_PASSWORD",
        ),
        (
            {"mlflow_tracking_uri": "mysql://u:pw@h/d"},
            "before @ could be a credential.* MLFLOW_TRACKING_URI",
        ),
        ({"git_remote_url": "git@github.com:ada/penguins.git"}, ""),
        (
            {"git_remote_url": "https://dev@example.org/ada/penguins"},
            "git_remote_url: the part before @ could be a credential",
        ),
        ({"git_remote_url": "ssh://git@h:22/p.git"}, ""),
        ({"git_remote_url": "/srv/git/a b.git"}, ""),
        ({"git_remote_url": "ada/penguins"}, "git_remote_url: 'ada/penguins' is not a git URL"),
        (
            {"git_remote_url": "--upload-pack=x:y"},
            "git_remote_url: this answer is not a git",
        ),
        ({"git_remote_url": "ftp://h/p"}, "git_remote_url: 'ftp://h/p' is not a git URL"),
        ({"git_remote_url": "https://ghp_abc@h/p"}, "git_remote_url: the token in it"),
        ({"data_source": "https://h/d.csv?sig=abc"}, "data_source: the part after \\? could be a"),
        ({"data_source": "ftp://h/d.csv"}, "data_source: DVC cannot import ftp:// URLs"),
        ({"data_source": "s3://b/d.csv"}, "task: the columns of s3://b/d.csv cannot be read here"),
        ({"data_source": "s3://b/d.csv", "task": "regression"}, ""),
    ],
)
def test_a_bad_answer_is_refused_in_one_line(changed: dict[str, str], refusal: str) -> None:
    refused = problems(Path(), **changed)
    if not refusal:
        assert refused == []
        return
    assert len(refused) == 1
    assert re.search(refusal, refused[0])
    assert "\n" not in refused[0]


TEMPLATES = [
    "{{ cookiecutter }}",
    "{{ cookiecutter.x }}",
    "a {{ cookiecutter.project_name }} b",
    "{{ cookiecutter.project_name | slug }}",
    "{% for x in cookiecutter %}",
    "{# cookiecutter #}",
    "{{cookiecutter.project_slug}}/x",
    "{{ ''.__class__ }}",
]


@pytest.mark.parametrize("text", TEMPLATES)
def test_an_answer_is_no_template(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"project_slug": "p", "description": text, "author_name": text}
    monkeypatch.setattr(sys, "argv", ["cookiecutter", *(f"{k}={v}" for k, v in given.items())])
    project = render(tmp_path, project_name=text, **given)
    about = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert about["description"] == text
    assert about["authors"][0]["name"] == text
    assert (project / "README.md").read_text(encoding="utf-8").startswith(f"# {text}\n")


SECRET = "hunter2hunter2hunter2"  # noqa: S105
WITH_SECRETS = {
    "data_source": [
        *("https://SECRET@h/d.csv", "https://u:SECRET@h/d.csv", "https://u%3ASECRET@h/d.csv"),
        *("https://:SECRET@h/d.csv", "https://u:SECRET@@h/d.csv", "https://h/u:SECRET@/d.csv"),
        *("https://h/d.csv?user=u&passwd=SECRET", "https://h/d.csv?jwt=SECRET"),
        *("https://h/d.csv?private_token=SECRET", "https://h/d.csv?SECRET", "https://h/?x=SECRET"),
        *("https://h/d.csv?Signature=SECRET", "https://h/d.csv?X-Amz-Security-Token=SECRET"),
        *("https://h/d.csv?format=csv&key=SECRET", "https://h/d.csv?id=SECRET@x"),
        *("https://h/d.csv#token=SECRET", "https://h/d.csv;token=SECRET", "https://h/d.csv#SECRET"),
        *("s3://SECRET@b/d.csv", "s3://AKIA:SECRET@b/d.csv", "gs://SECRET@b/d.csv"),
        *("azure://SECRET@c/d.csv", "ssh://u:SECRET@h/d.csv", "webdavs://SECRET@h/d.csv"),
        *("http::https://u:SECRET@h/d.csv", "simplecache::https://h/d.csv?sig=SECRET"),
        *("u:SECRET@h/d.csv", "https:/u:SECRET@h/d.csv", "https:u:SECRET@h/d.csv"),
        *("HTTPS://u:SECRET@h/d.csv", "ftp://u:SECRET@h/d.csv", "//u:SECRET@h/d.csv"),
        *("https://u:SECRET@h:port/d.csv", "https://[u:SECRET@h/d.csv", "https://h/d?ghp_SECRET"),
        *("https://h\\u:SECRET@x/d.csv", "https://h/hf_SECRET/d.csv", "ghp_SECRET"),
    ],
    "git_remote_url": [
        *(
            "https://SECRET@h/o/r",
            "https://oauth2:SECRET@h/o/r",
            "https://x-access-token:SECRET@h/p",
        ),
        *("https://h/o/r?private_token=SECRET", "https://h/o/r#SECRET", "https://h/o/r;SECRET"),
        *("SECRET@h:o/r", "u:SECRET@h:o/r", "http::https://u:SECRET@h/x", "ssh://u:SECRET@h/o/r"),
        *(
            "ssh://SECRET@h/o/r",
            "ext::sh -c SECRET",
            "https:/u:SECRET@h/o/r",
            "glpat-SECRET",
            SECRET,
        ),
        *("https//u:SECRET@h/o/r", "https://u%3ASECRET@h/o/r", "file:///srv/r?token=SECRET"),
    ],
    "mlflow_tracking_uri": [
        *("https://SECRET@h", "https://u:SECRET@h", "https://h?token=SECRET", "https://h#SECRET"),
        *("mssql+pyodbc:///?odbc_connect=PWD%3DSECRET", "mssql://h/d?password=SECRET"),
        *("postgresql://u:SECRET@h/d", "postgresql://h/d?user=u&password=SECRET", "SECRET@h"),
        *("postgresql://SECRET@h/d", "mysql://u%3ASECRET@h/d", "mysql://h/d;password=SECRET"),
        *("databricks://SECRET@profile", "databricks://profile?token=SECRET", "dapi SECRET=x"),
        *("sqlite:///x.db?key=SECRET", "postgresql:/u:SECRET@h/d", "https://h:SECRET@"),
    ],
}
WITH_SECRETS_IN_REMOTES = {
    "s3": ["s3://SECRET@b/p", "s3://AKIA:SECRET@b/p", "s3://b/p?secret_access_key=SECRET",
           "s3://b/p?SECRET", "s3://b/p?endpointurl=http://u:SECRET@h", "s3://b/p#SECRET",
           "s3://b/p?endpointurl=http://h/?t=SECRET", "s3://b/p;SECRET"],
    "gcs": ["gs://SECRET@b/p", "gs://b/p?credentialpath=SECRET"],
    "azure": ["azure://SECRET@c", "azure://c/p?sas_token=SECRET", "azure://c/p?account_key=SECRET"],
    "ssh": ["ssh://u:SECRET@h/p", "ssh://SECRET@h/p", "ssh://h/p?password=SECRET"],
    "webdav": ["webdavs://SECRET@h/p", "webdavs://u:SECRET@h/p", "webdavs://h/p?token=SECRET"],
    "http": ["https://SECRET@h/p", "https://u:SECRET@h/p", "http::https://u:SECRET@h/x"],
    "dagshub": ["https://SECRET@dagshub.com/o/r", "SECRET:x@o/r", "o/r?token=SECRET"],
    "local": ["s3://u:SECRET@b/p"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("key", "url"), [(key, url) for key, listed in WITH_SECRETS.items() for url in listed]
)
def test_a_url_that_could_hold_a_secret_is_refused_and_not_repeated(key: str, url: str) -> None:
    refused = problems(**{key: url.replace("SECRET", SECRET), "task": "classification"})
    assert len(refused) == 1, url
    assert refused[0].startswith(f"{key}: ")
    assert SECRET not in refused[0]


@pytest.mark.parametrize(
    ("kind", "url"),
    [(kind, url) for kind, found in WITH_SECRETS_IN_REMOTES.items() for url in found],
)
def test_a_remote_that_could_hold_a_secret_is_refused(kind: str, url: str) -> None:
    refused = problems(dvc_remote=kind, dvc_remote_url=url.replace("SECRET", SECRET))
    assert len(refused) == 1
    assert refused[0].startswith("dvc_remote_url: ")
    assert SECRET not in refused[0]


@pytest.mark.parametrize("key", [*WITH_SECRETS, "dvc_remote_url", "description"])
def test_a_line_break_does_not_give_a_secret_away(key: str) -> None:
    refused = problems(**{key: f"https://u:{SECRET}@h\n"})
    assert SECRET not in "".join(refused)


@pytest.mark.parametrize(
    ("key", "url"),
    [
        ("git_remote_url", "ssh://ada_l@h.org/~/p.git"),
        ("git_remote_url", "https://h.org/o/r-2.git"),
        ("git_remote_url", "user@h.org:o/r.git"),
        ("git_remote_url", "h.org:o/r"),
        ("git_remote_url", "C:\\git\\r.git"),
        ("git_remote_url", "/srv/git/a#b;c.git"),
        ("git_remote_url", "file:///srv/git/r.git"),
        ("git_remote_url", "https://dev.azure.com/o/p/_git/r"),
        ("mlflow_tracking_uri", "postgresql://mlflow@db/mlflow?sslmode=require"),
        ("mlflow_tracking_uri", "mssql+pyodbc://h/d?driver=ODBC+Driver+18+for+SQL+Server"),
        ("mlflow_tracking_uri", "https://h.org:5000/mlflow"),
    ],
)
def test_a_url_without_a_secret_is_welcome(key: str, url: str) -> None:
    assert problems(**{key: url}) == []


@pytest.mark.parametrize(
    "url",
    [
        "https://docs.google.com/spreadsheets/d/1x/export?format=csv&gid=0",
        "https://h.org/blob/main/d.csv?raw=true",
        "https://zenodo.org/records/1/files/d.csv?download=1",
        "https://h.org/api?id=53&ref=main&path=data/d.csv",
        "s3://b/d.csv?versionId=3HL4kqtJlcpXroDTDmJ",
        "ssh://ada@h.org/srv/d.csv",
        "/home/ada@lab/d: 1.csv",
        "data/a@b.csv",
    ],
)
def test_the_url_of_a_download_is_welcome(url: str) -> None:
    assert urls.data_credential_part(url) == ""


@pytest.mark.parametrize("text", NASTY)
def test_odd_texts_are_welcome_where_they_do_no_harm(text: str) -> None:
    assert problems(project_name=text, description=text, author_name=text) == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (b"a,b\n", "there are no rows below the header"),
        (b"a,a\n1,2\n", "it has more than one column named 'a'"),
        (b"a,y\n1,2\n1,2,3\n", "row 3 has 3 fields where the header has 2"),
        (b"\x1f\x8bxx", "it is a damaged gzip file"),
        # Without the time, which would give the test another name in each worker.
        (
            gzip.compress(b"PAR1 and no more", mtime=0),
            "it is a parquet file, compressed by gzip; unpack it",
        ),
        (b"PK\x03\x04", "it is a zip file"),
        (b"\xd0\xcf\x11\xe0 and more", "it is an old Excel file: save it as .xlsx or CSV"),
        (b"12345678DUCK", "it is a DuckDB database: COPY its table TO 'table.parquet'"),
        (b"SQLite format 3\0", "SQLite cannot read it"),
        (b"a\0b\n1\0\n", "it is not a text file"),
        (b"PAR1 and no more", "is not a readable parquet file"),
        (b"<!DOCTYPE html>\n<html><table>", "it is a web page (HTML), not a table"),
        (b'{\n  "a": [1, 2]\n}\n', "it is a JSON object, not a table"),
        (b"[1, 2]", "its JSON is not a list of objects"),
    ],
)
def test_unreadable_data_are_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "my data.csv").write_bytes(content)
    (refusal,) = problems(tmp_path, data_source="my data.csv", target_column="y")
    assert refusal.startswith("data_source: ")
    assert expected in refusal
    assert "\n" not in refusal


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "data.csv")
    (refusal,) = problems(tmp_path, data_source="data.csv", target_column="y")
    assert refusal.endswith("data.csv' is not a file; enter one file with a table")


def test_a_folder_or_a_pattern_of_files_are_partitions(tmp_path: Path) -> None:
    for name in ("year=2013/7.csv", "year=2013/8.csv", "_SUCCESS", "year=2013/.8.csv", "note.txt"):
        (tmp_path / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "raw" / name).write_text("a,y\n1,2\n2,3\n")
    for source, expected in {
        "raw": ["year=2013/7.csv", "year=2013/8.csv"],
        "raw/year=2013": ["7.csv", "8.csv"],
        "raw/*/8.*": ["year=2013/8.csv"],
    }.items():
        given = answers.Answers.of(GOOD | {"data_source": source, "target_column": "y"}, tmp_path)
        assert answers.problems(given) == []
        assert answers.raw(given) == "data/raw"
        assert answers.partitions(given) == "yes"
        assert list(folders.files_of(given.source)) == expected
    assert "no CSV or Parquet files" in problems(tmp_path, data_source="raw/*.csv")[0]


def test_a_prefix_of_a_remote_is_a_folder_of_partitions(tmp_path: Path) -> None:
    given = answers.Answers.of(GOOD | {"data_source": "s3://bucket/months/"}, tmp_path)
    assert answers.raw(given) == "data/raw"
    found = problems(tmp_path, data_source="s3://bucket/months/*.csv", task="regression")
    assert found[0].endswith("DVC cannot import a pattern; enter the folder, s3://bucket/months/")


def test_missing_data_are_refused(tmp_path: Path) -> None:
    assert "cannot be read: File name too long" in problems(tmp_path, data_source="x" * 300)[0]
    assert "there is no file" in problems(tmp_path, data_source="no.csv")[0]
    assert "has no CSV or Parquet files" in problems(tmp_path, data_source=".")[0]
    assert "there is no file" in problems(tmp_path, data_source="~nobody-of-that-name/x.csv")[0]


@pytest.mark.parametrize(
    "content", ["a;y\n1,5;2\n2,5;3\n", "a\ty\n1\t2\n1\t3\n", "a|y\n1|2\n,|3\n"]
)
def test_the_delimiter_is_found(tmp_path: Path, content: str) -> None:
    (tmp_path / "d.csv").write_text(content)
    assert table.look(str(tmp_path / "d.csv"), "y").columns == ("a", "y")


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        *((encoding, "größe") for encoding in ("utf-8", "utf-8-sig", "utf-16", "latin-1")),
        ("cp1252", "“größe” in €"),
        ("cp932", "値段"),
        ("cp932", "ラベル"),
        ("cp1251", "Санкт-Петербург"),
    ],
)
def test_the_encoding_is_found(tmp_path: Path, encoding: str, name: str) -> None:
    (tmp_path / "d.csv").write_text(f"{name},y\n1,2\n2,3\n", encoding=encoding)
    assert table.look(str(tmp_path / "d.csv"), "y").columns == (name, "y")


@pytest.mark.parametrize(
    "content", [",y\n0,2\n1,3\n", "y\n0,2\n1,3\n", '"" "y"\n0 2\n1 3\n', "y\n  0  2\n 10 13\n"]
)
def test_an_index_without_a_name_gets_one(tmp_path: Path, content: str) -> None:
    (tmp_path / "d.csv").write_text(content)
    assert table.look(str(tmp_path / "d.csv"), "y").columns == ("column_1", "y")


def write_shop(path: Path) -> None:
    with closing(sqlite3.connect(path)) as shop, shop:
        shop.execute("CREATE TABLE orders (item TEXT, y REAL)")
        shop.executemany("INSERT INTO orders VALUES (?, ?)", [("a", 1.5), ("b", 2.25), ("c", None)])
        shop.execute('CREATE TABLE "other items" (item TEXT)')


def write_book(path: Path) -> None:
    book = Workbook()
    book.active.title = "notes"
    book.active.append(["nothing", "here"])
    sheet = book.create_sheet("orders")
    for row in (["item", " y"], ["a", 1.5], ["b", 2.25], [None, None], ["c", None]):
        sheet.append(row)
    book.save(path)


@pytest.mark.parametrize(
    ("suffix", "write", "part"),
    [
        ("csv", lambda path: path.write_text("item, y\na,1.5\nb,2.25\nc,NA\n"), ""),
        ("csv", lambda path: path.write_text("item\ty\na\t1.5\nb\t2.25\nc\t\n"), ""),
        ("csv", lambda path: path.write_text("item y\n a 1.5\nb   2.25\nc NA\n"), ""),
        ("csv.gz", lambda path: path.write_bytes(gzip.compress(b"item,y\na,1.5\nb,2.25\n")), ""),
        ("jsonl", lambda path: path.write_text('{"item": "a", "y": 1.5}\n{"y": 2.25}\n'), ""),
        ("json", lambda path: path.write_text('[{"item": "a", "y": 1.5}, {"y": 2.25}]'), ""),
        ("sqlite", write_shop, "orders"),
        ("xlsx", write_book, "orders"),
    ],
)
def test_a_format_is_told_by_the_content(
    tmp_path: Path, suffix: str, write: Callable[[Path], object], part: str
) -> None:
    write(tmp_path / "anything")
    seen = table.look(str(tmp_path / "anything"), "y")
    found = (seen.suffix, seen.columns, seen.values, seen.whole, seen.part, seen.problem)
    assert found == (suffix, ("item", "y"), ("1.5", "2.25"), True, part, "")


def test_a_table_in_a_database_can_be_named(tmp_path: Path) -> None:
    write_shop(tmp_path / "shop.db")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop, shop:
        shop.execute("CREATE TABLE returns AS SELECT * FROM orders")
    given = GOOD | {"data_source": "shop.db", "target_column": "y"}
    (refusal,) = answers.problems(answers.Answers.of(given, tmp_path))
    assert "the tables orders, other items, returns, and the column 'y' in several" in refusal
    assert "such as shop.db/orders" in refusal
    named = answers.Answers.of(given | {"data_source": "shop.db/returns"}, tmp_path)
    assert answers.problems(named) == []
    assert answers.raw_table(named) == "returns"
    assert named.source == str(tmp_path / "shop.db")
    wrong = answers.Answers.of(given | {"data_source": "shop.db/return"}, tmp_path)
    assert "it has no table 'return', but orders, " in answers.problems(wrong)[0]


def test_only_the_beginning_of_a_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "FILE_BYTES", 1000)
    cell = '"one\ntwo"'  # the cut may go through a quoted cell
    (tmp_path / "d.csv").write_text("a,y\n" + f"{cell},1\n" * 500 + "broken\n")
    seen = table.look(str(tmp_path / "d.csv"), "y")
    assert not seen.whole
    assert not seen.problem
    assert set(seen.values) == {"1"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("cat dog cat", "classification"),
        ("0 1 1 0", "classification"),
        ("1.0 2.0 NA 1.0", "classification"),
        ("0.5 1.5 2.5", "regression"),
        (" ".join(map(str, range(30))), "regression"),
        ("$1,200 $3,400.50 $2", "regression"),
        ("true false true", "classification"),
        ("1e-3 2.5e-3 ?", "regression"),
        ("145 142 159 145 151 160 142 170 155 149", "regression"),
        ("1 2 3 1 2 3 3 2 1", "classification"),
        (
            "0 1 0 0 0 2 0 3 0 4 0 0 0 0 0",
            "regression",
        ),  # counts: a class of one row cannot be tested
        ("0 1 0 0 0 1 0 2 0 2 0 0 0 0 0", "classification"),
    ],
)
def test_the_task_is_inferred(tmp_path: Path, values: str, expected: str) -> None:
    assert task(tmp_path, "y\tx\n" + "".join(f"{v}\t1\n" for v in values.split())) == expected


@pytest.mark.parametrize(
    ("values", "answered", "expected"),
    [
        (["a"] * 9, "auto", "has only the value 'a'"),
        (["NA", "?", "null"], "auto", "has no values"),
        ([f"id-{n}" for n in range(50)], "auto", "looks like an identifier"),
        ([f"{n}.5" for n in range(50)], "classification", "too many for classes"),
        (["1", "2", "x"], "regression", "regression needs numbers, but 'y' contains 'x'"),
    ],
)
def test_a_task_that_does_not_fit_is_refused(
    tmp_path: Path, values: list[str], answered: str, expected: str
) -> None:
    (tmp_path / "d.csv").write_text("x,y\n" + "".join(f"0,{value}\n" for value in values))
    (refusal,) = problems(tmp_path, data_source="d.csv", task=answered, target_column="y")
    assert expected in refusal


def test_a_target_with_many_numbers_is_a_quantity() -> None:
    given = answers.Answers.of(GOOD | {"target_column": "body_mass_g"}, Path())
    assert answers.inferred_task(given) == "regression"


def test_parquet_is_looked_at_with_pyarrow(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    data = pyarrow.table({"größe": [1.5, 2.5, None], "y": ["a", None, "b"]})
    parquet.write_table(data, tmp_path / "my data")
    seen = table.look(str(tmp_path / "my data"), "y")
    assert seen == table.Table("parquet", ("größe", "y"), ("a", "b"), whole=True)
    assert "did you mean 'y'" in problems(tmp_path, data_source="my data", target_column="Y")[0]


def test_parquet_without_pyarrow_needs_a_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "")
    (tmp_path / "d.parquet").write_bytes(b"PAR1...")
    given = {"data_source": "d.parquet", "target_column": "y"}
    (refusal,) = problems(tmp_path, **given)
    assert refusal.startswith("task: the columns of d.parquet cannot be read here")
    assert problems(tmp_path, **given, task="regression") == []


def test_a_url_is_looked_at(tmp_path: Path, server: str) -> None:
    (tmp_path / "d.csv").write_text("x,y\n" + "1,2.5\n" * 50_000)
    seen = table.look(f"{server}/d.csv", "y")
    assert seen.columns == ("x", "y")
    assert not seen.whole
    assert len(seen.values) < 12_000, "more than the first 64 KiB were read"
    (refusal,) = problems(data_source=f"{server}/no.csv")
    assert "cannot be fetched" in refusal


def test_a_server_that_is_away_is_reported() -> None:
    (refusal,) = problems(data_source="http://127.0.0.1:9/d.csv")
    assert refusal.startswith("data_source: http://127.0.0.1:9/d.csv cannot be fetched")


@pytest.mark.parametrize(
    ("kind", "url", "expected"),
    [
        ("local", "../store", "../../store"),
        ("local", "/srv/store", "/srv/store"),
        ("local", "~/store", "~/store"),
        ("local", "C:\\store", "C:\\store"),
        ("s3", "s3://b/p", "s3://b/p"),
        ("s3", "s3://b/p?region=x", "s3://b/p"),
    ],
)
def test_the_remote_is_seen_from_its_configuration(kind: str, url: str, expected: str) -> None:
    assert remotes.dvc_url(kind, url) == expected


@pytest.mark.parametrize("kind", remotes.REMOTES)
def test_the_docs_show_each_kind_with_its_options_and_credentials(kind: str) -> None:
    remote = remotes.REMOTES[kind]
    docs = (PENGUINS.parent.parent / "docs" / "remotes.md").read_text(encoding="utf-8")
    assert f"\n| `{kind}` | `{remote.shown}` | {remote.credentials} |\n" in docs
    assert problems(dvc_remote=kind, dvc_remote_url=remote.shown) == [], "the example is right"


def test_the_extras_of_dvc_are_those_needed() -> None:
    def extras(**changed: str) -> str:
        return answers.dvc_extras(answers.Answers.of(GOOD | changed, Path()))

    assert extras() == ""
    assert extras(dvc_remote="gcs") == "[gs]"
    assert extras(dvc_remote="ssh", data_source="s3://b/d.csv") == "[s3,ssh]"


def test_cruft_update_uses_what_was_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {"context": {"cookiecutter": {"__task": "regression", "__raw_suffix": "parquet"}}}
    (tmp_path / ".cruft.json").write_text(json.dumps(state))
    monkeypatch.setattr("sys.argv", ["cruft", "update", "-y", "--project-dir", str(tmp_path)])
    given = answers.Answers.of(GOOD | {"data_source": "gone.csv"}, tmp_path)
    monkeypatch.delitem(sys.modules, "cruft", raising=False)
    assert cruft.updated_project() is None, "cookiecutter itself may have such arguments"
    monkeypatch.setitem(sys.modules, "cruft", cruft)
    assert answers.inferred_task(given) == "regression"
    assert answers.raw(given) == "data/raw.parquet"
    assert answers.problems(given) == []
    assert answers.setup(given)["only_files"]


def test_names_of_all_dependencies_are_reserved(tmp_path: Path) -> None:
    folder = render(tmp_path)
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    glue = tomllib.loads((folder / "packages" / "lockstep" / "pyproject.toml").read_text())
    wanted = [
        *project["project"]["dependencies"],
        *project["dependency-groups"]["dev"],
        *project["build-system"]["requires"],
        *glue["project"]["dependencies"],
    ]
    distributions = {re.split(r"[\[<>=]", line)[0] for line in wanted}
    assert distributions - set(names.DEPENDENCIES) == set()


@pytest.mark.parametrize(
    ("task", "expected", "inferred"),
    [
        ("auto", "bikes", "regression"),
        ("regression", "bikes", "regression"),
        ("classification", "flights", "classification"),
    ],
)
def test_each_task_has_its_sample(task: str, expected: str, inferred: str) -> None:
    given = answers.Answers.of(GOOD | {"data_source": "", "task": task}, Path())
    given = replace(given, target_column=answers.default_target(given))
    sample = answers.sample(given)
    assert sample
    assert sample.name == expected
    assert answers.problems(given) == []
    assert answers.inferred_task(given) == inferred
    assert answers.raw(given) == "data/raw.csv"
    in_parts = replace(given, data_source=str(sample.path))
    assert answers.sample(in_parts) == sample
    assert answers.default_target(in_parts) == sample.target
    assert answers.raw(in_parts) == "data/raw"


def test_the_months_of_a_sample_are_joined_to_one_table(tmp_path: Path) -> None:
    months = folders.files_of(str(samples.named("flights").path))
    folders.join(months.values(), tmp_path / "raw.csv")
    parts = pd.concat(map(pd.read_csv, months.values()), ignore_index=True)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "raw.csv"), parts)


@pytest.mark.parametrize("sample", samples.SAMPLES, ids=lambda sample: sample.name)
def test_a_sample_is_a_year_whose_leaks_give_its_target_away(sample: samples.Sample) -> None:
    months = folders.files_of(str(sample.path))
    parts = {name: pd.read_csv(path, parse_dates=[sample.time]) for name, path in months.items()}
    assert len(parts) == 12
    for name, part in parts.items():
        assert set(part[sample.time].dt.strftime("%Y-%m.csv")) == {name}
        assert 500 <= len(part) <= 750
    rows = pd.concat(parts.values())
    assert rows[sample.time].is_monotonic_increasing
    leak = rows[list(sample.leaks)].sum(axis=1)
    assert (rows[sample.target] == (leak if sample.name == "bikes" else yes_or_no(leak > 0))).all()


def yes_or_no(values: "pd.Series[bool]") -> "pd.Series[str]":
    return values.map({True: "yes", False: "no"})


def test_the_samples_are_small_and_have_their_credit() -> None:
    files = [path for path in samples.FOLDER.iterdir() if path.name != "README.md"]
    assert {path.stem for path in files} >= {sample.name for sample in samples.SAMPLES}
    assert sum(path.stat().st_size for path in samples.FOLDER.rglob("*.csv")) < 1_000_000
    credits = (samples.FOLDER / "README.md").read_text(encoding="utf-8")
    for path in files:
        assert f"`{path.name}{'/' * path.is_dir()}`" in credits
    for sample in samples.SAMPLES:
        assert set(re.findall(r"https://[^)]+", sample.credit)) <= set(
            re.findall(r"https://[^)]+", credits)
        )


def test_an_update_keeps_the_table_that_a_project_started_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["cruft", "update", "--project-dir", str(tmp_path)])
    monkeypatch.setitem(sys.modules, "cruft", cruft)
    given = answers.Answers.of(GOOD | {"data_source": ""}, tmp_path)
    for recorded, expected in (({}, None), ({"__sample": "flights"}, samples.named("flights"))):
        state = {"context": {"cookiecutter": recorded}}
        (tmp_path / ".cruft.json").write_text(json.dumps(state))
        assert answers.sample(given) == expected


def test_git_settings_are_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: (_ for _ in ()).throw(OSError))
    assert names.git_config("user.name") == ""
