"""The places that a project is connected to: DVC's remote, MLflow's server, git's remote."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from posixpath import normpath
from urllib.parse import SplitResult, parse_qsl, urlsplit


@dataclass(frozen=True)
class Remote:
    """One kind of DVC remote.

    Attributes:
        pattern: What its URL looks like.
        example: A URL that is right.
        extra: The extra of the distribution `dvc` that speaks it; empty where none is needed.
        credentials: Where its credentials belong, for people to read.
    """

    pattern: str
    example: str
    extra: str
    credentials: str


_HOST = r"[^/\s@:]+(:\d+)?"
REMOTES = {
    "s3": Remote(
        r"s3://[^/\s]+(/.*)?",
        "s3://bucket/path",
        "s3",
        "AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws",
    ),
    "gcs": Remote(
        r"gs://[^/\s]+(/.*)?",
        "gs://bucket/path",
        "gs",
        "GOOGLE_APPLICATION_CREDENTIALS, or `gcloud auth application-default login`",
    ),
    "azure": Remote(
        r"azure://[^/\s]+(/.*)?",
        "azure://container/path",
        "azure",
        "AZURE_STORAGE_CONNECTION_STRING, or `az login`",
    ),
    "ssh": Remote(
        rf"ssh://([^/\s@:]+@)?{_HOST}/.+",
        "ssh://user@host/path",
        "ssh",
        "the SSH agent, or ~/.ssh",
    ),
    "webdav": Remote(
        rf"webdavs?://([^/\s@:]+@)?{_HOST}(/.*)?",
        "webdavs://host/path",
        "webdav",
        "`dvc remote modify --local storage user …` and `… password …`",
    ),
    "http": Remote(
        rf"https?://([^/\s@:]+@)?{_HOST}(/.*)?",
        "https://host/path",
        "",
        "`dvc remote modify --local storage user …` and `… password …`",
    ),
    "dagshub": Remote(
        r"[\w.-]+/[\w.-]+",
        "owner/repository",
        "",
        "your DagsHub token: `dvc remote modify --local storage user …` and `… password …`, "
        "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    ),
}
# What `dvc import-url` reads besides http(s): scheme -> the extra of `dvc`.
IMPORTABLE = {"s3": "s3", "gs": "gs", "azure": "azure", "ssh": "ssh"} | dict.fromkeys(
    ("webdav", "webdavs"), "webdav"
)
_SECRET_PARAMETERS = {
    "access_token", "api_key", "apikey", "key", "password", "sig", "signature", "token",
    "x-amz-signature", "x-goog-signature",
}  # fmt: skip
_TOKEN = re.compile(r"(gh[pousr]_|github_pat_|glpat-|hf_)\w+")
_SCP_LIKE = re.compile(r"([\w.+-]+@)?[\w.-]{2,}:(?!//)\S+")
_DATABASE = re.compile(r"(postgresql|mysql|mssql)(\+\w+)?://\S+|sqlite(\+\w+)?:///.+")


def scheme(url: str) -> str:
    """The scheme of a URL, in lower case; empty for a path, also for one with a drive letter."""
    found = re.match(r"([a-zA-Z][a-zA-Z0-9+.-]*)://", url)
    return found[1].lower() if found else ""


def holds_secret(url: str) -> bool:
    """Whether a URL carries a password, a token or a signature."""
    if not scheme(url):
        return False
    parts = _split(url)
    if parts is None:
        return "@" in url
    names = {name.lower() for name, _ in parse_qsl(parts.query)}
    user = parts.username or ""
    return bool(parts.password or _TOKEN.match(user) or names & _SECRET_PARAMETERS)


def is_absolute(path: str) -> bool:
    """Whether a path is absolute on any system, or starts at a home folder."""
    return (
        path.startswith("~")
        or PurePosixPath(path).is_absolute()
        or PureWindowsPath(path).is_absolute()
    )


def dvc_url(kind: str, url: str) -> str:
    """The remote's URL as .dvc/config has it: there, a relative path starts in .dvc/."""
    if kind == "dagshub":
        return dagshub_url(url, "dvc")
    if kind != "local" or is_absolute(url):
        return url
    return normpath(f"../{url}")


