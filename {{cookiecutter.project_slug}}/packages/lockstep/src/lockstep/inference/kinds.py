"""The kinds of values that a column holds, as MLflow names them in a signature."""

import datetime
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

SHOWN_LENGTH = 40  # characters of a value in an error
Wrong = list[tuple[int, Any, str]]  # row, value, problem


class Problem(NamedTuple):
    """What is wrong with a value.

    Attributes:
        row: From 0; None if it concerns the whole column.
    """

    column: str
    row: int | None
    value: Any
    text: str

    def __str__(self) -> str:
        """In one line."""
        place = "" if self.row is None else f" in row {self.row}"
        return f"{self.column}{place}: {self.text}"


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of values.

    Attributes:
        name: MLflow's.
        article: How an error asks for one: `a number`.
        types: Python's types for it, after JSON.
        sound: Whether present values of these types are all within the limits of the dtype.
        convert: The value that another one stands for; None refuses it.
        dtype: What the model was trained with.
        dtypes: The `kind`s of NumPy dtypes that hold such values, too.
        schema: The type in JSON Schema.
    """

    name: str
    article: str
    types: frozenset[type]
    sound: Callable[[list[Any]], bool]
    convert: Callable[[Any], Any]
    dtype: str
    dtypes: str
    schema: dict[str, Any]

    def checked(self, values: list[Any]) -> tuple[list[Any], Wrong]:
        """The values as this kind's, None for missing ones; and those that are not."""
        if set(map(type, values)) <= self.types and self.sound(values):
            return values, []
        converted = list(values)
        wrong: Wrong = []
        for row, value in enumerate(values):
            if value is None:
                continue
            converted[row] = self.convert(value)
            if converted[row] is None:
                wrong.append((row, value, f"{_shown(value)} is not {self.article}"))
        return converted, wrong

    def read(self, text: str) -> Any:
        """The value that a cell of a CSV file holds; the text itself if it is not of this kind."""
        if self.dtype == "bool":
            return {"true": True, "false": False}.get(text.strip().lower(), text)
        if self.dtype in ("float64", "int64"):
            try:
                if "_" not in text:  # which Python allows between digits
                    return int(text) if self.dtype == "int64" else float(text)
            except ValueError:
                return text
        return text

    def array(self, values: list[Any]) -> Any:
        """Checked values as pandas keeps them."""
        import pandas as pd

        if self.dtype == "float64":
            return np.array([math.nan if value is None else value for value in values], "float64")
        return pd.array(values, dtype=self.dtype)

    def quick(self, series: "pd.Series[Any]") -> Any:
        """A column of this kind by its dtype, without looking at each value; None if it is not."""
        import pandas as pd

        if isinstance(series.dtype, pd.CategoricalDtype):
            series = series.astype(series.cat.categories.dtype)
        if getattr(series.dtype, "tz", None):
            return None
        if series.dtype == self.dtype:
            array: Any = series.array
        elif series.dtype.kind in self.dtypes and series.dtype.kind != "O":
            if self.dtype in COMPLETE and series.isna().any():
                return None
            array = series.astype(self.dtype).array
        else:
            return None
        return None if self.dtype == "float64" and np.isinf(array).any() else array


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_LENGTH else f"{text[:SHOWN_LENGTH]}…"


def _float(value: Any) -> float | None:
    if isinstance(value, bool | np.bool_ | str):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _integer(value: Any) -> int | None:
    if isinstance(value, bool | np.bool_ | str):
        return None
    try:
        whole = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return whole if whole == value and -(2**63) <= whole < 2**63 else None


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str) else None


def _boolean(value: Any) -> bool | None:
    return bool(value) if isinstance(value, bool | np.bool_) else None


def _date(value: Any) -> datetime.datetime | None:
    """A date without a time zone; one that has a zone in UTC, as the pipeline reads dates."""
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        value = datetime.datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime.datetime):
        return None
    try:
        return value.astimezone(datetime.UTC).replace(tzinfo=None) if value.tzinfo else value
    except OverflowError:
        return None


def _finite(values: list[Any]) -> bool:
    try:
        return all(map(math.isfinite, [value for value in values if value is not None]))
    except OverflowError:  # an integer too large for a float
        return False


def _within_int64(values: list[Any]) -> bool:
    return all(value is None or -(2**63) <= value < 2**63 for value in values)


def _any(values: list[Any]) -> bool:
    return True


_NONE: type = type(None)
_NUMBERS = ("a number", frozenset({_NONE, float, int}), _finite, _float, "float64", "fiu")
_WHOLE = ("a whole number", frozenset({_NONE, int}), _within_int64, _integer, "int64", "i")
_INT64 = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
_DAY = "a date such as 2024-01-31T12:00:00"
KINDS = {
    kind.name: kind
    for kind in (
        Kind("double", *_NUMBERS, {"type": "number"}),
        Kind("float", *_NUMBERS, {"type": "number"}),
        Kind("long", *_WHOLE, _INT64),
        Kind("integer", *_WHOLE, _INT64),
        Kind(
            *("string", "text", frozenset({_NONE, str}), _any, _text, "str", "O"),
            {"type": "string"},
        ),
        Kind(
            *("boolean", "true or false", frozenset({_NONE, bool}), _any, _boolean, "bool", "b"),
            {"type": "boolean"},
        ),
        Kind(
            *("datetime", _DAY, frozenset({_NONE}), _any, _date, "datetime64[us]", "M"),
            {"type": "string", "format": "date-time"},
        ),
    )
}
# Their columns cannot hold a missing value.
COMPLETE = ("int64", "bool")
