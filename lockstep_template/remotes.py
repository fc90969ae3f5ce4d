"""The kinds of DVC remote: their URLs, their options, and where their credentials belong."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from posixpath import normpath
from urllib.parse import parse_qsl

from lockstep_template.urls import holds_secret, is_absolute, scheme


@dataclass(frozen=True)
class Option:
    """A setting of DVC's that follows the URL as its query, under DVC's own name.

    Attributes:
        pattern: What its value looks like.
        example: A value that is right.
    """

    pattern: str
    example: str


@dataclass(frozen=True)
class Remote:
    """One kind of DVC remote.

    Attributes:
        pattern: What its URL looks like, without options.
        example: A URL that is right.
        extra: The extra of the distribution `dvc` that speaks it; empty where none is needed.
        credentials: Where its credentials belong, for people to read.
        options: By DVC's name, https://dvc.org/doc/user-guide/data-management/remote-storage
        fixed: What DVC has to be told besides.
    """

    pattern: str
    example: str
    extra: str
    credentials: str
    options: Mapping[str, Option] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """The example with all that may follow it."""
        query = "&".join(f"{name}={option.example}" for name, option in self.options.items())
        return f"{self.example}?{query}" if query else self.example


_HOST = r"[^/\s@:?]+(:\d+)?"
_ENDPOINT = Option(r'https?://[^/\s@:?"%]+(:\d+)?(/[^\s"%]*)?', "https://minio.example.org:9000")
_LOCAL_PASSWORD = "`dvc remote modify --local storage user …` and `… password …`"  # noqa: S105
REMOTES = {
    "s3": Remote(
        r"s3://[^/\s]+(/.*)?",
        "s3://bucket/path",
        "s3",
        "AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws",
        {"endpointurl": _ENDPOINT, "region": Option(r"[\w-]+", "us-east-1")},
    ),
    "gcs": Remote(
        r"gs://[^/\s]+(/.*)?",
        "gs://bucket/path",
        "gs",
        "GOOGLE_APPLICATION_CREDENTIALS, or `gcloud auth application-default login`",
        {
            "endpointurl": Option(_ENDPOINT.pattern, "https://storage.example.org"),
            "projectname": Option(r"[\w.:-]+", "project"),
        },
    ),
    "azure": Remote(
        r"azure://[^/\s]+(/.*)?",
        "azure://container/path",
        "azure",
        "AZURE_STORAGE_CONNECTION_STRING, or `az login` and the option account_name",
        {"account_name": Option(r"[a-z0-9]{3,24}", "account")},
    ),
    "ssh": Remote(
        rf"ssh://([^/\s@:]+@)?{_HOST}/.+",
        "ssh://user@host:22/path",
        "ssh",
        "the SSH agent, or ~/.ssh",
    ),
    "webdav": Remote(
        rf"webdavs?://([^/\s@:]+@)?{_HOST}(/.*)?",
        "webdavs://host/path",
        "webdav",
        _LOCAL_PASSWORD,
    ),
    "http": Remote(
        rf"https?://([^/\s@:]+@)?{_HOST}(/.*)?",
        "https://host/path",
        "",
        f"{_LOCAL_PASSWORD}, with the option auth",
        {"method": Option("PUT|POST|PATCH", "PUT"), "auth": Option("basic", "basic")},
    ),
    "dagshub": Remote(
        r"[\w.-]+/[\w.-]+",
        "owner/repository",
        "",
        f"your DagsHub token: {_LOCAL_PASSWORD}",
        fixed={"auth": "basic"},
    ),
}


def dvc_url(kind: str, url: str) -> str:
    """The remote's URL as .dvc/config has it: there, a relative path starts in .dvc/."""
    if kind == "dagshub":
        return dagshub_url(url, "dvc")
    if kind != "local":
        return url.partition("?")[0]
    return url if is_absolute(url) else normpath(f"../{url}")


def dvc_options(kind: str, url: str) -> dict[str, str]:
    """What .dvc/config says of the remote besides its URL."""
    if kind not in REMOTES:
        return {}
    return {**REMOTES[kind].fixed, **dict(_query(url))}


def web_address(kind: str, url: str) -> str:
    """An http(s) URL at which the remote's server answers; empty where none can be told."""
    location = dvc_url(kind, url)
    if scheme(location) in ("webdav", "webdavs"):
        return f"http{location.removeprefix('webdav')}"
    if scheme(location) in ("http", "https"):
        return location
    return dvc_options(kind, url).get("endpointurl", "")


def dagshub_url(repository: str, service: str) -> str:
    """Where DagsHub serves `dvc`, `mlflow` or `git` of an `owner/repository`; else empty."""
    is_one = re.fullmatch(REMOTES["dagshub"].pattern, repository)
    return f"https://dagshub.com/{repository}.{service}" if is_one else ""


def problems(kind: str, url: str) -> Iterator[str]:
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
    location = url.partition("?")[0]
    if not url:
        yield f"dvc_remote_url: a remote of the kind {kind} needs a URL such as {remote.example}"
    elif holds_secret(url) or any(holds_secret(value) for _, value in _query(url)):
        yield (
            "dvc_remote_url: it holds a credential, and .dvc/config is committed; leave it out of "
            f"the URL, DVC finds it in: {remote.credentials}"
        )
    elif not re.fullmatch(remote.pattern, location) or re.search(r"\s", location):
        yield f"dvc_remote_url: {location!r} is no URL of the kind {kind}; write {remote.example}"
    else:
        yield from _option_problems(kind, remote, url)


def _option_problems(kind: str, remote: Remote, url: str) -> Iterator[str]:
    given = _query(url)
    names = [name for name, _ in given]
    if unknown := [name for name in names if name not in remote.options]:
        takes = f"write {remote.shown}" if remote.options else "it takes none"
        yield f"dvc_remote_url: {unknown[0]!r} is no option of the kind {kind}; {takes}"
    elif len(set(names)) < len(names) or (not given and "?" in url):
        yield f"dvc_remote_url: after the ?, write each option once, as in {remote.shown}"
    else:
        for name, value in given:
            option = remote.options[name]
            if not re.fullmatch(option.pattern, value):
                yield f"dvc_remote_url: {name} is {value!r}; write {name}={option.example}"
                return


def _query(url: str) -> list[tuple[str, str]]:
    return parse_qsl(url.partition("?")[2], keep_blank_values=True)
