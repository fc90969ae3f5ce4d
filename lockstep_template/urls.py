"""URLs: secrets in them, and the ones of MLflow's server and of git's remote."""

import re
from collections.abc import Collection, Iterator
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
# What a URL may have besides host and path, as all else could be a credential: a plain user name,
# if the scheme needs one, and these keys after the ?.
_WITH_USER = {"ssh", "postgresql", "mysql", "mssql"}
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_QUERY = re.compile(r"[\w.,:/+ -]{0,128}")
_DOWNLOAD = {
    "accesstype", "columns", "date", "delimiter", "dl", "download", "encoding", "export", "file",
    "filename", "format", "gid", "id", "inline", "lang", "limit", "name", "offset", "output",
    "page", "path", "raw", "ref", "ref_type", "rows", "sep", "sheet", "table", "type", "version",
    "versionid", "year",
}  # fmt: skip
_CONNECTION = {
    "application_name", "charset", "connect_timeout", "driver", "encrypt", "sslmode",
    "trustservercertificate",
}  # fmt: skip
_TOKEN = re.compile(
    r"\b((gh[pousr]|hf)_\w+|github_pat_\w+|glpat-[\w-]+|xox[a-z]-[\w-]+|(AKIA|ASIA)[A-Z0-9]{12,}"
    r"|AIza[\w-]{30,}|dapi[0-9a-f]{30,}|eyJ[\w-]+\.[\w-]+)"
)
_RANDOM = re.compile(r"(?=\w*[A-Za-z])(?=\w*[0-9])\w{20,}")
_SCP_LIKE = re.compile(r"([\w.+-]+@)?[\w.-]{2,}:(?!//)\S+")
_MLFLOW_LOGIN = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
_DATABASE = re.compile(r"(postgresql|mysql|mssql)(\+\w+)?://\S+|sqlite(\+\w+)?:///.+")


def scheme(url: str) -> str:
    """The scheme of a URL, in lower case; empty for a path, even one with a drive letter."""
    match = re.match(r"([a-zA-Z][a-zA-Z0-9+.-]*)://", url)
    return match[1].lower() if match else ""


def credential_part(url: str, query: Collection[str] = ()) -> str:
    """The part of a URL or path in which a credential could be; empty if there is none.

    Args:
        query: The keys that are allowed after its `?`, in lower case.
    """
    if _TOKEN.search(url):
        return "the token in it"
    if "::" in url:
        return "the part after ::"
    before_at = "the part before @"
    if not scheme(url):
        user, at, _ = url.partition("@")
        is_path = is_absolute(url) and not url.startswith("//")
        is_login = at and ":" in url and not (is_path or _is_user(user))
        return before_at if is_login else ""
    parts = _split(url)
    if parts is None:
        return before_at if "@" in url else ""
    if "%" in parts.netloc or "@" in parts.path:
        return before_at
    if odd := re.search(r"[#;\\]", url):
        return f"the part after {odd[0]}"
    user, at, _ = parts.netloc.rpartition("@")
    takes_user = scheme(url).partition("+")[0] in _WITH_USER
    if at and not (takes_user and _is_user(user)):
        return before_at
    given = parse_qsl(parts.query, keep_blank_values=True)
    if any(key.lower() not in query or not _QUERY.fullmatch(value) for key, value in given):
        return "the part after ?"
    return ""


def data_credential_part(url: str) -> str:
    """The part of the data's URL in which a credential could be; empty if there is none."""
    return credential_part(url, _DOWNLOAD)


def shown(answer: str) -> str:
    """An answer as a message quotes it; without its text if that could contain a secret."""
    suspect = re.search(r"[@?#;=%]|://[^/]*:|::", answer) or _RANDOM.search(answer)
    return "this answer" if suspect or _TOKEN.search(answer) else repr(answer)


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
    if part := credential_part(uri, _CONNECTION):
        place = (
            _MLFLOW_LOGIN
            if scheme(uri) in ("http", "https")
            else "MLFLOW_TRACKING_URI (leave this answer empty then)"
        )
        yield (
            f"mlflow_tracking_uri: {part} could be a credential, and conf/ is committed; set it in "
            f"the environment: {place}"
        )
    elif scheme(uri) in ("http", "https") and parts and parts.hostname and " " not in uri:
        return
    elif not (re.fullmatch(r"databricks(://\S+)?", uri) or _DATABASE.fullmatch(uri)):
        yield (
            f"mlflow_tracking_uri: {shown(uri)} is not a tracking URI; enter https://host, a "
            "database such as postgresql://host/mlflow, databricks, or nothing for the embedded "
            "store"
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
    if part := credential_part(url):
        yield (
            f"git_remote_url: {part} could be a credential; leave it out, and use git's credential "
            "helper or an SSH key"
        )
    elif not (_is_git_server(url) or _is_git_path(url)):
        yield (
            f"git_remote_url: {shown(url)} is not a git URL; enter "
            "https://host/owner/repository.git, git@host:owner/repository.git, or the path of a "
            "repository"
        )


def _is_user(text: str) -> bool:
    return bool(_USER.fullmatch(text)) and not _RANDOM.search(text)


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
