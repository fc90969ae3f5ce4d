"""Addresses of a store: an SQLite file's URI, and what it means."""

import re
from pathlib import Path
from urllib.parse import quote, unquote

SQLITE = "sqlite:///"
CHECK_ADDRESS = (
    "check the address in conf/tracking/ or MLFLOW_TRACKING_URI, and that the server is up"
)


def database_of(uri: str) -> Path | None:
    """The SQLite file that a tracking URI names; None when it names none."""
    if not uri.startswith(SQLITE) or uri == SQLITE or ":memory:" in uri:
        return None
    return Path(unquote(uri.removeprefix(SQLITE).partition("?")[0]))


def sqlite_uri(database: Path) -> str:
    """The URI of an SQLite file.

    SQLAlchemy takes `%`, `?` and `#` in a path for its own. Nothing else is quoted: MLflow makes
    the folder that it reads in the URI as it stands.
    """
    return SQLITE + re.sub("[%?#]", lambda match: quote(match[0]), database.as_posix())


def anchored(uri: str, root: Path) -> str:
    """An SQLite file's URI with its path made absolute, below the project's root."""
    database = database_of(uri)
    return sqlite_uri(root / database) if database else uri
