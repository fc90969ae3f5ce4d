"""One HTML file with everything in it: it opens without a network, and can be mailed."""

import base64
import html
import mimetypes
from collections.abc import Mapping
from pathlib import Path

STYLE = """
:root { color-scheme: light dark; --ink: #1f2937; --pale: #64748b; --line: #d8dee8;
  --ground: #ffffff; --shade: #f5f7fa; --accent: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e5e7eb; --pale: #94a3b8; --line: #374151;
  --ground: #111827; --shade: #1f2937; --accent: #7cc4f0; } }
body { max-width: 62rem; margin: 2.5rem auto; padding: 0 1.25rem; color: var(--ink);
  background: var(--ground); font: 15px/1.6 system-ui, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.2rem; margin: 2.25rem 0 .75rem; padding-top: .75rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
a { color: var(--accent); }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: .75rem 0;
  font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: left; }
th { color: var(--pale); font-weight: 600; vertical-align: bottom; }
td[style] { white-space: nowrap; } /* numbers, aligned to the right */
code { background: var(--shade); border-radius: 4px; padding: .1em .35em; font-size: .9em;
  overflow-wrap: anywhere; }
pre { background: var(--shade); border-radius: 6px; padding: .75rem 1rem; overflow-x: auto; }
pre code { padding: 0; background: none; }
img { width: 29.5rem; max-width: 100%; background: #ffffff; border-radius: 6px; margin: .25rem; }
"""


def page(title: str, text: str, pictures: Mapping[str, Path] | None = None) -> str:
    """A page of Markdown; HTML in it is shown as text.

    Args:
        title: The title of the browser's window.
        text: The Markdown.
        pictures: The files of its pictures, by their paths in the Markdown; those of which there is
            no file are left out.
    """
    from markdown_it import MarkdownIt

    files = pictures or {}
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    for token in tokens:
        token.children = [
            child
            for child in token.children or []
            if child.type != "image" or child.attrs["src"] in files
        ]
        for child in token.children:
            if child.type == "image":
                child.attrs["src"] = _inlined(files[str(child.attrs["src"])])
    body = markdown.renderer.render(tokens, markdown.options, {})
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}</body>\n</html>\n"
    )


def _inlined(file: Path) -> str:
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"
