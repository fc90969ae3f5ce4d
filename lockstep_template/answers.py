"""The answers as a whole: what is derived from them, and which ones are refused."""

import difflib
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from email.errors import MessageError
from email.headerregistry import Address
from pathlib import Path
from typing import Any

from lockstep_template import cruft, names, remotes, samples, table, urls

TEMPLATE = Path(__file__).resolve().parent.parent
CLASSES = 20  # a number with more distinct values than this is a quantity, not a class
ROWS_PER_CLASS = 3  # and so is one with fewer rows per value on average
COLUMNS_SHOWN = 30
FOLDER = "data/raw"


@dataclass(frozen=True)
class Answers:
    """The public answers; one that is not given yet is empty."""

    project_name: str = ""
    project_slug: str = ""
    package_name: str = ""
    description: str = ""
    author_name: str = ""
    author_email: str = ""
    license: str = ""
    data_source: str = ""
    task: str = "auto"
    target_column: str = ""
    dvc_remote: str = "local"
    dvc_remote_url: str = ""
    mlflow_tracking_uri: str = ""
    git_remote_url: str = ""
    ci: str = ""
    create_environment: bool = True
    folder: Path = field(default_factory=Path)

    @classmethod
    def of(cls, given: Mapping[str, Any], folder: Path) -> "Answers":
        """Read cookiecutter's answers; relative paths among them start in a folder."""
        known = {item.name for item in fields(cls)} - {"folder"}
        return cls(**{key: value for key, value in given.items() if key in known}, folder=folder)

    @property
    def source(self) -> str:
        """The URL of the raw data, or the absolute path; a bundled sample's by default."""
        return self._source[0]

    @property
    def _source(self) -> tuple[str, str]:
        """The source, and the table in it that a path such as `shop.db/orders` names."""
        if not self.data_source:
            return str(samples.for_task(self.task).path), ""
        if urls.scheme(self.data_source):
            return self.data_source, ""
        try:
            path = self.folder / Path(self.data_source).expanduser()
            if path.parent.is_file():
                return str(path.parent), path.name
            return str(path), ""
        except (RuntimeError, OSError, ValueError):  # there is no such user, or it is no path
            return self.data_source, ""

    @property
    def table(self) -> table.Table:
        """What is known about the raw data."""
        source, part = self._source
        seen = table.look(source, self.target_column, part)
        # By default, the months of a sample become one file.
        return seen if self.data_source else replace(seen, suffix="csv")


def author_name(_: Answers) -> str:
    """The name that git commits with."""
    return names.git_config("user.name")


def author_email(_: Answers) -> str:
    """The address that git commits with."""
    return names.git_config("user.email")


def default_target(answers: Answers) -> str:
    """The target column of a bundled sample; that of other data cannot be guessed."""
    found = samples.at(answers.source)
    return found.target if found else ""


def sample(answers: Answers) -> samples.Sample | None:
    """The bundled table that the project starts with; None for other data.

    A project keeps its table in an update; before 0.5.0 there was another one, without a record.
    """
    if cruft.updated_project():
        name = cruft.recorded("__sample")
        return samples.named(name) if name else None
    return samples.at(answers.source)


def default_remote_url(answers: Answers) -> str:
    """A folder beside the project for a local remote."""
    return f"../{answers.project_slug}-dvc" if answers.dvc_remote == "local" else ""


def default_tracking_uri(answers: Answers) -> str:
    """DagsHub's MLflow server for a remote there; otherwise none, for the embedded store."""
    if answers.dvc_remote != "dagshub":
        return ""
    return remotes.dagshub_url(answers.dvc_remote_url, "mlflow")


def default_git_url(answers: Answers) -> str:
    """DagsHub's repository for a remote there; otherwise none."""
    if answers.dvc_remote != "dagshub":
        return ""
    return remotes.dagshub_url(answers.dvc_remote_url, "git")


def inferred_task(answers: Answers) -> str:
    """`classification` or `regression`: as answered, or as the target's values suggest."""
    if answers.task != "auto":
        return answers.task
    if recorded := cruft.recorded("__task"):
        return recorded
    data = answers.table
    return "regression" if data.are_numbers and _is_continuous(data) else "classification"


