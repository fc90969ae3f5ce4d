"""The kinds of DVC remote: their URLs, their options, and where their credentials belong."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from posixpath import normpath
from urllib.parse import parse_qsl

from lockstep_template.urls import credential_part, is_absolute, scheme, shown


@dataclass(frozen=True)
class Option:
    """A setting of DVC's, given under DVC's name in the query of the URL.

    Attributes:
        pattern: The regular expression of its value.
        example: A valid value.
    """

    pattern: str
    example: str


@dataclass(frozen=True)
class Remote:
    """One kind of DVC remote.

    Attributes:
        pattern: The regular expression of its URL, without options.
        example: A valid URL.
        extra: The extra of the distribution `dvc` that it needs; empty where it needs none.
        credentials: Where its credentials belong, for people to read.
        options: By DVC's name, https://dvc.org/doc/user-guide/data-management/remote-storage
        fixed: Settings that are the same for every remote of this kind.
    """

    pattern: str
    example: str
    extra: str
    credentials: str
    options: Mapping[str, Option] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """The example with all its options."""
        query = "&".join(f"{name}={option.example}" for name, option in self.options.items())
        return f"{self.example}?{query}" if query else self.example


_HOST = r"[^/\s@:?]+(:\d+)?"
_ENDPOINT = Option(r'https?://[^/\s@:?"%]+(:\d+)?(/[\w./-]*)?', "https://minio.example.org:9000")
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
        rf"webdavs?://{_HOST}(/.*)?",
        "webdavs://host/path",
        "webdav",
        _LOCAL_PASSWORD,
    ),
    "http": Remote(
        rf"https?://{_HOST}(/.*)?",
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
    """The remote's URL, as in .dvc/config: there, a relative path starts in .dvc/."""
    if kind == "dagshub":
        return dagshub_url(url, "dvc")
    if kind != "local":
        return url.partition("?")[0]
    return url if is_absolute(url) else normpath(f"../{url}")


def dvc_options(kind: str, url: str) -> dict[str, str]:
    """The remote's other settings in .dvc/config."""
    if kind not in REMOTES:
        return {}
    return {**REMOTES[kind].fixed, **dict(_query(url))}


def dagshub_url(repository: str, service: str) -> str:
    """Where DagsHub serves `dvc`, `mlflow` or `git` of `owner/repository`; otherwise empty."""
    is_valid = re.fullmatch(REMOTES["dagshub"].pattern, repository)
    return f"https://dagshub.com/{repository}.{service}" if is_valid else ""


def problems(kind: str, url: str) -> Iterator[str]:
    """What is wrong with the URL of a DVC remote."""
    if kind == "none":
        if url:
            yield (
                "dvc_remote_url: there is a URL, but dvc_remote is none; choose the remote's kind, "
                "or leave the URL empty"
            )
    elif '"' in url or "%(" in url:
        yield 'dvc_remote_url: DVC cannot store a " or %( in a URL; choose another location'
    elif kind == "local":
        yield from _folder_problems(url)
    elif kind in REMOTES:
        yield from _url_problems(kind, REMOTES[kind], url)


def _folder_problems(path: str) -> Iterator[str]:
    if not path:
        yield "dvc_remote_url: a local remote needs a folder, such as ../dvc-storage"
    elif scheme(path):
        yield (
            f"dvc_remote_url: {scheme(path)}:// is not a folder; choose the matching kind of "
            "remote, or enter a path such as ../dvc-storage"
        )
    elif not is_absolute(path) and not normpath(path).startswith(".."):
        yield (
            f"dvc_remote_url: {shown(path)} is inside the project, where git would commit the "
            "data; choose a folder outside, such as ../dvc-storage"
        )


def _url_problems(kind: str, remote: Remote, url: str) -> Iterator[str]:
    location = url.partition("?")[0]
    if not url:
        yield f"dvc_remote_url: a remote of kind {kind} needs a URL such as {remote.example}"
    elif part := credential_part(url, {name.lower() for name, _ in _query(url)}):
        yield (
            f"dvc_remote_url: {part} could be a credential, and .dvc/config is committed; leave it "
            f"out of the URL, DVC finds it in: {remote.credentials}"
        )
    elif not re.fullmatch(remote.pattern, location) or re.search(r"\s", location):
        yield (
            f"dvc_remote_url: {shown(location)} is not a URL of kind {kind}; write {remote.example}"
        )
    else:
        yield from _option_problems(kind, remote, url)


def _option_problems(kind: str, remote: Remote, url: str) -> Iterator[str]:
    given = _query(url)
    names = [name for name, _ in given]
    if unknown := [name for name in names if name not in remote.options]:
        known = f"write it as {remote.shown}" if remote.options else "it has none"
        name = shown(unknown[0]) if f"{unknown[0]}=" in url else "the text after ?"
        yield f"dvc_remote_url: {name} is not an option of kind {kind}; {known}"
    elif len(set(names)) < len(names) or (not given and "?" in url):
        yield f"dvc_remote_url: write each option once after the ?, as in {remote.shown}"
    else:
        for name, value in given:
            option = remote.options[name]
            if not re.fullmatch(option.pattern, value):
                yield f"dvc_remote_url: {name} is {shown(value)}; write {name}={option.example}"
                return


def _query(url: str) -> list[tuple[str, str]]:
    return parse_qsl(url.partition("?")[2], keep_blank_values=True)
