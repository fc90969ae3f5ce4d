"""Reading raw data: a file of any common format and encoding, told by its content."""

# ruff: noqa: RUF001 (letters of other alphabets)

import gzip
import json
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from omegaconf import DictConfig
from stages import composed, stage

from lockstep import LockstepError

TEXT = "item,size,outcome\na,1.5,1\nb,2.5,2\nc,,1\n"


def columns(path: Path, cfg: DictConfig) -> dict[str, list[object]]:
    """The columns, as text."""
    frame, _ = stage("reading").read_raw(path, cfg.data)
    text = {str(name): values.astype("string").fillna("") for name, values in frame.items()}
    return {name: [value.removesuffix(".0") for value in values] for name, values in text.items()}


def write_shop(path: Path) -> None:
    with closing(sqlite3.connect(path)) as shop, shop:
        shop.execute("CREATE TABLE orders (item TEXT, size REAL, outcome INT)")
        rows = [("a", 1.5, 1), ("b", 2.5, 2), ("c", None, 1)]
        shop.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)
        shop.execute('CREATE TABLE "other items" (item TEXT)')


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_text(TEXT),
        lambda path: path.write_text(TEXT.replace(",", "\t")),
        lambda path: path.write_text(TEXT.replace(",", ", ")),
        lambda path: path.write_text("item size outcome\n a  1.5 1\n b 2.5  2\n c  ''  1\n"),
        lambda path: path.write_text("item,size,outcome\na,1.5,1,\nb,2.5,2,\nc,,1,\n"),
        lambda path: path.write_bytes(gzip.compress(TEXT.encode())),
        lambda path: path.write_text(
            '{"item": "a", "size": 1.5, "outcome": 1}\n\n{"item": "b", "size": 2.5, "outcome": 2}\n'
            '{"item": "c", "size": null, "outcome": 1}\n'
        ),
        lambda path: path.write_text(
            '[{"item": "a", "size": 1.5, "outcome": 1}, {"item": "b", "size": 2.5, "outcome": 2},\n'
            '{"item": "c", "outcome": 1}]'
        ),
        write_shop,
    ],
    ids=["csv", "tsv", "padded", "spaces", "trailing", "gzip", "jsonl", "json", "sqlite"],
)
def test_the_format_is_told_by_the_content(
    write: Callable[[Path], object], cfg: DictConfig, tmp_path: Path
) -> None:
    write(tmp_path / "raw.csv")
    read = columns(tmp_path / "raw.csv", cfg)
    read.pop("column_4", None)  # after a delimiter at the end of each line
    read = {name: [str(value).strip(" '") for value in values] for name, values in read.items()}
    expected = {"item": ["a", "b", "c"], "size": ["1.5", "2.5", ""], "outcome": ["1", "2", "1"]}
    assert read == expected


@pytest.mark.parametrize(
    "text",
    [
        "x,outcome\nr1,1,2\nr2,3,4\n",
        '"x" "outcome"\n"r1" 1 2\n"r2" 3 4\n',
        "x\toutcome\nr1\t1\t2\n",
    ],
)
def test_row_names_as_r_writes_them_are_a_column(
    text: str, cfg: DictConfig, tmp_path: Path
) -> None:
    (tmp_path / "raw.csv").write_text(text)
    read = columns(tmp_path / "raw.csv", cfg)
    assert list(read) == ["column_1", "x", "outcome"]
    assert (read["column_1"][0], read["x"][0], read["outcome"][0]) == ("r1", "1", "2")


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Größe – “alle” in €,outcome\nÀ,1\nŒ,2\n"),
        ("cp1252", "temp in °C,outcome\nMüller,1\n"),
        ("cp932", "名前,outcome\nりんご,1\nみかん,2\n"),
        ("euc_jp", "名前,outcome\nりんご,1\nみかん,2\nバナナ,1\n"),
        ("gb18030", "姓名,outcome\n北京,1\n上海,2\n广州,1\n"),
        ("cp1251", "имя,outcome\nМосква,1\nСанкт-Петербург,2\n"),
        ("utf-16", "größe,outcome\nÀ,1\n"),
    ],
)
def test_the_encoding_is_told_by_the_content(
    encoding: str, text: str, cfg: DictConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "raw.csv").write_text(text, encoding=encoding)
    header, first, *_ = text.splitlines()
    read = columns(tmp_path / "raw.csv", cfg)
    assert list(read) == header.split(",")
    assert next(iter(read.values()))[0] == first.split(",")[0]
    assert ("read as" in capsys.readouterr().out) == (encoding != "utf-16")


def test_an_odd_character_far_into_a_large_file_is_seen(cfg: DictConfig, tmp_path: Path) -> None:
    lines = ["a,outcome", *["x,1"] * 600_000, "Köln,2", ""]
    (tmp_path / "raw.csv").write_bytes("\n".join(lines).encode("cp1252"))
    assert columns(tmp_path / "raw.csv", cfg)["a"][-1] == "Köln"


