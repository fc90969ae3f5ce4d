"""A registered model predicts for a table as users read it, whatever its types.

Either directly, or after the line that the model card gives, or MLflow refuses the column: never
are the predictions different ones.
"""

import datetime
import decimal
import importlib
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from lockstep.gate.card import USE
from lockstep.mlflow.package import save

DAYS = [datetime.datetime(2024, month, 1) for month in (1, 2, 3, 4)]
# As the pipeline types them: float64, str, bool, datetime64[us].
TRAINED = pd.DataFrame(
    {
        "number": [1.0, 2.0, 3.0, np.nan],
        "category": ["a", "b", "c", None],
        "boolean": [True, False, True, False],
        "date": pd.Series([*DAYS[:3], None]).astype("datetime64[us]"),
    }
)
ROWS = TRAINED[:3]  # values that integers can hold, too
TYPES = {
    "number": [
        *("int8", "uint8", "int16", "int32", "uint32", "int64", "uint64", "float32", "float64"),
        *("Int64", "Float64", "int64[pyarrow]", "double[pyarrow]", "object", "decimal"),
    ],
    "category": [
        *("str", "object", "string[python]", "string[pyarrow]", "large_string[pyarrow]"),
        "category",
    ],
    "boolean": ["bool", "boolean", "object", "bool[pyarrow]"],
    "date": [
        *("datetime64[s]", "datetime64[ms]", "datetime64[us]", "datetime64[ns]", "object", "date"),
        *("timestamp[us][pyarrow]", "date32[pyarrow]"),
    ],
}
# What the model card tells to convert by hand.
BY_HAND: dict[tuple[str, str], Callable[[pd.DataFrame], pd.DataFrame]] = {
    ("category", "category"): lambda rows: rows.astype({"category": "str"}),
    ("date", "text"): lambda rows: rows.assign(date=pd.to_datetime(rows["date"])),
    ("boolean", "text"): lambda rows: rows.assign(boolean=rows["boolean"] == "yes"),
}


OWN_CODE = "def days(dates):\n    return dates.apply(lambda column: column.dt.day_of_year * 1.0)\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The MLflow model of a small pipeline, with code of its project."""
    at = tmp_path_factory.mktemp("project")
    (at / "src").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(at)
        patch.syspath_prepend(at / "src")
        (at / "src" / "parts").mkdir()
        (at / "src" / "parts" / "__init__.py").write_text(OWN_CODE)
        preprocess = make_column_transformer(
            (SimpleImputer(), ["number"]),
            (OneHotEncoder(handle_unknown="ignore"), ["category"]),
            ("passthrough", ["boolean"]),
            (
                make_pipeline(
                    FunctionTransformer(importlib.import_module("parts").days), SimpleImputer()
                ),
                ["date"],
            ),
        )
        forest = RandomForestRegressor(3, random_state=0, bootstrap=False)
        joblib.dump(make_pipeline(preprocess, forest).fit(TRAINED, [1, 2, 3, 4]), "m.joblib")
        TRAINED.to_parquet("example.parquet")
        save("m.joblib", "example.parquet", at / "model", {})
        yield at / "model"


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    import mlflow

    return mlflow.pyfunc.load_model(str(folder))


def typed(column: str, kind: str) -> pd.DataFrame:
    """The rows, with one column as another type."""
    values: Any = ROWS[column].tolist()
    if kind == "decimal":
        values, kind = [decimal.Decimal(int(value)) for value in values], "object"
    elif kind == "date":
        values, kind = [value.date() for value in values], "object"
    elif kind == "object" and column == "number":
        values = [int(value) for value in values]
    elif kind == "text":
        values = {"boolean": ["yes", "no", "yes"]}.get(column, [str(value) for value in values])
        kind = "str"
    return ROWS.assign(**{column: pd.Series(values).astype(kind)})


