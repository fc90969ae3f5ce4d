"""Where a prediction log is: Parquet files in a folder or an object store, or a database.

Both keep the same rows; see `lockstep.serve.log` for their columns.
"""

from typing import TYPE_CHECKING, Protocol

from lockstep.serve.database import Database
from lockstep.serve.parquet import Files

if TYPE_CHECKING:
    import pyarrow as pa

DATABASES = ("mariadb", "mssql", "mysql", "postgresql", "sqlite")


class Place(Protocol):
    """Keeps the rows of a log."""

    def open(self) -> None:
        """Make it ready to write to; raises LockstepError if it cannot be."""

    def write(self, kind: str, table: "pa.Table") -> None:
        """Add rows to the answers or to the feedback."""

    def read(self, kind: str, *, inputs: bool = True, **wanted: str) -> "pa.Table":
        """The rows with the wanted values; an empty table without columns if there are none.

        Args:
            inputs: Whether with the columns of the model.

        Raises:
            LockstepError: The place cannot be read.
        """


def place_of(word: str) -> Place:
    """The place that a path or a URL names.

    Raises:
        LockstepError: Nothing can be kept there.
    """
    scheme = word.partition("://")[0].partition("+")[0]
    return Database(word) if "://" in word and scheme in DATABASES else Files(word)
