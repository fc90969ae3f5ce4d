"""The template's Jinja extension: what is derived from the answers, and which are refused.

Cookiecutter imports it from the template's root for cookiecutter.json, the files and the hooks. A
hook runs as a process of its own, without the answers: the results are rendered into the hooks.
Every filter but `accepted` is total: a bad answer is told by `problems`, never by a traceback.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from cookiecutter.exceptions import FailedHookException  # type: ignore[import-untyped]
from jinja2 import Environment
from jinja2.ext import Extension

from lockstep_template import cruft, names
from lockstep_template.answers import DERIVED, TEMPLATE, Answers, problems


class Lockstep(Extension):
    """Adds the filters, and keeps answers from being rendered as templates."""

    # Relative paths among the answers start here. Hooks are rendered with the template as the
    # working folder; what comes before them, in the user's.
    folder: ClassVar[Path] = Path.cwd()

    def __init__(self, environment: Environment) -> None:
        """Register the filters in one of the environments that cookiecutter makes."""
        super().__init__(environment)
        if Path.cwd() != TEMPLATE:
            Lockstep.folder = Path.cwd()
        for of_text in (names.slug, names.package, names.quote):
            environment.filters[of_text.__name__] = of_text
        for of_answers in (*DERIVED, problems, accepted):
            environment.filters[of_answers.__name__] = _on_answers(of_answers)
        if cruft.updated_project():
            # It renders two versions of the template in one process, from one path: have the next
            # environment import the code anew.
            for module in [name for name in sys.modules if name.partition(".")[0] == __name__]:
                del sys.modules[module]

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Take an answer that holds `{{` literally.

        Cookiecutter renders the answers of its command line, and those that cruft replays, as
        templates. The template's own strings all speak of `cookiecutter`.
        """
        del filename
        is_answer = name is None and "cookiecutter" not in source
        if is_answer and any(mark in source for mark in ("{{", "{%", "{#")):
            return f"{{{{ {source!r} }}}}"
        return source


def accepted(answers: Answers) -> bool:
    """Refuse bad answers as soon as all are given.

    Cookiecutter lets a traceback follow what a failing hook prints; here, the refusal is all that
    is printed. What comes from a replay goes past this, to the hook.
    """
    found = problems(answers)
    if found:
        raise FailedHookException("\n  ".join(("These answers cannot be used:", *found)))
    return True


def _on_answers(derive: Callable[[Answers], object]) -> Callable[[Mapping[str, Any]], object]:
    return lambda answers: derive(Answers.of(answers, Lockstep.folder))
