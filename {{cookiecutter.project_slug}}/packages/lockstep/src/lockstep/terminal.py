"""Tables and texts in the terminal, printed by Rich, which is imported when it is first used."""

import os
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

UNLIMITED = 1000  # columns: a table's cell is never cut, whatever the terminal's width
COLOURS = {
    **{"passed": "green", "undecided": "yellow", "failed": "red"},  # verdicts of the gate
    **{"better": "green", "worse": "red"},  # and of comparisons
}
PAGE = 100  # columns of a table that wraps, where the output is not a terminal


def console(width: int | None = None, *, stderr: bool = False) -> "Console":
    """A console that prints texts as they are: brackets are not markup, and lines do not wrap.

    Its width, in columns, is the terminal's by default.
    """
    from rich.console import Console

    return Console(highlight=False, markup=False, soft_wrap=True, width=width, stderr=stderr)


def show(*renderables: "RenderableType", wrap: bool = False) -> None:
    """Print texts, tables and trees one below the other.

    Args:
        wrap: Whether a table's column that wraps is fitted into the terminal.
    """
    if wrap:
        terminal = console()
        width = terminal.width if terminal.is_terminal or "COLUMNS" in os.environ else PAGE
    wide = console(width if wrap else UNLIMITED)
    for renderable in renderables:
        wide.print(renderable)


def fail(message: str) -> None:
    """Print an error."""
    from rich.text import Text

    stderr = console(stderr=True)
    stderr.print(Text.assemble(("error:", "bold red"), f" {message}"))


def table(
    headings: Sequence[str],
    rows: "Iterable[Sequence[str | Text]]",
    numeric: Collection[str] = (),
    wrapping: str | None = None,
) -> "Table":
    """A table without lines; a cell that is a verdict has its colour.

    Args:
        numeric: The headings of the columns that are aligned to the right.
        wrapping: The heading of the column whose texts may wrap.
    """
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        grid.add_column(
            heading,
            justify="right" if heading in numeric else "left",
            no_wrap=heading != wrapping,
            overflow="fold",
            min_width=len(heading) if heading == wrapping else None,
        )
    for row in rows:
        grid.add_row(*(Text(c, COLOURS.get(c, "")) if isinstance(c, str) else c for c in row))
    return grid
