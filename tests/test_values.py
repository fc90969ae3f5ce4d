"""The small functions on plain values, and the project that reads each file once."""

from pathlib import Path

import pytest

from lockstep import LockstepError
from lockstep.config.settings import settings
from lockstep.project import Project
from lockstep.values import (
    counted,
    digest,
    first_line,
    flattened,
    nearest,
    number,
    selected,
    slug,
    without_secrets,
)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("one\ntwo"), "one"),
        (ValueError(), "ValueError"),
        (KeyError(""), "''"),
        (OSError(" \n\n"), "OSError"),
        ("\n  a text\nmore", "a text"),
    ],
)
def test_a_message_needs_no_text_in_the_exception(
    error: BaseException | str, expected: str
) -> None:
    assert first_line(error) == expected


def test_nested_values_have_dotted_keys() -> None:
    nested = {"a": {"b": 1, "c": {}}, "d": [2]}
    assert flattened(nested) == {"a.b": 1, "a.c": {}, "d": [2]}
    assert selected(nested, "a.b") == 1
    assert selected(nested, "a.b.c") is None
    assert selected({"a": [{"b": 2}]}, "a.0.b") == 2
    assert selected({"a": [{"b": 2}]}, "a.1.b") is None
    assert selected(nested, "x.y") is None
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1, "b": 3})


def test_texts_for_people() -> None:
    assert [counted(count, "file") for count in (0, 1, 2)] == ["0 files", "1 file", "2 files"]
    assert [number(value) for value in (None, 0.123456, 12345.6)] == ["-", "0.1235", "1.235e+04"]
    assert nearest("n_estimator", ["n_estimators", "C"]) == "; did you mean n_estimators?"
    assert nearest("x", ["n_estimators"]) == ""
    assert slug("größe (mm)/a.b") == "größe--mm--a.b"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://u:pw@h:80/x", "https://h:80/x"),
        ("https://h/o/r.git?private_token=pw", "https://h/o/r.git"),
        ("https://h/x#token=pw", "https://h/x"),
        ("mssql+pyodbc:///?odbc_connect=PWD%3Dpw", "mssql+pyodbc:///"),
        ("postgresql://u:p@w@h/d?password=pw", "postgresql://h/d"),
        ("sqlite:////srv/a#b.db", "sqlite:////srv/a#b.db"),
        ("git@h.org:o/r.git", "git@h.org:o/r.git"),
        ("/srv/a#b?c", "/srv/a#b?c"),
    ],
)
def test_a_uri_is_printed_without_what_could_be_a_secret(uri: str, expected: str) -> None:
    assert without_secrets(uri) == expected


def test_a_project_reads_what_it_is_asked_for(tmp_path: Path) -> None:
    empty = Project(tmp_path)
    assert (empty.params, empty.packages, empty.settings, empty.registry) == ({}, {}, {}, {})
    with pytest.raises(LockstepError, match="has no folder conf/"):
        _ = empty.tracking

    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/config.yaml").write_text("tracking: {experiment: e, uri: null}\n")
    assert empty.tracking == {"experiment": "e", "uri": None}, "the pipeline has not run yet"
    assert empty.store.embedded

    (tmp_path / "params.yaml").write_text("registry: {name: n}\n")
    (tmp_path / "composed.yaml").write_text("packages: {numpy: 2.3.0}\n")
    (tmp_path / "pyproject.toml").write_text('[tool.lockstep]\nschema = "p.config:Config"\n')
    project = Project(tmp_path)
    assert project.registry == {"name": "n"}
    assert project.packages == {"numpy": "2.3.0"}
    assert project.settings == settings(tmp_path) == {"schema": "p.config:Config"}
    with pytest.raises(LockstepError, match=r"params\.yaml has no section `tracking`"):
        _ = project.tracking
