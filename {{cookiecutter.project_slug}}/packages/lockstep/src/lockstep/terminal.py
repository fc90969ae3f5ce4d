"""Tables and texts in the terminal, printed by Rich, which is imported when it is first used."""

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

UNLIMITED = 1000  # columns: a table's cell is never cut, whatever the terminal's width


def console(width: int | None = None) -> "Console":
    """A console that prints texts as they are: brackets are not markup, and lines do not wrap.

    Its width, in columns, is the terminal's by default.
    """
    from rich.console import Console

    return Console(highlight=False, markup=False, soft_wrap=True, width=width)


def show(*renderables: "RenderableType") -> None:
    """Print texts, tables and trees one below the other."""
    wide = console(UNLIMITED)
    for renderable in renderables:
        wide.print(renderable)


def table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], numeric: Collection[str] = ()
) -> "Table":
    """A table without lines; the columns whose heading is in `numeric` are aligned to the right."""
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        grid.add_column(heading, justify="right" if heading in numeric else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*row)
    return grid
