"""Columns as people write them: ingest reads the right value, or says what it could not decide."""

import random
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from stages import composed, stage

from lockstep import LockstepError
from lockstep_template import table

ROWS = 120
DOUBTS = ("nothing shows", "fits as well", "counted as missing")


def ingest(folder: Path, columns: dict[str, list[str]], sep: str = ",", **data: Any) -> Any:
    """Write a CSV whose columns repeat some cells and run the stage on it: values and report.

    A file schema.yaml in the folder is used, as it is when the next data arrive.
    """
    named = {"y": ["a", "b"], "other": ["1", "2", "5"], **columns}
    frame = pd.DataFrame(
        {name: [cells[n % len(cells)] for n in range(ROWS)] for name, cells in named.items()}
    )
    frame.to_csv(folder / "raw.csv", index=False, sep=sep)
    settings = {"target": "y", "missing": sorted(table.MISSING), **data}
    cfg = composed(**{f"data__{name}": value for name, value in settings.items()})
    paths = [folder / name for name in ("raw.csv", "table.parquet", "columns.csv", "schema.yaml")]
    stage("ingest").main(cfg, *paths)
    report = pd.read_csv(paths[2], index_col="column", na_filter=False)
    return pd.read_parquet(paths[1]), report


def first(values: Any, count: int) -> list[Any]:
    """The first values of a column, None where one is missing."""
    return [None if pd.isna(value) else value for value in values.iloc[:count]]


@pytest.mark.parametrize(
    ("cells", "numbers", "unit"),
    [
        (["1 234,5", "12"], [1234.5, 12], ""),
        (["1\u00a0234,5", "12"], [1234.5, 12], ""),
        (["1\u202f234,5", "12"], [1234.5, 12], ""),
        (["1'234.50", "7"], [1234.5, 7], ""),
        (["1\u2019234.50", "7"], [1234.5, 7], ""),
        (["-$1,234", "$2.50"], [-1234, 2.5], "$"),
        (["(1,234)", "5,678.5"], [-1234, 5678.5], ""),
        (["1.234,50-", "2,5"], [-1234.5, 2.5], ""),
        (["USD 100", "USD 250"], [100, 250], "USD"),
        (["1.200,5 €", "3 €"], [1200.5, 3], "€"),
        (["5 kg", "7.5 kg"], [5, 7.5], "kg"),
        (["36 months", "1 month"], [36, 1], "month"),
        (["10k", "950", "1.5k"], [10000, 950, 1500], ""),
        (["$2.5M", "$10k"], [2.5e6, 1e4], "$"),
        (["\u22125", "5", "7"], [-5, 5, 7], ""),
        (["1,23,456", "12"], [123456, 12], ""),
        (["1.234.567", "12"], [1234567, 12], ""),
        (["١٢", "٣"], [12, 3], ""),
        (["12 %", "7%"], [12, 7], "%"),
        (["1.5e3", "2.125"], [1500, 2.125], ""),
    ],
)  # fmt: skip
def test_numbers_are_read_with_their_units(
    cells: list[str], numbers: list[float], unit: str, tmp_path: Path
) -> None:
    values, report = ingest(tmp_path, {"x": cells})
    assert first(values["x"], len(cells)) == numbers, report.loc["x"]
    assert report["note"]["x"].startswith(f"in {unit}") or not unit
    assert (f"unit: {unit}" in (tmp_path / "schema.yaml").read_text().replace("'", "")) == bool(
        unit
    )


