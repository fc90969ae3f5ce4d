"""URLs: secrets in them, and the ones of MLflow's server and of git's remote."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath, PureWindowsPath
from urllib.parse import SplitResult, parse_qsl, urlsplit

# What `dvc import-url` reads besides http(s): scheme -> the extra of `dvc`.
IMPORTABLE = {"s3": "s3", "gs": "gs", "azure": "azure", "ssh": "ssh"} | dict.fromkeys(
    ("webdav", "webdavs"), "webdav"
)
# SQLAlchemy's dialect and driver -> the distribution that it needs. Without a driver in the URL, it
# takes its default; PostgreSQL's has changed in 2.1: https://docs.sqlalchemy.org/en/21/changelog/migration_21.html
DRIVERS = {
    "postgresql": "psycopg[binary]>=3.2",
    "postgresql+psycopg2": "psycopg2-binary>=2.9",
    "postgresql+psycopg": "psycopg[binary]>=3.2",
    "mysql": "mysqlclient>=2.2",
    "mysql+pymysql": "pymysql>=1.1",
    "mssql": "pyodbc>=5.2",
    "mssql+pyodbc": "pyodbc>=5.2",
}
_SECRET_PARAMETERS = {
    "access_key_id", "access_token", "account_key", "api_key", "apikey", "client_secret",
    "connection_string", "key", "password", "sas_token", "secret_access_key", "session_token",
    "sig", "signature", "token", "x-amz-signature", "x-goog-signature",
}  # fmt: skip
_TOKEN = re.compile(r"(gh[pousr]_|github_pat_|glpat-|hf_)\w+")
_SCP_LIKE = re.compile(r"([\w.+-]+@)?[\w.-]{2,}:(?!//)\S+")
_MLFLOW_LOGIN = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
_DATABASE = re.compile(r"(postgresql|mysql|mssql)(\+\w+)?://\S+|sqlite(\+\w+)?:///.+")


def scheme(url: str) -> str:
    """The scheme of a URL, in lower case; empty for a path, even one with a drive letter."""
    match = re.match(r"([a-zA-Z][a-zA-Z0-9+.-]*)://", url)
    return match[1].lower() if match else ""


def holds_secret(url: str) -> bool:
    """Whether a URL contains a password, a token or a signature."""
    if not scheme(url):
        return False
    parts = _split(url)
    if parts is None:
        return "@" in url
    names = {name.lower() for name, _ in parse_qsl(parts.query)}
    user = parts.username or ""
    return bool(parts.password or _TOKEN.match(user) or names & _SECRET_PARAMETERS)


def is_absolute(path: str) -> bool:
    """Whether a path is absolute on any system, or starts in a home folder."""
    return (
        path.startswith("~")
        or PurePosixPath(path).is_absolute()
        or PureWindowsPath(path).is_absolute()
    )


def tracking_problems(uri: str) -> Iterator[str]:
    """What is wrong with the URI of MLflow's tracking store; empty means the embedded one."""
    if not uri:
        return
    parts = _split(uri)
    if holds_secret(uri):
        place = (
            _MLFLOW_LOGIN
            if scheme(uri) in ("http", "https")
            else "MLFLOW_TRACKING_URI (leave this answer empty then)"
        )
        yield (
            "mlflow_tracking_uri: it contains a credential, and conf/ is committed; set it in the "
            f"environment: {place}"
        )
    elif scheme(uri) in ("http", "https") and parts and parts.hostname and " " not in uri:
        return
    elif not (re.fullmatch(r"databricks(://\S+)?", uri) or _DATABASE.fullmatch(uri)):
        yield (
            f"mlflow_tracking_uri: {uri!r} is not a tracking URI; enter https://host, a database "
            "such as postgresql://host/mlflow, databricks, or nothing for the embedded store"
        )


def tracking_credentials(uri: str) -> str:
    """Where MLflow's client looks for credentials; empty for a file, which needs none."""
    if uri.startswith("databricks"):
        return "DATABRICKS_HOST and DATABRICKS_TOKEN, or ~/.databrickscfg"
    if scheme(uri) in ("http", "https"):
        return f"{_MLFLOW_LOGIN}, or MLFLOW_TRACKING_TOKEN"
    if not uri or uri.startswith("sqlite"):
        return ""
    file = "; or ~/.pgpass" if uri.startswith("postgresql") else ""
    return f"MLFLOW_TRACKING_URI, with user and password{file}"


def git_credentials(url: str) -> str:
    """Where git looks for credentials; empty for a folder, which needs none."""
    if _is_git_path(url) or not url:
        return ""
    return "git's credential helper" if url.startswith("http") else "the SSH agent, or ~/.ssh"


def git_problems(url: str) -> Iterator[str]:
    """What is wrong with the URL of git's remote; empty means none."""
    if not url:
        return
    if holds_secret(url):
        yield (
            "git_remote_url: it contains a credential; leave it out, and use git's credential "
            "helper or an SSH key"
        )
    elif not (_is_git_server(url) or _is_git_path(url)):
        yield (
            f"git_remote_url: {url!r} is not a git URL; enter https://host/owner/repository.git, "
            "git@host:owner/repository.git, or the path of a repository"
        )


def _is_git_server(url: str) -> bool:
    if scheme(url):
        parts = _split(url)
        known = scheme(url) in ("https", "http", "ssh") and not re.search(r"\s", url)
        return bool(known and parts and parts.hostname and parts.path.strip("/"))
    return bool(_SCP_LIKE.fullmatch(url)) and not url.startswith("-")


def _is_git_path(url: str) -> bool:
    absolute = PurePosixPath(url).is_absolute() or PureWindowsPath(url).is_absolute()
    return absolute or scheme(url) == "file" or url.startswith(("./", "../"))


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  (a port that is not a number raises only when it is read)
    except ValueError:
        return None
    return parts
