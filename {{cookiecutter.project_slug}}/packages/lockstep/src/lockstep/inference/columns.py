"""The columns that a model takes, from its signature; rows and tables are converted to them.

Nothing is coerced silently: a value that is not of its column's type is refused by name.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lockstep import LockstepError
from lockstep.adapters.trusted_model import mlmodel
from lockstep.inference.kinds import COMPLETE, KINDS, Kind, Problem

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 10  # problems that one error lists

Values = dict[str, list[Any]]


class InvalidRows(LockstepError):  # noqa: N818 # named by what it holds
    """Rows that the model cannot take.

    Attributes:
        problems: The first ones, at most ten.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems[:SHOWN])
        super().__init__("; ".join(map(str, self.problems)))


@dataclass(frozen=True)
class Column:
    """A column of the input.

    Attributes:
        required: Whether it never misses a value.
    """

    name: str
    kind: Kind
    required: bool

    def checked(self, values: list[Any]) -> tuple[list[Any], list[Problem]]:
        """The values as the kind's, with None where one is missing; and what is wrong with them."""
        values, wrong = self.kind.checked(values)
        problems = [Problem(self.name, row, value, text) for row, value, text in wrong[:SHOWN]]
        if self.required and not problems and None in values:
            text = f"missing; the model needs {self.kind.article}"
            problems = [Problem(self.name, values.index(None), None, text)]
        return values, problems


class Columns:
    """The columns of a model's input, in its order."""

    def __init__(self, columns: Iterable[Column]) -> None:
        self.all = tuple(columns)
        self.names = tuple(column.name for column in self.all)

    @classmethod
    def of_model(cls, folder: Path) -> "Columns":
        """The columns in the signature of an MLflow model.

        Raises:
            LockstepError: The model has no signature of named columns with simple types.
        """
        signature = mlmodel(folder).get("signature") or {}
        columns = []
        for spec in json.loads(signature.get("inputs") or "[]"):
            if spec.get("type") not in KINDS or "name" not in spec:
                raise LockstepError(
                    f"the model takes {spec.get('name', 'data')} of type {spec.get('type')}, and "
                    f"only columns of {', '.join(KINDS)} are supported"
                )
            kind = KINDS[spec["type"]]
            required = spec.get("required", True) or kind.dtype in COMPLETE
            columns.append(Column(spec["name"], kind, required))
        if not columns:
            raise LockstepError(
                "the model has no signature, so its columns are unknown: name a file of input rows "
                "as `example` of the model in dvc.yaml, and publish it again"
            )
        return cls(columns)

    @cached_property
    def known(self) -> frozenset[str]:
        """The names, for a quick comparison."""
        return frozenset(self.names)

    def changes_to(self, newer: "Columns") -> list[str]:
        """What rows for these columns lack or do wrong for newer ones; empty if they fit."""
        ours = {column.name: column for column in self.all}
        theirs = {column.name: column for column in newer.all}
        return [
            *(f"{name} is new" for name in theirs if name not in ours),
            *(f"{name} is gone" for name in ours if name not in theirs),
            *(
                f"{name} is {column.kind.name}, not {ours[name].kind.name}"
                for name, column in theirs.items()
                if name in ours and column.kind is not ours[name].kind
            ),
            *(
                f"{name} must not be missing"
                for name, column in theirs.items()
                if name in ours and column.required and not ours[name].required
            ),
        ]

    def of_records(self, records: Sequence[Mapping[str, Any]]) -> tuple[Values, list[str]]:
        """The values of JSON objects, one for each row.

        Returns:
            The values by column, and the names of columns that the model does not take.

        Raises:
            InvalidRows: A value is not of its column's type, or a required one is missing.
        """
        unknown = {name for record in records if not record.keys() <= self.known for name in record}
        rows = {name: [record.get(name) for record in records] for name in self.names}
        return self.of_lists(rows, rows=len(records)), sorted(unknown - self.known)

    def of_lists(self, values: Mapping[str, list[Any]], *, rows: int) -> Values:
        """Values by column, checked; a column that may be missing is filled up.

        Raises:
            InvalidRows: As for `of_records`, or a required column is missing.
        """
        checked: Values = {}
        problems: list[Problem] = []
        for column in self.all:
            if column.name not in values and column.required:
                text = f"the column is missing; the model needs {column.kind.article}"
                problems.append(Problem(column.name, None, None, text))
                continue
            own = values[column.name] if column.name in values else [None] * rows
            checked[column.name], wrong = column.checked(own)
            problems += wrong
        if problems:
            raise InvalidRows(problems)
        return checked

    def frame(self, values: Values) -> "pd.DataFrame":
        """The table that the model takes, of checked values."""
        import pandas as pd

        arrays = {column.name: column.kind.array(values[column.name]) for column in self.all}
        return pd.DataFrame(arrays, copy=False)

    def fit(self, table: "pd.DataFrame") -> "pd.DataFrame":
        """The columns that the model takes, of a table with any usual types.

        Raises:
            InvalidRows: A column is missing, or holds something that is not of its type.
        """
        import pandas as pd

        columns: dict[str, Any] = {}
        problems: list[Problem] = []
        for column in self.all:
            if column.name in table:
                series = table[column.name]
            elif column.required:
                text = f"the column is missing; the model needs {column.kind.article}"
                problems.append(Problem(column.name, None, None, text))
                continue
            else:
                series = pd.Series([None] * len(table), index=table.index, dtype=object)
            array = column.kind.quick(series)
            if array is None:
                found, wrong = column.checked(_plain(series))
                problems += wrong
                array = None if wrong else column.kind.array(found)
            elif column.required and (gaps := np.flatnonzero(pd.isna(array))).size:
                text = f"missing; the model needs {column.kind.article}"
                problems.append(Problem(column.name, int(gaps[0]), None, text))
            columns[column.name] = array
        if problems:
            raise InvalidRows(problems)
        return pd.DataFrame(columns, index=table.index, copy=False)


def output_of(folder: Path) -> Any:
    """The output in the signature of an MLflow model."""
    return json.loads((mlmodel(folder).get("signature") or {}).get("outputs") or "null")


def _plain(series: "pd.Series[Any]") -> list[Any]:
    """The values of a column as Python's, with None where one is missing."""
    values = series.astype(object).tolist()
    return [None if gap else value for value, gap in zip(values, series.isna(), strict=True)]