def test_the_other_columns_show_the_decimal_mark(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = {"menge": ["987", "1.234", "12.500"], "preis": ["0,5", "1,5", "2,5"]}
    values, _ = ingest(tmp_path, columns, sep=";")
    assert first(values["menge"], 3) == [987, 1234, 12500]
    assert "menge: number: '1.234' is read as 1234\n" in capsys.readouterr().out
    (tmp_path / "schema.yaml").unlink()
    values, _ = ingest(tmp_path, {"menge": columns["menge"], "price": ["0.5", "1.5"]}, sep=";")
    assert first(values["menge"], 3) == [987, 1.234, 12.5]


def test_a_comma_between_whole_numbers_is_no_decimal_mark_where_the_table_has_points(
    tmp_path: Path,
) -> None:
    columns = {"height": ["0.5", "1.25", "2.5", "1.75"], "sources": ["1", "2", "4,6", "3", "14,15"]}
    _, report = ingest(tmp_path, columns, sep=";")
    assert report["kind"].to_dict()["sources"] == "category"
    assert "60% are numbers, but not '4,6', '14,15'" in report["note"]["sources"]


@pytest.mark.parametrize(("sep", "value"), [(";", 1234), (",", 1.234)])
def test_a_mark_that_nothing_shows_is_said(
    sep: str, value: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values, _ = ingest(tmp_path, {"x": ["987", "1.234", "12.500"]}, sep=sep)
    assert values["x"].iloc[1] == value
    assert "nothing shows which mark is the decimal one: data.csv.decimal decides" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        (["5 kg", "500 g", "2 kg"], "their units differ: 'kg', 'g'"),
        (["$5", "7 €"], "their units differ: '$', '€'"),
        (["12%", "0.5"], "their units differ: none, '%'"),
        (["1.5", "2,5", "1.234"], "some have a decimal comma and some a decimal point"),
        (["1", "2", "3", "TBC-7"], "75% are numbers, but not 'TBC-7'"),
    ],
)
def test_what_is_not_read_as_numbers_is_said(
    cells: list[str], problem: str, tmp_path: Path
) -> None:
    _, report = ingest(tmp_path, {"x": cells})
    assert report["kind"]["x"] == "category"
    assert problem in report["note"]["x"]


def test_types_rescue_a_column_or_say_why_not(tmp_path: Path) -> None:
    cells = [*["1 200", "3 400"] * 3, *[f"see note {n}" for n in range(ROWS)]]
    values, report = ingest(tmp_path, {"x": cells}, types={"x": "number"})
    assert first(values["x"], 3) == [1200, 3400, 1200]
    assert "counted as missing, being no number: 'see note 0'" in report["note"]["x"]
    with pytest.raises(LockstepError, match="their units differ: 'g', 'kg'"):
        ingest(tmp_path, {"x": ["5 kg", "500 g", "2 g"]}, types={"x": "number"})


@pytest.mark.parametrize(
    "cells",
    [["12 May", "13 May"], ["5 PM", "6 PM"], ["0042", "1234"], ["1/2", "3/4"], ["1-2", "3"]],
)
def test_no_number_is_made_of(cells: list[str], tmp_path: Path) -> None:
    assert ingest(tmp_path, {"x": cells})[1]["kind"]["x"] == "category"


@pytest.mark.parametrize(
    "mark",
    ["-", ".", "--", "missing", "Unknown", "#DIV/0!", "nil", "None", "(null)", "n.a.", "\u2013"],
)
def test_a_mark_among_numbers_is_a_missing_value(mark: str, tmp_path: Path) -> None:
    values, report = ingest(tmp_path, {"x": ["1.5", mark, "2.5", "4"]})
    assert first(values["x"], 4) == [1.5, None, 2.5, 4]
    assert report["note"]["x"] == f"75% are numbers, the others are '{mark}': read as missing"


def test_a_number_target_with_marks_is_one_for_the_template_too(tmp_path: Path) -> None:
    prices = [*["-", "unknown"] * 10, *[f"{1000 + n * 7.5:,.2f}" for n in range(100)]]
    values, _ = ingest(tmp_path, {"price": prices}, target="price", task="regression")
    assert len(values) == 100
    seen = table.look(str(tmp_path / "raw.csv"), "price")
    assert seen.are_numbers
    assert sorted(seen.numbers.values.values()) == sorted(values["price"])


def test_words_in_a_text_target_are_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disorders = {"disorder": ["None", "Insomnia", "Apnea"]}
    values, _ = ingest(tmp_path, disorders, target="disorder")
    assert values["disorder"].value_counts().to_dict() == {"None": 40, "Insomnia": 40, "Apnea": 40}
    assert "classes of their own, unless data.missing lists them: 'None'" in capsys.readouterr().out
    (tmp_path / "schema.yaml").unlink()
    values, _ = ingest(tmp_path, disorders, target="disorder", missing=["", "none"])
    assert set(values["disorder"]) == {"Insomnia", "Apnea"}
    assert "40 rows left out: their disorder is missing ('None')" in capsys.readouterr().out
    (tmp_path / "schema.yaml").unlink()
    values, _ = ingest(tmp_path, {"continent": ["NA", "EU", "AS"]}, target="continent")
    assert set(values["continent"]) == {"NA", "EU", "AS"}


def test_rows_that_a_stray_quotation_mark_made_one_cell_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ingest(tmp_path, {"x": ["red", "blue", "red\n2,a,1\n3,b,2\n4,", "two\nlines"]})
    said = "x: category: row 3: a cell holds 2 whole lines with as many ',' each: if they are rows"
    assert said in capsys.readouterr().out


