"""The names of the project, its distribution and its package, and which names are taken."""

import json
import keyword
import re
import subprocess
import sys
import unicodedata

# Distribution name -> import name of what a generated project installs directly.
DEPENDENCIES = {
    "charset-normalizer": "charset_normalizer",
    "cloudpickle": "cloudpickle",
    "dvc": "dvc",
    "filelock": "filelock",
    "hatchling": "hatchling",
    "hydra-core": "hydra",
    "joblib": "joblib",
    "lockstep": "lockstep",
    "markdown-it-py": "markdown_it",
    "matplotlib": "matplotlib",
    "mlflow": "mlflow",
    "mypy": "mypy",
    "numpy": "numpy",
    "omegaconf": "omegaconf",
    "optuna": "optuna",
    "packaging": "packaging",
    "pandas": "pandas",
    "pandas-stubs": "pandas_stubs",
    "pandera": "pandera",
    "pre-commit": "pre_commit",
    "pre-commit-hooks": "pre_commit_hooks",
    "psutil": "psutil",
    "pyarrow": "pyarrow",
    "pydantic": "pydantic",
    "pytest": "pytest",
    "pyyaml": "yaml",
    "rich": "rich",
    "ruff": "ruff",
    "scikit-learn": "sklearn",
    "shtab": "shtab",
    "skops": "skops",
    "sqlalchemy": "sqlalchemy",
    "types-psutil": "types_psutil",
    "types-pyyaml": "types_pyyaml",
    "uv": "uv",
}
# Well-known packages that those depend on: src/ comes first on the path, so a package of the same
# name would be imported instead.
_INDIRECT = {
    "alembic", "celery", "click", "cloudpickle", "docker", "fastapi", "flask", "fsspec", "git",
    "graphene", "jinja2", "kombu", "networkx", "pil", "pip", "requests",
    "scipy", "setuptools", "six", "starlette", "tqdm", "uvicorn", "wheel",
}  # fmt: skip
_OWN = {"lockstep", "src", "test", "tests"}
RESERVED_PACKAGES = frozenset(
    {name.lower() for name in (*sys.stdlib_module_names, *keyword.kwlist)}
    | set(DEPENDENCIES.values())
    | _INDIRECT
    | _OWN
)
RESERVED_SLUGS = frozenset(DEPENDENCIES)
LONGEST = 64


def slug(text: str) -> str:
    """A folder and distribution name: lower case, ASCII, words joined by hyphens."""
    ascii_text = unicodedata.normalize("NFKD", str(text).casefold()).encode("ascii", "ignore")
    words = re.sub(r"[^a-z0-9]+", "-", ascii_text.decode()).strip("-")
    name = words[:LONGEST].strip("-") or "ml-project"
    return f"{name}-project" if name in RESERVED_SLUGS else name


def package(text: str) -> str:
    """An import name that is free, made from a slug."""
    name = slug(text).replace("-", "_")
    if name[0].isdigit():
        name = f"p{name}"
    return f"{name}_project" if name in RESERVED_PACKAGES else name


def is_slug(text: str) -> bool:
    """Whether a text is a valid folder and distribution name."""
    return bool(re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", text)) and (
        len(text) <= LONGEST
    )


def is_package(text: str) -> bool:
    """Whether a text is a valid import name."""
    return bool(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", text)) and len(text) <= LONGEST


def taken(text: str) -> str:
    """What already has an import name; empty when it is free."""
    name = text.lower()  # file systems may not tell upper from lower case
    if name in {word.lower() for word in keyword.kwlist}:
        return "a Python keyword"
    if name in sys.stdlib_module_names:
        return "a module of the standard library"
    if name in _OWN:
        return "a folder of the project itself"
    return "a package that the project depends on" if name in RESERVED_PACKAGES else ""


def quote(text: str) -> str:
    """A double-quoted string that TOML, YAML and Python all read back as the text.

    It holds for text without control characters, which `problems` refuses.
    """
    return json.dumps(str(text), ensure_ascii=False)


def git_config(key: str) -> str:
    """One of git's settings; empty where git or the setting is missing."""
    try:
        done = subprocess.run(
            ["git", "config", "--get", key], capture_output=True, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace").strip()
