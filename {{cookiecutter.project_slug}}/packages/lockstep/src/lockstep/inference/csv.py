"""Read a CSV file with the types of a model's columns."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyarrow.csv import CSVStreamingReader

    from lockstep.inference.columns import Column

ARROW = {"string": "string", "double": "float64", "float": "float64", "boolean": "bool"}
# As a new project's pipeline reads them, in lower, mixed or upper case.
TRUE, FALSE = ("1", "true", "yes", "y", "t", "on"), ("0", "false", "no", "n", "f", "off")


def open_csv(file: Any, columns: "Iterable[Column]") -> "CSVStreamingReader":
    """The rows of an open file, in batches; columns that the model lacks have inferred types.

    Raises:
        pyarrow.ArrowException: It is no CSV file, or a value is not of its column's type.
    """
    import pyarrow as pa
    from pyarrow import csv

    options = csv.ConvertOptions(
        column_types={
            column.name: pa.type_for_alias(ARROW[column.kind.name])
            for column in columns
            if column.kind.name in ARROW
        },
        strings_can_be_null=True,
        true_values=_cases(TRUE),
        false_values=_cases(FALSE),
    )
    return csv.open_csv(file, convert_options=options)


def _cases(words: Iterable[str]) -> list[str]:
    return [case for word in words for case in (word, word.title(), word.upper())]
