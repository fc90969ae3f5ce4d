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
PAGE = 100  # columns, where the output is not a terminal


def console(width: int | None = None, *, stderr: bool = False) -> "Console":
    """A console that prints texts as they are: brackets are not markup, and lines do not wrap.

    Its width, in columns, is the terminal's by default.
    """
    from rich.console import Console

    return Console(highlight=False, markup=False, soft_wrap=True, width=width, stderr=stderr)


def show(*renderables: "RenderableType") -> None:
    """Print texts, tables and trees one below the other."""
    wide = console(UNLIMITED)
    for renderable in renderables:
        wide.print(renderable)


def fits(table: "Table") -> bool:
    """Whether a table is not wider than the terminal or, where there is none, a page."""
    terminal = console()
    width = terminal.width if terminal.is_terminal or "COLUMNS" in os.environ else PAGE
    return console(UNLIMITED).measure(table).maximum <= width


def fail(message: str) -> None:
    """Print an error."""
    from rich.text import Text

    stderr = console(stderr=True)
    stderr.print(Text.assemble(("error:", "bold red"), f" {message}"))


def table(
    headings: Sequence[str],
    rows: "Iterable[Sequence[str | Text]]",
    numeric: Collection[str] = (),
) -> "Table":
    """A table without lines; a cell that is a verdict has its colour.

    Args:
        numeric: The headings of the columns that are aligned to the right.
    """
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        grid.add_column(heading, justify="right" if heading in numeric else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*(Text(c, COLOURS.get(c, "")) if isinstance(c, str) else c for c in row))
    return grid
