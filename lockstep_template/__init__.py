"""The template's Jinja extension: what is derived from the answers, and which ones are refused.

Cookiecutter imports it from the template's root for cookiecutter.json, the files and the hooks. A
hook runs as a separate process, without the answers: the results are rendered into it. Every filter
but `accepted` is total: a bad answer is reported by `problems`, never by a traceback.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from cookiecutter.exceptions import FailedHookException  # type: ignore[import-untyped]
from jinja2 import Environment
from jinja2.ext import Extension

from lockstep_template import cruft, names
from lockstep_template.answers import DERIVED, TEMPLATE, Answers, problems


class Lockstep(Extension):
    """Adds the filters, and keeps answers from being rendered as templates."""

    # Relative paths among the answers start here. Hooks are rendered in the template's folder;
    # everything before them, in the user's.
    folder: ClassVar[Path] = Path.cwd()

    def __init__(self, environment: Environment) -> None:
        """Register the filters in one of the environments that cookiecutter makes."""
        super().__init__(environment)
        if not TEMPLATE.samefile(Path.cwd()):  # its own path may have links in it
            Lockstep.folder = Path.cwd()
        for of_text in (names.slug, names.package, names.quote):
            environment.filters[of_text.__name__] = of_text
        for of_answers in (*DERIVED, problems, accepted):
            environment.filters[of_answers.__name__] = _on_answers(of_answers)
        if cruft.updated_project():
            # It renders two versions of the template in one process, from one path: the next
            # environment has to import the code again.
            for module in [name for name in sys.modules if name.partition(".")[0] == __name__]:
                del sys.modules[module]

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Take an answer that contains `{{` literally.

        Cookiecutter renders the answers of its command line, and those that cruft replays, as
        templates, just like the template's own strings.
        """
        del filename
        if name is None and _has_marks(source) and not _is_own(source):
            return f"{{{{ {source!r} }}}}"
        return source


@cache
def _own_strings() -> frozenset[str]:
    """The defaults in cookiecutter.json, the hooks, and the names of files: what is rendered."""
    defaults = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    hooks = (hook.read_text(encoding="utf-8") for hook in (TEMPLATE / "hooks").glob("*.py"))
    project = TEMPLATE / "{{cookiecutter.project_slug}}"
    names = (path.name for path in [project, *project.rglob("*")])
    return frozenset(filter(_has_marks, [*map(str, defaults.values()), *hooks, *names]))


def _is_own(source: str) -> bool:
    """Whether a text is one of the template's own strings, or a path of such names."""
    if any(word.partition("=")[2] == source for word in sys.argv[1:]):
        return False
    own = _own_strings()
    return source in own or all(
        part in own for part in re.split(r"[/\\]", source) if _has_marks(part)
    )


def _has_marks(text: str) -> bool:
    return any(mark in text for mark in ("{{", "{%", "{#"))


def accepted(answers: Answers) -> bool:
    """Refuse bad answers as soon as all are given.

    When a hook fails, cookiecutter prints a traceback; here, only the refusal is printed. Replayed
    answers are checked by the hook alone.
    """
    if refused := problems(answers):
        raise FailedHookException("\n  ".join(("These answers cannot be used:", *refused)))
    return True


def _on_answers(derive: Callable[[Answers], object]) -> Callable[[Mapping[str, Any]], object]:
    return lambda answers: derive(Answers.of(answers, Lockstep.folder))