@pytest.mark.parametrize(
    ("column", "kind"), [(column, kind) for column, kinds in TYPES.items() for kind in kinds]
)
def test_pandas_of_any_type_predicts_after_the_line_of_the_model_card(
    model: Any, column: str, kind: str
) -> None:
    line = re.search(r"numbers = .*\nmodel.predict\((.*)\)", USE)
    assert line
    numbers = model.input_example.select_dtypes("number").dtypes
    rows = BY_HAND.get((column, kind), lambda rows: rows)(typed(column, kind))
    cast = eval(line[1], {"rows": rows, "numbers": numbers})  # noqa: S307
    assert model.predict(cast).tolist() == [1, 2, 3]


@pytest.mark.parametrize("column", ["date", "boolean"])
def test_text_that_is_something_else_is_refused_and_predicts_as_the_card_says(
    model: Any, column: str
) -> None:
    rows = typed(column, "text")
    with pytest.raises(Exception, match=f"column {column}"):
        model.predict(rows)
    assert model.predict(BY_HAND[column, "text"](rows)).tolist() == [1, 2, 3]


def test_codes_that_lost_their_zeros_are_refused(model: Any) -> None:
    with pytest.raises(Exception, match="column category"):
        model.predict(ROWS.assign(category=[1, 2, 3]))


CSV = "number,category,boolean,date,extra\n1,a,True,2024-01-01,x\n2,b,False,2024-02-01,x\n"
READERS: dict[str, Callable[[], pd.DataFrame]] = {
    "pandas": lambda: pd.read_csv(io.StringIO(CSV), parse_dates=["date"]),
    "pandas with pyarrow": lambda: pd.read_csv(
        io.StringIO(CSV), parse_dates=["date"], dtype_backend="pyarrow", engine="pyarrow"
    ),
    "pandas with nullable types": lambda: pd.read_csv(
        io.StringIO(CSV), parse_dates=["date"], dtype_backend="numpy_nullable"
    ),
    "polars": lambda: pl.read_csv(CSV.encode().replace(b"T", b"t").replace(b"F", b"f"),
                                  try_parse_dates=True).to_pandas(),
    "arrow": lambda: pa.csv.read_csv(io.BytesIO(CSV.encode())).to_pandas(),
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
def test_a_file_as_a_library_reads_it_predicts(model: Any, reader: str) -> None:
    numbers = model.input_example.select_dtypes("number").dtypes
    assert model.predict(READERS[reader]().astype(numbers)).tolist() == [1, 2]


def bodies(rows: pd.DataFrame) -> dict[str, tuple[bytes, str]]:
    """The rows in each form that MLflow's server takes, with whole numbers as such."""
    records = json.loads(rows.to_json(orient="records", date_format="iso"))
    for record in records:
        record["number"] = int(record["number"])
    columns = {name: [record[name] for record in records] for name in rows}
    split = {"columns": [*rows], "data": [[*record.values()] for record in records]}
    found = {
        "dataframe_split": split,
        "dataframe_records": records,
        "instances": records,
        "inputs": columns,
    }
    sent = {
        name: (json.dumps({name: body}).encode(), "application/json")
        for name, body in found.items()
    }
    parquet = rows.to_parquet()
    return {
        **sent,
        "csv": (rows.astype({"number": int}).to_csv(index=False).encode(), "text/csv"),
        "parquet": (parquet, "application/vnd.apache.parquet"),
    }


@pytest.mark.parametrize(
    "way", ["dataframe_split", "dataframe_records", "instances", "inputs", "csv", "parquet"]
)
def test_whole_numbers_predict_over_mlflow_s_own_server(model: Any, way: str) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc.scoring_server import invocations

    body, kind = bodies(ROWS)[way]
    schema = model.metadata.get_input_schema()
    if way == "csv":  # MLflow reads no dates from CSV, as the model card says
        with pytest.raises(MlflowException, match="parse_dates"):
            invocations(body, kind, model, schema)  # type: ignore[no-untyped-call]
        return
    answer = invocations(body, kind, model, schema)  # type: ignore[no-untyped-call]
    assert json.loads(answer.response) == {"predictions": [1, 2, 3]}