def raw(answers: Answers) -> str:
    """The path of the raw data in the project: `data/raw.csv`, or `data/raw` for a folder."""
    if recorded := cruft.recorded("__raw"):
        return recorded
    suffix = cruft.recorded("__raw_suffix") or answers.table.suffix  # the former: before 0.5.0
    return f"{FOLDER}.{suffix}" if suffix else FOLDER


def partitions(answers: Answers) -> str:
    """`yes` if the raw data are a folder whose files are the partitions; otherwise empty."""
    return "yes" if raw(answers) == FOLDER else ""


def raw_table(answers: Answers) -> str:
    """The table to read in a database or workbook; empty for other files."""
    return answers.table.part


def dvc_extras(answers: Answers) -> str:
    """The extras of the distribution `dvc` that the remote and the data's URL need, as `[s3]`."""
    remote = remotes.REMOTES.get(answers.dvc_remote)
    extras = {remote.extra if remote else "", urls.IMPORTABLE.get(urls.scheme(answers.source), "")}
    listed = ",".join(sorted(extras - {""}))
    return f"[{listed}]" if listed else ""


def dvc_remote_location(answers: Answers) -> str:
    """The remote's URL, as in .dvc/config."""
    return remotes.dvc_url(answers.dvc_remote, answers.dvc_remote_url)


def dvc_remote_options(answers: Answers) -> dict[str, str]:
    """The remote's other settings in .dvc/config."""
    return remotes.dvc_options(answers.dvc_remote, answers.dvc_remote_url)


def tracking_driver(answers: Answers) -> str:
    """The package that opens the tracking store; empty where MLflow needs no other."""
    return urls.DRIVERS.get(urls.scheme(answers.mlflow_tracking_uri), "")


def data_is_url(answers: Answers) -> bool:
    """Whether DVC imports the raw data from a URL, where they may change."""
    return bool(urls.scheme(answers.source))


def setup(answers: Answers) -> dict[str, Any]:
    """What the post-generation hook needs to know, as plain data."""
    remote = remotes.REMOTES.get(answers.dvc_remote)
    return {
        "only_files": cruft.updated_project() is not None,
        "by_cruft": cruft.is_running(),
        "author_name": answers.author_name,
        "author_email": answers.author_email,
        "create_environment": answers.create_environment,
        "source": answers.source,
        "source_is_url": data_is_url(answers),
        "raw": raw(answers),
        "partitions": bool(partitions(answers)),
        "dvc_remote": answers.dvc_remote,
        "dvc_remote_url": answers.dvc_remote_url,
        "mlflow_tracking_uri": answers.mlflow_tracking_uri,
        "git_remote_url": answers.git_remote_url,
        "credentials": {
            "git remote": urls.git_credentials(answers.git_remote_url),
            "DVC remote": remote.credentials if remote else "",
            "MLflow": urls.tracking_credentials(answers.mlflow_tracking_uri),
        },
        "template": str(TEMPLATE),
    }


def problems(answers: Answers) -> list[str]:
    """The reasons to refuse the answers: one line each, with what to write instead."""
    unprintable = list(_text_problems(answers))
    if unprintable:
        return unprintable
    return [
        *_name_problems(answers),
        *_author_problems(answers),
        *(() if cruft.updated_project() else _data_problems(answers)),
        *remotes.problems(answers.dvc_remote, answers.dvc_remote_url),
        *urls.tracking_problems(answers.mlflow_tracking_uri),
        *urls.git_problems(answers.git_remote_url),
    ]


DERIVED: tuple[Callable[[Answers], object], ...] = (
    author_name,
    author_email,
    default_target,
    sample,
    default_remote_url,
    default_tracking_uri,
    default_git_url,
    inferred_task,
    raw,
    partitions,
    raw_table,
    dvc_extras,
    dvc_remote_location,
    dvc_remote_options,
    tracking_driver,
    data_is_url,
    setup,
)