def test_a_name_with_a_line_break_or_of_any_length_is_one_in_the_schema(tmp_path: Path) -> None:
    names = ["a\nb", "n" * 3000, "? k: v", '"', "tab\tx"]
    values, _ = ingest(tmp_path, {name: ["1", "2", "5"] for name in names})
    again, _ = ingest(tmp_path, {name: ["1", "2", "5"] for name in names})
    assert {*names} < {*values}
    assert again.equals(values)


@pytest.mark.parametrize(
    ("cells", "days"),
    [
        (["Jan 1 2000", "Feb 28 2001"], ["2000-01-01", "2001-02-28"]),
        (["January 2024", "May 2023"], ["2024-01-01", "2023-05-01"]),
        (["Jan-24", "Feb-63"], ["2024-01-01", "1963-02-01"]),
        (["Tue, 15 Nov 1994 08:12:31 GMT", "Wed, 16 Nov 1994 00:12:31 +0100"],
         ["1994-11-15 08:12:31", "1994-11-15 23:12:31"]),
        (["01/15/2024 10:00:00.123", "02/03/2024 00:00:00.500"],
         ["2024-01-15 10:00:00.123", "2024-02-03 00:00:00.5"]),
        (["2024-01-05", "05.02.2024", "Mar 7, 2024"], ["2024-01-05", "2024-02-05", "2024-03-07"]),
        (["2024-01-05", "0000-00-00", "2024-01-07"], ["2024-01-05", None, "2024-01-07"]),
        (["2024-01-05", "unknown", "2024-01-07"], ["2024-01-05", None, "2024-01-07"]),
        (["9999-12-31", "2024-01-07"], ["9999-12-31", "2024-01-07"]),
        (["31.12.2024", "-", "01.02.2024"], ["2024-12-31", None, "2024-02-01"]),
        (["01.2024", "12.2023"], ["2024-01-01", "2023-12-01"]),
        (["10/Oct/2000:13:55:36 -0700", "11/Oct/2000:00:00:00 +0000"],
         ["2000-10-10 20:55:36", "2000-10-11"]),
        (["Monday, January 1, 2024", "Tuesday, January 2, 2024"], ["2024-01-01", "2024-01-02"]),
        (["2024-01-05 10:00:00 UTC", "2024-02-05 10:00:00 UTC"],
         ["2024-01-05 10:00", "2024-02-05 10:00"]),
        (["2024-01-05 10:00 EST", "2024-07-05 10:00 CEST"],
         ["2024-01-05 15:00", "2024-07-05 08:00"]),
        (["3. März 2024", "4. Mai 2023", "1. Dez. 2023"],
         ["2024-03-03", "2023-05-04", "2023-12-01"]),
        (["lundi 3 mars 2024", "1er août 2023"], ["2024-03-03", "2023-08-01"]),
        (["3 de marzo de 2024", "5 de enero de 2023"], ["2024-03-03", "2023-01-05"]),
        (["3 maggio 2024", "5 gennaio 2023"], ["2024-05-03", "2023-01-05"]),
        (["3 mrt 2024", "5 mei 2023"], ["2024-03-03", "2023-05-05"]),
        (["3 março 2024", "5 dezembro 2023"], ["2024-03-03", "2023-12-05"]),
        (["Januar 2024", "Sept. 2023"], ["2024-01-01", "2023-09-01"]),
        (["2024-Q1", "2024-Q3"], ["2024-01-01", "2024-07-01"]),
        (["Q1 2024", "Q4 2023"], ["2024-01-01", "2023-10-01"]),
        (["H1 2024", "H2 2023"], ["2024-01-01", "2023-07-01"]),
        (["1Q24", "4Q23"], ["2024-01-01", "2023-10-01"]),
        (["2024H2", "2023H1"], ["2024-07-01", "2023-01-01"]),
        (["3 января 2024", "5 мая 2023"], ["2024-01-03", "2023-05-05"]),
        (["3 stycznia 2024", "5 paź 2023"], ["2024-01-03", "2023-10-05"]),
        (["3 mars 2024", "5 maj 2023"], ["2024-03-03", "2023-05-05"]),
        (["3 marts 2024", "5 maj 2023"], ["2024-03-03", "2023-05-05"]),
        (["3 Ağustos 2024", "5 Ocak 2023"], ["2024-08-03", "2023-01-05"]),
        (["2024-W03", "2020-W53"], ["2024-01-15", "2020-12-28"]),
        (["1999M1", "1999M12"], ["1999-01-01", "1999-12-01"]),
        (["2024年1月5日", "2024年12月16日"], ["2024-01-05", "2024-12-16"]),
    ],
)  # fmt: skip
def test_dates_are_read(cells: list[str], days: list[str | None], tmp_path: Path) -> None:
    values, report = ingest(tmp_path, {"x": cells})
    assert report["kind"]["x"] == "date", report.loc["x"]
    assert first(values["x"], len(cells)) == [day and pd.Timestamp(day) for day in days]
    assert report["note"]["x"]


