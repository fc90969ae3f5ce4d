"""URIs of SQLite files, and of registered models."""

import re
from pathlib import Path
from urllib.parse import quote, unquote

from lockstep import LockstepError

SQLITE = "sqlite:///"
CHECK_ADDRESS = (
    "check the address in conf/tracking/ or MLFLOW_TRACKING_URI, and that the server is up"
)

SAME_AGAIN = "fix that, then run the same command again"


def database_of(uri: str) -> Path | None:
    """The SQLite file that a tracking URI names; None if it names another kind of store."""
    if not uri.startswith(SQLITE) or uri == SQLITE or ":memory:" in uri:
        return None
    return Path(unquote(uri.removeprefix(SQLITE).partition("?")[0]))


def sqlite_uri(database: Path) -> str:
    """The URI of an SQLite file.

    SQLAlchemy interprets `%`, `?` and `#` in a path. Nothing else is quoted: MLflow creates the
    folder that the URI names, and does not unquote it.
    """
    return SQLITE + re.sub("[%?#]", lambda match: quote(match[0]), database.as_posix())


def anchored(uri: str, root: Path) -> str:
    """A tracking URI; the path of an SQLite file is made absolute, below the project's root."""
    database = database_of(uri)
    return sqlite_uri(root / database) if database else uri


def parse_model_uri(uri: str) -> tuple[str, str]:
    """The name of a registered model, and the alias or the number of a version.

    Args:
        uri: models:/name@alias or models:/name/3.

    Raises:
        LockstepError: It is neither.
    """
    match = re.fullmatch(r"models:/([^/@]+)(?:@([\w-]+)|/(\d+))", uri)
    if match is None:
        raise LockstepError(f"{uri} does not name a model's version: write models:/name@alias")
    name, alias, number = match.groups()
    return name, alias or number
