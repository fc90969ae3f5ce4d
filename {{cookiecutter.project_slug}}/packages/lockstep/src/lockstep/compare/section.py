"""A page as sections of tables and lines, and the page as Markdown or HTML."""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lockstep.gate.rules import cell

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}th,td{padding:.2rem .8rem;border-bottom:1px solid #ddd;"
    "text-align:left}td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}"
    "code{overflow-wrap:anywhere}"
)


@dataclass(frozen=True)
class Section:
    """A part of a page: a table with lines of text below it.

    Attributes:
        numeric: The headings of the columns of numbers.
    """

    title: str
    headings: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    numeric: Sequence[str] = ()
    notes: Sequence[str] = field(default_factory=list)


def as_markdown(title: str, headline: str, sections: Iterable[Section]) -> str:
    """A page in Markdown."""
    lines = [f"# {title}", "", headline]
    for section in sections:
        lines += ["", f"## {section.title}", ""]
        if section.rows:
            rules = ["--:" if name in section.numeric else "---" for name in section.headings]
            table = [section.headings, rules, *section.rows]
            lines += [f"| {' | '.join(map(cell, row))} |" for row in table]
            lines += [""] if section.notes else []
        lines += section.notes
    return "\n".join(lines) + "\n"


def as_html(title: str, headline: str, sections: Iterable[Section]) -> str:
    """A page in HTML that needs no other file and no network."""
    name = html.escape(title)
    body = "".join(map(_section, sections))
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>{name}</h1>\n<p><strong>{html.escape(headline)}</strong></p>\n{body}</body></html>\n"
    )


def _section(section: Section) -> str:
    numbers = [name in section.numeric for name in section.headings]
    table = _row("th", section.headings, numbers)
    table += "".join(_row("td", row, numbers) for row in section.rows)
    notes = "".join(f"<p>{html.escape(note)}</p>\n" for note in section.notes)
    shown = f"<table>\n{table}</table>\n" if section.rows else ""
    return f"<h2>{html.escape(section.title)}</h2>\n{shown}{notes}"


def _row(tag: str, cells: Sequence[str], numbers: Sequence[bool]) -> str:
    shown = "".join(
        f"<{tag}{' class=number' if number else ''}>{html.escape(text)}</{tag}>"
        for text, number in zip(cells, numbers, strict=True)
    )
    return f"<tr>{shown}</tr>\n"
