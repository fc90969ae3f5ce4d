"""Files that look like secrets, which must not be copied out of the project.

The rules are narrow, as each false alarm makes a run incomplete. The names are from Talisman,
https://github.com/thoughtworks/talisman, and what files contain (private keys, tokens, assignments
of random text) is from https://github.com/gitleaks/gitleaks/blob/master/config/gitleaks.toml.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from lockstep import git

# Patterns of names and, with a slash, of the ends of paths; all in lower case.
NAMES = (
    *("*_rsa", "*_dsa", "*_ecdsa", "*_ed25519", "*.pem", "*.ppk", "*.key", "*.keypair"),
    *("*.p12", "*.pfx", "*.pkcs12", "*.jks", "*.keystore", "*.keyring", "*.keychain", "*.kdb"),
    *("*.kdbx", "*.ovpn", ".env", ".env.*", "*.env", ".envrc", ".netrc", "_netrc", ".pgpass"),
    *("pgpass.conf", ".my.cnf", ".htpasswd", ".pypirc", ".npmrc", ".git-credentials"),
    *(".dockercfg", ".s3cfg", ".boto", ".databrickscfg", "kubeconfig", ".*_history"),
    *("credentials.json", "credentials.y*ml", "credentials.xml", "credentials.toml"),
    *("secrets.json", "secrets.y*ml", "secrets.toml", "client_secret*.json", "token.json"),
    *("application_default_credentials.json", "service[-_]account*.json", "kaggle.json"),
    *(".aws/credentials", ".aws/config", ".docker/config.json", ".kube/config"),
    *(".ssh/*", ".gnupg/*", ".azure/*", ".gcloud/*"),
)
EXAMPLES = ("*.example", "*.sample", "*.template", "*.dist", ".ssh/*.pub", ".ssh/known_hosts")
# Data and notebooks are full of long random text, and are never read.
DATA = {".csv", ".tsv", ".parquet", ".ipynb", ".jsonl", ".ndjson", ".svg", ".lock", ".html"}
LARGEST = 1_000_000  # bytes; secrets are in small files
PRIVATE_KEY = re.compile(
    r"-----BEGIN[ A-Z0-9_-]{0,100}PRIVATE KEY(?: BLOCK)?-----\s[A-Za-z0-9+/=:,\s.-]{64}"
)
TOKEN = re.compile(
    r"\b(?:(?:AKIA|ASIA)[A-Z2-7]{16}|gh[pousr]_\w{36}|github_pat_\w{82}|glpat-[\w-]{20}"
    r"|hf_[A-Za-z]{34}|xox[baprs]-[\w-]{20,}|sk-(?:ant|proj)-[\w-]{40,}|AIza[\w-]{35})\b"
)
ASSIGNMENT = re.compile(
    r"""(?:secret|token|passw(?:or)?d|pwd|(?:api|access|secret|account)_?key)["']?\s*[:=]\s*"""
    r"""(["']?)([A-Za-z0-9+/=_.~-]{20,})\1(?=[\s,;}]|$)""",
    re.IGNORECASE,
)


def untracked_secrets(workspace: Path, wanted: Iterable[str]) -> dict[str, str]:
    """The untracked files of a repository that look like secrets, and why.

    Args:
        workspace: The project's folder in the repository.
        wanted: Patterns of the paths, from the project's folder, of files to let through.

    Returns:
        The reasons, by path from the repository's top folder.
    """
    top = git.git("rev-parse", "--show-toplevel", cwd=workspace)
    list_untracked = ("ls-files", "--others", "--exclude-standard", "--full-name", "-z", ":/")
    listed = git.git(*list_untracked, cwd=workspace)
    allowed = [git.prefix(workspace) + pattern for pattern in wanted]
    return {
        name: reason
        for name in filter(None, (listed or "").split("\0"))
        if top and not any(fnmatchcase(name, pattern) for pattern in allowed)
        if (reason := secret_in(Path(top, name)))
    }


def secret_in(path: Path) -> str | None:
    """Why a file looks like a secret: its name, or what it contains; None if it does not."""
    lowered = PurePosixPath(path.as_posix().lower())
    if any(map(lowered.match, EXAMPLES)) or lowered.suffix in DATA or not path.is_file():
        return None
    if any(map(lowered.match, NAMES)):
        return "its name"
    if path.is_symlink() or path.stat().st_size > LARGEST:
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return next(_secrets(text, is_code=lowered.suffix == ".py"), None)


def _secrets(text: str, *, is_code: bool) -> Iterator[str]:
    if PRIVATE_KEY.search(text):
        yield "a private key"
    if TOKEN.search(text):
        yield "an access token"
    for found in ASSIGNMENT.finditer(text):
        quote, value = found.groups()
        if (quote or not is_code) and _is_random(value):
            yield f"line {text.count(chr(10), 0, found.start()) + 1}"


def _is_random(text: str) -> bool:
    """Whether a text is drawn from digits and letters of both cases, or is a long hex number."""
    if re.fullmatch(r"[0-9a-f]{32,}", text):
        return True
    counts = Counter(text).values()
    entropy = -sum(count / len(text) * math.log2(count / len(text)) for count in counts)
    mixed = all(re.search(kind, text) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return mixed and entropy > 3.5