def dagshub_url(repository: str, service: str) -> str:
    """Where DagsHub serves `dvc`, `mlflow` or `git` of an `owner/repository`; else empty."""
    is_one = re.fullmatch(REMOTES["dagshub"].pattern, repository)
    return f"https://dagshub.com/{repository}.{service}" if is_one else ""


def remote_problems(kind: str, url: str) -> Iterator[str]:
    """What is wrong with the URL of a DVC remote of a kind."""
    if kind == "none":
        if url:
            yield (
                "dvc_remote_url: a URL is given, but dvc_remote is none; choose the remote's kind, "
                "or leave the URL empty"
            )
    elif '"' in url or "%(" in url:
        yield 'dvc_remote_url: DVC cannot keep a " or a %( in a URL; choose another location'
    elif kind == "local":
        yield from _folder_problems(url)
    elif kind in REMOTES:
        yield from _url_problems(kind, REMOTES[kind], url)


def _folder_problems(path: str) -> Iterator[str]:
    if not path:
        yield "dvc_remote_url: a local remote needs a folder, such as ../dvc-storage"
    elif scheme(path):
        yield (
            f"dvc_remote_url: {scheme(path)}:// is no folder; choose the remote's kind that fits "
            "it, or give a path such as ../dvc-storage"
        )
    elif not is_absolute(path) and not normpath(path).startswith(".."):
        yield (
            f"dvc_remote_url: {path!r} lies inside the project, where git would commit the data "
            "too; choose a folder outside, such as ../dvc-storage"
        )


def _url_problems(kind: str, remote: Remote, url: str) -> Iterator[str]:
    if not url:
        yield f"dvc_remote_url: a remote of the kind {kind} needs a URL such as {remote.example}"
    elif holds_secret(url):
        yield (
            "dvc_remote_url: it holds a credential, and .dvc/config is committed; leave it out of "
            f"the URL, DVC finds it in: {remote.credentials}"
        )
    elif not re.fullmatch(remote.pattern, url) or re.search(r"\s", url):
        yield f"dvc_remote_url: {url!r} is no URL of the kind {kind}; write {remote.example}"


def tracking_problems(uri: str) -> Iterator[str]:
    """What is wrong with the URI of MLflow's tracking store; empty means the embedded one."""
    if not uri:
        return
    parts = _split(uri)
    if holds_secret(uri):
        place = (
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            if scheme(uri) in ("http", "https")
            else "MLFLOW_TRACKING_URI (leave this answer empty then)"
        )
        yield (
            "mlflow_tracking_uri: it holds a credential, and conf/ is committed; put it into the "
            f"environment: {place}"
        )
    elif scheme(uri) in ("http", "https") and parts and parts.hostname and " " not in uri:
        return
    elif not (re.fullmatch(r"databricks(://\S+)?", uri) or _DATABASE.fullmatch(uri)):
        yield (
            f"mlflow_tracking_uri: {uri!r} is none that MLflow tracks to; write https://host, a "
            "database such as postgresql://host/mlflow, databricks, or nothing for the embedded one"
        )


def git_problems(url: str) -> Iterator[str]:
    """What is wrong with the URL of git's remote; empty means none."""
    if not url:
        return
    if holds_secret(url):
        yield (
            "git_remote_url: it holds a credential; leave it out of the URL and let git's "
            "credential helper or an SSH key answer"
        )
    elif not (_is_git_server(url) or _is_git_path(url)):
        yield (
            f"git_remote_url: {url!r} is no git URL; write https://host/owner/repository.git, "
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
        parts.port  # noqa: B018  (a port that is no number raises only when asked for)
    except ValueError:
        return None
    return parts