@pytest.mark.parametrize(
    "cells",
    [["3 ledna 2024", "5 května 2023"], ["13:35", "14:40"], ["S1 2024", "S2 2024"],
     ["Jan 5, 2024 10:00 PM PST", "Jan 6, 2024 9:00 PM PST"]],
)  # fmt: skip
def test_dates_and_times_that_are_not_read_are_said(
    cells: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ingest(tmp_path, {"x": cells})[1]["kind"]["x"] == "category"
    said = f"x: category: '{cells[0]}' looks like a date or a time, but is not read as one"
    assert said in capsys.readouterr().out


def test_what_is_called_a_date_and_is_none_is_said(tmp_path: Path) -> None:
    columns = {"MidDate": ["8/29", "8/30"], "date": ["1990,  July", "1991,  May"]}
    names = {"candidate": ["a1", "b2"], "date_of_what": ["tour", "trip"]}
    notes = ingest(tmp_path, columns | names)[1]["note"]
    assert notes["MidDate"].startswith("'8/29', '8/30' are not read as dates; data.missing, ")
    assert "are not read as dates" in notes["date"]
    assert [notes[name] for name in names] == ["", ""]


@pytest.mark.parametrize(
    "cells",
    [
        ["set-12", "set-13"],
        ["out 1", "out 2"],
        ["mag 5", "lug 5"],
        ["mar 5", "lip 5"],
        ["A1", "B2"],
        ["IT", "HR"],
    ],
)
def test_no_date_is_made_of(cells: list[str], tmp_path: Path) -> None:
    report = ingest(tmp_path, {"x": cells})[1]
    assert (report["kind"]["x"], report["note"]["x"]) == ("category", "")


def test_a_number_is_a_date_by_its_name(tmp_path: Path) -> None:
    cells = ["19580329", "20240131", "19991231"]
    values, report = ingest(
        tmp_path, {"date": cells, "month": ["202401", "202312", "202402"], "n": cells}
    )
    assert values["date"].iloc[0] == pd.Timestamp("1958-03-29")
    assert values["month"].iloc[1] == pd.Timestamp("2023-12-01")
    assert values["n"].iloc[0] == 19580329
    assert "may be a date" in report["note"]["n"]


def test_a_number_that_names_rows_is_no_date(tmp_path: Path) -> None:
    _, report = ingest(tmp_path, {"visit_id": ["20240101", "20240102", "20240103"]})
    assert report["kind"]["visit_id"] == "category"


def test_contradicting_dates_are_no_dates(tmp_path: Path) -> None:
    _, report = ingest(tmp_path, {"x": ["13/01/2024", "01/13/2024", "02/03/2024"]})
    assert report["kind"]["x"] == "category"
    assert "contradict each other" in report["note"]["x"]


def test_the_format_is_kept_for_the_next_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def days(month: int, last: int) -> dict[str, list[str]]:
        return {"sold": [f"{day:02}/{month:02}/2024" for day in range(1, last + 1)]}

    ingest(tmp_path, days(3, 12))
    assert "read as %m/%d/%Y, but %d/%m/%Y fits as well: data.types" in capsys.readouterr().out
    assert "sold: {kind: date, missing: false, formats: ['%m/%d/%Y']}" in (
        (tmp_path / "schema.yaml").read_text()
    )
    with pytest.raises(LockstepError, match=r"'sold', row 13: '13/04/2024' is a date, but not in"):
        ingest(tmp_path, days(4, 28))
    (tmp_path / "schema.yaml").unlink()
    ingest(tmp_path, days(3, 28))
    values, report = ingest(tmp_path, days(4, 12))
    assert values["sold"].iloc[11] == pd.Timestamp("2024-04-12"), "as the first file, day first"
    assert report["note"]["sold"] == "read as %d/%m/%Y"


def test_another_unit_than_before_is_refused(tmp_path: Path) -> None:
    ingest(tmp_path, {"x": ["5 kg", "7 kg"]})
    ingest(tmp_path, {"x": ["9 kg", "8 kg"]})
    for types in ({}, {"x": "number"}):
        with pytest.raises(
            LockstepError, match=r"'x', row 2: '50 g' is in g, but 'kg' is the unit"
        ):
            ingest(tmp_path, {"x": ["-", "50 g", "70 g", "1 g"]}, types=types)
    as_target = {"target": "x", "task": "regression"}
    with pytest.raises(LockstepError, match="'kg' is the unit in schema"):
        ingest(tmp_path, {"x": ["50 g", "70 g"]}, **as_target)


# --- random columns


def draw_numbers(draw: random.Random, mark: str) -> tuple[list[str], list[float | None]]:
    """A column of numbers in one way of writing, with marks of missing values, and the numbers."""
    group = draw.choice(["", ",", ".", " ", "'", "\u202f"])
    group = group if group != mark else ""
    before = draw.choice(["", "", "$", "€ ", "USD "])
    after = "" if before else draw.choice(["", "", " kg", "%", "k", " €"])
    negative = draw.choice(["-{}", "\u2212{}", "({})"])
    digits, scale = draw.randint(0, 3), 1000 if after == "k" else 1
    cells: list[str] = []
    numbers: list[float | None] = []
    missing = draw.choice([None, None, "-", "unknown", "#N/A", "."])
    for _ in range(draw.choice([3, 10, ROWS])):
        value = round(draw.uniform(0, 10 ** draw.randint(1, 7)), digits)
        text = f"{value:,.{digits}f}".replace(",", "G").replace(".", mark).replace("G", group)
        text = f"{before}{text}{after}"
        is_negative = draw.random() < 0.2
        cells.append(negative.format(text) if is_negative else text)
        numbers.append(round((-1 if is_negative else 1) * value * scale, 3))
    if missing and len(cells) > 3:
        for row in draw.sample(range(len(cells)), len(cells) // 4):
            cells[row], numbers[row] = missing, None
    return cells, numbers


def draw_dates(draw: random.Random) -> tuple[list[str], list[datetime | None]]:
    """The same for dates, sometimes in two ways of writing."""
    ways: list[Callable[[date], str]] = [
        lambda day: day.isoformat(),
        *(
            lambda day, form=form: day.strftime(form)
            for form in ("%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%b %d %Y", "%d %B %Y",
                         "%m/%d/%y", "%d.%m.%y", "%Y%m%dT%H%M", "%a, %d %b %Y 00:00:00 +0000")
        ),
    ]  # fmt: skip
    chosen = draw.sample(ways, draw.choice([1, 1, 2]))
    span = draw.choice([11, 300, 9000])
    days = [
        datetime(2000, 1, 1) + timedelta(days=draw.randint(0, span))
        for _ in range(draw.choice([3, 10, ROWS]))
    ]
    cells = [draw.choice(chosen)(day) for day in days]
    truth: list[datetime | None] = list(days)
    missing = draw.choice([None, None, "-", "unknown", "0000-00-00"])
    if missing and len(cells) > 3:
        for row in draw.sample(range(len(cells)), len(cells) // 4):
            cells[row], truth[row] = missing, None
    return cells, truth


@pytest.mark.parametrize("seed", range(30))
def test_random_columns_are_read_rightly_or_with_a_doubt(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if seed % 2:
        monkeypatch.setattr(stage("parsing"), "BULK", 0)  # as long columns are read
    draw = random.Random(seed)  # noqa: S311
    mark = draw.choice(".,")  # a table has one
    columns = {f"n{n}": draw_numbers(draw, mark) for n in range(4)}
    dates = {f"d{n}": draw_dates(draw) for n in range(3)}
    drawn: dict[str, tuple[list[str], list[Any]]] = columns | dates
    sep = draw.choice([",", ";", "\t"])
    values, report = ingest(tmp_path, {name: cells for name, (cells, _) in drawn.items()}, sep)
    for name, (cells, truth) in drawn.items():
        kind, note = report["kind"][name], report["note"][name]
        if kind != ("number" if name in columns else "date"):
            assert note or len(set(cells)) == 1, (kind, cells[:10])
            continue
        right = first(values[name], len(truth)) == truth
        assert right or re.search("|".join(DOUBTS), note), (cells[:10], values[name][:10], note)
