"""A prediction log in a database."""

import contextlib
from collections.abc import Iterator
from datetime import UTC
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pydantic_core

from lockstep import LockstepError
from lockstep.mlflow.uri import database_of
from lockstep.serve.settings import ANSWERS, FEEDBACK, PROBABILITY
from lockstep.values import driver_error, first_line, under, without_secrets

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Engine, Table

KEY = ("_request", "_row", "_time")
ORIGIN = ("_role", "_model", "_version", "_run", "_commit")


class Database:
    """Two tables of a database, by the URL that SQLAlchemy takes.

    What a model takes and answers is JSON, so that models with any columns share the tables.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def open(self) -> None:
        """Create the tables."""
        with self._errors_explained():
            self._tables[ANSWERS].metadata.create_all(self._engine)

    def write(self, kind: str, table: "pa.Table") -> None:
        """Insert the rows."""
        rows = [_packed(row) if kind == ANSWERS else row for row in table.to_pylist()]
        with self._errors_explained(), self._engine.begin() as connection:
            connection.execute(self._tables[kind].insert(), rows)

    def read(self, kind: str, *, inputs: bool = True, **wanted: str) -> "pa.Table":
        """Select the rows."""
        import pandas as pd
        import pyarrow as pa
        import sqlalchemy as sql

        file = database_of(self._url)
        if file and not file.exists():
            return pa.table({})
        with self._errors_explained():
            table = self._tables[kind]
            if not sql.inspect(self._engine).has_table(table.name):
                return pa.table({})
            query = table.select().where(*(table.c[name] == wanted[name] for name in wanted))
            with self._engine.connect() as connection:
                found = connection.execute(query).mappings()
                rows = [_unpacked(dict(row), inputs=inputs) for row in found]
        try:
            return pa.Table.from_pandas(pd.DataFrame(rows), preserve_index=False)
        except pa.ArrowException as error:
            raise LockstepError(f"{table.name} cannot be read: {first_line(error)}") from error

    @cached_property
    def _engine(self) -> "Engine":
        import sqlalchemy as sql

        return sql.create_engine(
            self._url,
            pool_pre_ping=True,
            json_serializer=lambda value: pydantic_core.to_json(value).decode(),
        )

    @cached_property
    def _tables(self) -> "dict[str, Table]":
        from sqlalchemy import JSON, Column, DateTime, Integer, MetaData, String, Table

        metadata = MetaData()
        kinds = {
            ANSWERS: [
                *(Column(name, String(255)) for name in ORIGIN),
                *(Column(name, JSON) for name in ("_prediction", "probabilities", "inputs")),
            ],
            FEEDBACK: [Column("actual", JSON)],
        }
        return {
            kind: Table(
                f"lockstep_{kind}",
                metadata,
                Column("_request", String(128), index=True),
                Column("_row", Integer),
                Column("_time", DateTime(timezone=True)),
                *columns,
            )
            for kind, columns in kinds.items()
        }

    @contextlib.contextmanager
    def _errors_explained(self) -> Iterator[None]:
        try:
            from sqlalchemy.exc import SQLAlchemyError
        except ModuleNotFoundError as error:  # in an image, unless the extra `serve` lists it
            raise LockstepError("a log in a database needs sqlalchemy and a driver") from error
        try:
            yield
        except (SQLAlchemyError, ImportError) as error:
            reason = driver_error(error)
            raise LockstepError(
                f"the prediction log {without_secrets(self._url)} cannot be used: {reason}\n"
                "check that the database is up, and its driver is installed (for PostgreSQL: "
                "`uv add 'psycopg[binary]'`, and a URL with postgresql+psycopg://)"
            ) from error


def _packed(row: dict[str, Any]) -> dict[str, Any]:
    """A row for the database: what differs between models as JSON."""
    same = {name: value for name, value in row.items() if name in (*KEY, *ORIGIN, "_prediction")}
    inputs = {name: value for name, value in row.items() if not name.startswith("_")}
    return {**same, "probabilities": under(PROBABILITY, row), "inputs": inputs}


def _unpacked(row: dict[str, Any], *, inputs: bool) -> dict[str, Any]:
    """A row of the database as one of a file."""
    given, shares = row.pop("inputs", {}), row.pop("probabilities", {})
    time = row["_time"]  # SQLite keeps no zone
    return {
        **(given if inputs else {}),
        **row,
        "_time": time if time.tzinfo else time.replace(tzinfo=UTC),
        **{f"{PROBABILITY}{label}": share for label, share in shares.items()},
    }
