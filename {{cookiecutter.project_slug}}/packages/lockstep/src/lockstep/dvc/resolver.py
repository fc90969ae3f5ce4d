"""dvc.yaml as DVC itself resolves it: `${...}`, `vars`, `foreach` and `matrix`.

The class is DVC's own, and no part of its public API; nothing else of the glue uses it.
"""

import hashlib
import io
import json
import posixpath
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lockstep import LockstepError, __version__
from lockstep.dvc.sources import Source
from lockstep.files import parse_yaml
from lockstep.workspace import PARAMS

NOTE = "pipeline.json"
Text = Callable[[str], str | None]


def resolved(source: Source, folder: Path | None = None) -> dict[str, dict[str, Any]]:
    """The content of each dvc.yaml, by its path.

    Args:
        folder: Where to keep the result with the digests of all files that shaped it, as DVC's
            resolver takes longer to import than most verbs take; None to keep nothing.

    Raises:
        LockstepError: DVC cannot resolve it.
    """
    names = source.pipelines()
    note = folder / NOTE if folder else None
    if note and (known := _noted(note, source, names)) is not None:
        return known
    digests: dict[str, str] = {}

    def text(name: str) -> str | None:
        found = source.text(name)
        digests[name] = _digest(found)
        return found

    contents = {name: _resolve(name, text) for name in names}
    entry = {"version": __version__, "names": names, "digests": digests, "contents": contents}
    line = json.dumps(entry, default=str)
    if note and note.parent.parent.is_dir():
        try:
            note.parent.mkdir(exist_ok=True)
            note.write_text(line, encoding="utf-8")
        except OSError:  # it is only for speed
            pass
    result: dict[str, dict[str, Any]] = json.loads(line)["contents"]
    return result


def _noted(note: Path, source: Source, names: list[str]) -> dict[str, dict[str, Any]] | None:
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if known["version"] != __version__ or known["names"] != names:
        return None
    same = all(_digest(source.text(name)) == md5 for name, md5 in known["digests"].items())
    return known["contents"] if same else None


def _digest(text: str | None) -> str:
    return "" if text is None else hashlib.sha256(text.encode()).hexdigest()


def _resolve(name: str, text: Text) -> dict[str, Any]:
    from dvc.exceptions import DvcException
    from dvc.parsing import DataResolver

    content = parse_yaml(text(name) or "", name) or {}
    repo = SimpleNamespace(fs=_Files(text), config={})
    try:
        resolver = DataResolver(repo, posixpath.dirname(name), content)
        return {
            "stages": resolver.resolve()["stages"] or {},
            "artifacts": resolver.resolve_artifacts(),
            "metrics": resolver.resolve_metrics(),
        }
    except DvcException as error:
        params = posixpath.join(posixpath.dirname(name), PARAMS)
        cure = f"{params} does not exist yet, and {name} may use its values: "
        cure += "`uv run lockstep compose` writes it"
        raise LockstepError(f"{error}\n{cure}" if text(params) is None else str(error)) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise LockstepError(f"{name} is not valid; `uv run dvc status` says why") from error


class _Files:
    """What DVC's resolver asks of a file system."""

    join = staticmethod(posixpath.join)
    normpath = staticmethod(posixpath.normpath)

    def __init__(self, text: Text) -> None:
        self._text = text

    def exists(self, path: str) -> bool:
        return self._text(path) is not None

    def isdir(self, path: str) -> bool:
        return not self.exists(path)

    def suffix(self, path: str) -> str:
        return posixpath.splitext(path)[1]

    def open(self, path: str, encoding: str = "utf-8") -> io.StringIO:
        return io.StringIO(self._text(path))
