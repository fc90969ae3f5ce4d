"""The page for people: how to ask the server. It needs no network."""

import json
import shlex
from typing import Any

import pydantic_core

from lockstep.inference.version import Version
from lockstep.report import html
from lockstep.report.markdown import section, table
from lockstep.serve.bodies import JSON


def guide(version: Version, description: dict[str, Any], address: str) -> str:
    """An HTML page about the server.

    Args:
        description: The server's, in OpenAPI.
        address: The server's, with a slash at its end.
    """
    (row,) = version.example[:1] or [{}]
    shown = json.loads(pydantic_core.to_json(row))
    body = json.dumps({"rows": [shown]}, ensure_ascii=False, indent=1)
    ask = f"curl {address}predict -H 'Content-Type: {JSON}' -d {shlex.quote(body)}"
    answer = description["paths"]["/predict"]["post"]["responses"]["200"]["content"][JSON]
    fields = ", ".join(f"`{name}`" for name in answer["schema"]["properties"])
    cells = [
        [column.name, _kind(column.kind.schema), "yes" if column.required else "no", f"`{value}`"]
        for column in version.columns.all
        for value in [json.dumps(shown.get(column.name), ensure_ascii=False)]
    ]
    paths = [
        [f"`{method.upper()} {path}`", about["summary"]]
        for path, methods in description["paths"].items()
        for method, about in methods.items()
    ]
    sections = {
        "Ask": ["```console", ask, "```", "", f"The answer has {fields}."],
        "Columns": table(["column", "type", "required", "example"], cells),
        "Endpoints": [
            *table(["endpoint", ""], paths),
            "",
            "[openapi.json](openapi.json) describes them for programs.",
        ],
    }
    title = str(version.about)
    lines = [f"# {title}", "", description["info"]["description"]]
    for heading, content in sections.items():
        lines += section(heading, content)
    return html.page(title, "\n".join(lines))


def _kind(schema: dict[str, Any]) -> str:
    return str(schema.get("format") or schema.get("type") or "any")