def _text_problems(answers: Answers) -> Iterator[str]:
    for key, value in asdict(answers).items():
        if not isinstance(value, str):
            continue
        bad = [c for c in value if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
        if bad or "\ufffe" in value or "\uffff" in value:
            yield (
                f"{key}: {urls.shown(value)} contains a line break or control character; "
                "write it on one line"
            )
        elif "${" in value:
            yield f"{key}: it contains ${{, which Hydra and DVC interpolate; leave it out"


def _name_problems(answers: Answers) -> Iterator[str]:
    if not answers.project_name.strip():
        yield "project_name: it is empty; enter a name, such as Bike hire"
    slug, package = answers.project_slug, answers.package_name
    if not names.is_slug(slug):
        yield (
            f"project_slug: {slug!r} is not a valid folder and distribution name; use letters, "
            f"digits and hyphens, such as {names.slug(slug)}"
        )
    elif slug.lower() in names.RESERVED_SLUGS:
        yield (
            f"project_slug: {slug} is a package that the project depends on; choose another "
            f"name, such as {names.slug(slug)}"
        )
    if not names.is_package(package):
        yield (
            f"package_name: {package!r} is not a valid package name; use letters, digits and "
            f"underscores, such as {names.package(package)}"
        )
    elif taken := names.taken(package):
        free = names.package(package)
        yield f"package_name: {package} is {taken}; choose another name, such as {free}"


def _author_problems(answers: Answers) -> Iterator[str]:
    if not answers.author_email:
        return
    try:
        address = Address(addr_spec=answers.author_email)
    except (MessageError, ValueError, IndexError):
        address = Address()
    if not (address.username and address.domain):
        yield (
            f"author_email: {answers.author_email!r} is not an e-mail address; write it as "
            "name@example.org, or leave it empty"
        )


def _data_problems(answers: Answers) -> Iterator[str]:
    target = answers.target_column
    if part := urls.data_credential_part(answers.data_source):
        yield (
            f"data_source: {part} could be a credential, which would be committed with the data; "
            "download the file and enter its path"
        )
        return
    data = answers.table
    if data.problem:
        yield f"data_source: {data.problem}"
        return
    if data.columns is None:
        if answers.task == "auto":
            yield (
                f"task: the columns of {answers.data_source} cannot be read here, so auto cannot "
                "decide; choose classification or regression"
            )
        if not target:
            yield "target_column: it is empty; enter the column to predict"
    elif target not in data.columns:
        yield _no_such_column(target, data.columns)
    else:
        yield from _target_problems(answers.task, target, data)


def _no_such_column(target: str, columns: tuple[str, ...]) -> str:
    first = ", ".join(columns[:COLUMNS_SHOWN])
    more = len(columns) - COLUMNS_SHOWN
    listed = f"the columns are {first}" + (f" and {more} more" if more > 0 else "")
    if not target:
        return f"target_column: it is empty; enter the column to predict: {listed}"
    lowered = {name.lower().strip(): name for name in columns}
    near = difflib.get_close_matches(target.lower().strip(), lowered, n=1)
    hint = f"did you mean {lowered[near[0]]!r}? " if near else ""
    return f"target_column: there is no column {target!r}; {hint}{listed}"


def _target_problems(task: str, target: str, data: table.Table) -> Iterator[str]:
    values, distinct = data.values, set(data.values)
    numeric = data.are_numbers
    if not values:
        if data.whole:
            yield f"target_column: {target!r} has no values; choose another column"
    elif len(distinct) == 1 and data.whole:
        yield (
            f"target_column: {target!r} has only the value {values[0]!r}, so there is nothing to "
            "predict; choose another column"
        )
    elif task == "regression" and not numeric:
        problem = data.numbers.problem
        why = f"cannot be read: {problem}" if problem else f"contains {data.numbers.others[0]!r}"
        yield (
            f"task: regression needs numbers, but {target!r} {why}; choose classification, or "
            "another target_column"
        )
    elif len(distinct) > max(CLASSES, len(values) / 2):
        if not numeric:
            yield (
                f"target_column: {target!r} has {len(distinct)} distinct texts in {len(values)} "
                "rows, so it looks like an identifier; choose another column"
            )
        elif task == "classification":
            yield (
                f"task: {target!r} has {len(distinct)} distinct numbers in {len(values)} rows, "
                "too many for classes; choose regression"
            )


def _is_continuous(data: table.Table) -> bool:
    read = data.numbers.values
    counts = Counter(read[text] for text in map(str.strip, data.values) if text in read)
    if len(counts) > min(CLASSES, max(2, len(data.values) / ROWS_PER_CLASS)):
        return True
    if len(counts) > 2 and min(counts.values()) == 1:  # a class of one row cannot be tested
        return True
    return not all(number.is_integer() for number in counts)
