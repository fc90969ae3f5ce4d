"""Golden pages: what the verbs print, kept in tests/golden/ so that a change of wording is seen.

`pytest --update-golden` writes the pages again; read the difference before you commit it.
"""

import difflib
import re
from pathlib import Path

import pytest

PAGES = Path(__file__).parent / "golden"
WIDTH = "100"  # of the terminal, in columns

# What differs from run to run, and how it is shown. A mask keeps the width of tables.
MASKED = [
    r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?\b",  # times
    r"\b\d{8}-\d{6}\b",  # the same in the names of sweeps
    r"\bm-[0-9a-f]{32}\b",  # ids of logged models
    r"(?<![\w.])[0-9a-f]{7,64}(?![\w])",  # commits, md5, ids of runs
]
REPLACED = [
    (r"\b\d+(?:\.\d+)? (s|ms|seconds|minutes|bytes|kB|MB|GB)\b", r"# \1"),
    (r"\b3\.1\d\.\d+\b", "3.#.#"),  # Python
    (r"(?<=  )[ \d]\d[smhd](?=  )", "###"),  # the age of a run
    (r"\[Errno \d+\]", "[Errno #]"),  # each system has its own
    (r"(?m)^trials \d+ of \d+, running .*\n", ""),  # of a sweep that takes long enough to say so
]
NUMBERS = (r"(?<![\w.])\d+\.\d+(?![\w.])", "#.#")  # scores of real models


class Page:
    """A transcript of commands, to be compared with the page in tests/golden/."""

    def __init__(self, name: str, *, update: bool) -> None:
        self._file = PAGES / f"{name}.txt"
        self._update = update
        self._lines: list[str] = []

    def tell(self, story: str) -> None:
        """Say what happens between two commands."""
        self._lines += [f"# {story}"]

    def add(
        self, command: str, code: int, output: str, *, names: dict[str, str], numbers: bool = True
    ) -> None:
        """Add a command and its output.

        Args:
            command: As a user types it.
            code: Its exit code.
            output: What it printed.
            names: Texts that differ from run to run, each with what is shown instead.
            numbers: Whether decimal numbers are the same in each run.
        """
        shown = normalised(output, names, numbers=numbers)
        end = [f"[exit code {code}]"] if code else []
        self._lines += [f"$ {command}", *shown.splitlines(), *end, ""]

    def check(self) -> None:
        """Compare with the kept page, or keep this one."""
        text = "\n".join(self._lines).rstrip() + "\n"
        if self._update:
            self._file.parent.mkdir(exist_ok=True, parents=True)
            self._file.write_text(text, encoding="utf-8")
            return
        kept = self._file.read_text(encoding="utf-8") if self._file.exists() else ""
        name = self._file.relative_to(PAGES.parent.parent).as_posix()
        difference = difflib.unified_diff(
            kept.splitlines(), text.splitlines(), f"{name}, as kept", "as printed now", lineterm=""
        )
        if kept != text:
            shown = "\n".join(difference)
            pytest.fail(
                f"{shown}\n\nif the new page reads well: pytest --update-golden", pytrace=False
            )


def normalised(text: str, names: dict[str, str], *, numbers: bool = True) -> str:
    """A text without what differs from run to run, and without the spaces at the ends of lines."""
    for name, shown in names.items():
        text = text.replace(name, shown)
    text = re.sub(r"\(choose from .*?\)", lambda match: match[0].replace("'", ""), text)  # 3.11
    for pattern in MASKED:
        text = re.sub(pattern, lambda match: re.sub(r"\w", "#", match[0]), text)
    for pattern, shown in [*REPLACED, *([] if numbers else [NUMBERS])]:
        text = re.sub(pattern, shown, text)
    return "\n".join(line.rstrip() for line in text.splitlines())
