"""The bodies of requests: what MLflow's scoring protocol takes, and errors that say what is wrong.

https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/#endpoints
"""

import io
from collections.abc import Mapping
from typing import Any

import pydantic_core

from lockstep.inference.columns import Columns, Values
from lockstep.serve.records import TrueValue

FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
JSON, CSV = "application/json", "text/csv"


class BadRequestError(Exception):
    """A request that is refused.

    Attributes:
        status: The HTTP status.
        kind: A word for the metrics.
        details: For each problem `msg`, and where it is known `loc`.
    """

    def __init__(self, status: int, kind: str, *details: Mapping[str, Any] | str) -> None:
        self.status, self.kind = status, kind
        self.details = [{"msg": item} if isinstance(item, str) else dict(item) for item in details]
        super().__init__("; ".join(str(item["msg"]) for item in self.details))


def media_type(header: str | None) -> str:
    """The media type of a body.

    Raises:
        BadRequestError: It is not in UTF-8.
    """
    kind, _, rest = (header or "").partition(";")
    charset = rest.partition("charset=")[2].strip().strip('"').lower()
    if charset not in ("", "utf-8", "utf8"):
        raise BadRequestError(415, "content_type", f"the charset is {charset}: send UTF-8")
    return kind.strip().lower()


def parsed(body: bytes) -> Any:
    """The content of a JSON body.

    Raises:
        BadRequestError: It is empty or not JSON; NaN and Infinity are not.
    """
    if not body.strip():
        raise BadRequestError(400, "json", "the body is empty: send rows as JSON")
    try:
        return pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise BadRequestError(
            400, "json", f"the body is not JSON: {error}; a missing value is null"
        ) from error


def records(content: Any, place: str) -> list[dict[str, Any]]:
    """A JSON list of rows.

    Raises:
        BadRequestError: It is not a list of objects.
    """
    if not isinstance(content, list):
        raise BadRequestError(422, "shape", f"{place} must be a list of rows")
    for number, row in enumerate(content):
        if not isinstance(row, dict):
            raise BadRequestError(
                422, "shape", f'{place}: row {number} must be an object {{"column": value}}'
            )
    return content


def invocation(content: Any, columns: Columns) -> tuple[Values, list[str]]:
    """The values in a JSON body of MLflow's protocol, and the columns that the model ignores.

    Raises:
        BadRequestError: It is not in that protocol.
        InvalidRows: Its values are not what the model takes.
    """
    given = [name for name in FORMATS if isinstance(content, dict) and name in content]
    if len(given) != 1:
        raise BadRequestError(
            400, "shape", f"the body must be a JSON object with one of {', '.join(FORMATS)}"
        )
    if content.get("params"):
        raise BadRequestError(400, "shape", "the model takes no params")
    name, data = given[0], content[given[0]]
    if name == "dataframe_split":
        return _checked(_split(data), columns)
    if name == "inputs" and isinstance(data, dict):
        lists = [isinstance(value, list) for value in data.values()]
        if any(lists) and not all(lists):
            raise BadRequestError(400, "shape", "inputs: give each column a list of values")
        return _checked(data if any(lists) else {key: [v] for key, v in data.items()}, columns)
    return columns.of_records(records(data, name))


def true_values(content: Any, now: float) -> list[TrueValue]:
    """The true values in a body `{"request_id": "…", "values": [true value of each row]}`.

    Raises:
        BadRequestError: It is not in that form.
    """
    request = content.get("request_id") if isinstance(content, dict) else None
    values = content.get("values") if isinstance(content, dict) else None
    kinds = set(map(type, values)) if isinstance(values, list) else set()
    sound = kinds and any(kinds <= one for one in ({str}, {bool}, {int, float}))
    if not isinstance(request, str) or not isinstance(values, list) or not sound:
        raise BadRequestError(
            422,
            "feedback",
            'the body must be {"request_id": "...", "values": [...]} with the true value of each '
            "row: text, numbers or booleans",
        )
    return [TrueValue(request, row, value, now) for row, value in enumerate(values)]


def comma_separated(body: bytes, columns: Columns) -> tuple[Values, list[str]]:
    """The values in a CSV body with a header, as pandas reads missing ones.

    Raises:
        BadRequestError: It is not such a file.
        InvalidRows: Its values are not what the model takes.
    """
    import pandas as pd

    try:
        table = pd.read_csv(io.StringIO(body.decode()), dtype=str, index_col=False)
    except (ValueError, pd.errors.ParserError) as error:
        raise BadRequestError(400, "csv", f"the body is not CSV with a header: {error}") from error
    cells = {name: table[name].astype(object).where(table[name].notna(), None) for name in table}
    kinds = {column.name: column.kind for column in columns.all}
    read = {
        name: [kinds[name].read(text) if text is not None else None for text in values]
        for name, values in cells.items()
        if name in kinds
    }
    values = columns.of_lists(read, rows=len(table))
    return values, [str(name) for name in table if name not in kinds]


def _split(data: Any) -> dict[str, list[Any]]:
    names = data.get("columns") if isinstance(data, dict) else None
    rows = data.get("data") if isinstance(data, dict) else None
    if not isinstance(names, list) or not isinstance(rows, list):
        raise BadRequestError(
            400, "shape", "dataframe_split must be an object with the lists columns and data"
        )
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise BadRequestError(400, "shape", "dataframe_split: columns must be different names")
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(names):
            raise BadRequestError(
                400, "shape", f"dataframe_split: row {number} must be a list of {len(names)} values"
            )
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def _checked(values: Mapping[str, list[Any]], columns: Columns) -> tuple[Values, list[str]]:
    sizes = {len(column) for column in values.values()}
    if len(sizes) > 1:
        raise BadRequestError(400, "shape", "the columns differ in length")
    unknown = [name for name in values if name not in columns.known]
    return columns.of_lists(values, rows=max(sizes, default=0)), unknown