def test_a_table_in_a_database_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    write_shop(path)
    with closing(sqlite3.connect(path)) as shop, shop:
        shop.execute("CREATE TABLE returns AS SELECT * FROM orders WHERE outcome = 2")
    with pytest.raises(LockstepError, match="the column 'outcome' in several: name one in data"):
        stage("reading").read_raw(path, composed().data)
    assert columns(path, composed(data__table="returns"))["item"] == ["b"]
    with pytest.raises(LockstepError, match="it has no table 'x', but orders, other items, ret"):
        stage("reading").read_raw(path, composed(data__table="x").data)


def test_an_excel_file_without_its_reader_names_it(
    cfg: DictConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (tmp_path / "raw.xlsx").write_bytes(b"PK\3\4 [Content_Types].xml")
    with pytest.raises(LockstepError, match="which openpyxl reads: uv add openpyxl"):
        stage("reading").read_raw(tmp_path / "raw.xlsx", cfg.data)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html><body>Sign in", "a web page"),
        (b'{"a": [1, 2],\n"outcome": [1, 2]}', "a JSON object, not a table"),
        (b'{"a": {"0": 1}, "outcome": {"0": 1}}', "a JSON object, not a table"),
        (b'{"outcome": 1}\n{"outcome": 2', "Expecting"),
        (b"\x1f\x8bxx", "cannot be read"),
        (b"a b outcome\n1 2 1\n1 2 3 4\n", "row 2 has 4 fields, the others 3; the fields are sep"),
        (b"a\0b,outcome\n", "not a text file"),
        (b"SQLite format 3\0", "SQLite cannot read it"),
        (b"PAR1", "cannot be read"),
    ],
)
def test_what_is_no_table_is_named(
    content: bytes, message: str, cfg: DictConfig, tmp_path: Path
) -> None:
    (tmp_path / "raw.csv").write_bytes(content)
    with pytest.raises(LockstepError) as error:
        stage("reading").read_raw(tmp_path / "raw.csv", cfg.data)
    assert message in str(error.value)


def test_bytes_are_text_or_left_out(cfg: DictConfig, tmp_path: Path) -> None:
    table = pa.table(
        {
            "city": pa.array([b"Bonn", b"Ulm", None] * 4, pa.binary()),
            "image": pa.array([b"\xff\xfe", b"\xff", None] * 4, pa.binary()),
            "outcome": [1, 2] * 6,
        }
    )
    pa.parquet.write_table(table, tmp_path / "raw.parquet")
    report = tmp_path / "columns.csv"
    stage("ingest").main(
        cfg, tmp_path / "raw.parquet", tmp_path / "table.parquet", report, tmp_path / "schema.yaml"
    )
    kinds = pd.read_csv(report, index_col="column")
    assert kinds.loc["city", "kind"] == "category"
    assert kinds.loc["image", "note"] == "left out: bytes in its cells"
    empty = table.slice(0, 0)
    pa.parquet.write_table(empty, tmp_path / "raw.parquet")
    with pytest.raises(LockstepError, match="has no rows"):
        stage("reading").read_raw(tmp_path / "raw.parquet", cfg.data)


def test_values_of_json_keep_their_types(cfg: DictConfig, tmp_path: Path) -> None:
    rows = [
        {"n": row, "id": 2**60 + row, "mixed": row if row % 2 else "x", "flag": row % 3 == 0}
        | {"list": [row], "day": f"2024-01-{row + 1:02d}", "outcome": row % 2}
        for row in range(24)
    ]
    (tmp_path / "raw.jsonl").write_text("\n".join(map(json.dumps, rows)))
    report = tmp_path / "columns.csv"
    stage("ingest").main(
        cfg, tmp_path / "raw.jsonl", tmp_path / "table.parquet", report, tmp_path / "schema.yaml"
    )
    kinds = pd.read_csv(report, index_col="column")["kind"]
    assert kinds["flag"] == "boolean"
    assert kinds["list"] == "nested"
    assert kinds["day"] == "date"
    assert kinds["id"] == "id"


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([1e308, -1e308], -1e308, 1e308),
        ([100.0, 89_100.0], 0.0, 178_000.0),
        ([-5.0, -1.0], -9.0, 0.0),
        ([0.0, 7.0], 0.0, 14.0),
        ([-1.0, 1.0], -3.0, 3.0),
        ([1000.0, 1001.0], 999.0, 1002.0),
        ([5.0, 5.0], 5.0, 5.0),
    ],
)
def test_an_inferred_range_is_wide_and_of_the_same_sign(
    values: list[float], low: float, high: float
) -> None:
    table = pd.DataFrame({"price": values, "outcome": ["a", "b"]})
    rules = stage("schema").infer_schema(table, "outcome").columns
    assert rules["price"].min == pytest.approx(low)
    assert rules["price"].max == pytest.approx(high, rel=0.01)
    assert len(stage("validate").check(table, rules)) == 0
