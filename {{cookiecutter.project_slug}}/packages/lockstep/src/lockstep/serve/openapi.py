"""The OpenAPI description of the server, from the signature and the example of its version."""

from typing import Any

import lockstep
from lockstep.inference.columns import Column
from lockstep.inference.version import Version
from lockstep.serve.bodies import CSV, FORMATS, JSON

SHOWN_ROWS = 2
TYPES = {"str": "string", "bool": "boolean", "int": "integer", "float": "number"}


def describe(version: Version, *, refuse_unknown: bool, most_rows: int) -> dict[str, Any]:
    """The description; https://spec.openapis.org/oas/v3.1.0."""
    columns = version.columns.all
    example = {"rows": version.example[:SHOWN_ROWS]}
    row = {
        "type": "object",
        "properties": {column.name: _property(column) for column in columns},
        "required": [column.name for column in columns if column.required],
        "additionalProperties": not refuse_unknown,
    }
    rows = {"type": "array", "items": {"$ref": "#/components/schemas/Row"}, "maxItems": most_rows}
    body = {
        "type": "object",
        "properties": {"rows": {**rows, "minItems": 1}},
        "required": ["rows"],
        "additionalProperties": False,
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": version.about.model or "model",
            "version": version.about.version or lockstep.__version__,
            "description": f"Predictions of {version.about}. Each answer names the version that "
            "gave it, and `lockstep trace` shows the run, code and data behind it.",
        },
        "paths": {
            "/predict": {"post": _operation("Predict", body, JSON, _answer(version), example)},
            "/invocations": {"post": _invocations(version)},
            **{
                path: {"get": {"summary": summary, "responses": {"200": {"description": "OK"}}}}
                for path, summary in (
                    ("/health", "The process answers"),
                    ("/version", "The version, its run, commit and data"),
                )
            },
            "/ready": {"get": _status("A version is loaded, and what needs attention", "503")},
            "/metrics": {"get": _status("Metrics for Prometheus", "501")},
        },
        "components": {"schemas": {"Row": row}},
    }


def _property(column: Column) -> dict[str, Any]:
    schema = column.kind.schema
    return schema if column.required else {"anyOf": [schema, {"type": "null"}]}


def _answer(version: Version) -> dict[str, Any]:
    labels = version.classes
    kinds = {TYPES.get(type(label).__name__) for label in labels} if labels else set()
    prediction = {"type": kinds.pop()} if len(kinds) == 1 and None not in kinds else {}
    properties: dict[str, Any] = {
        "predictions": {"type": "array", "items": prediction},
        "version": {"type": "string"},
        "request_id": {"type": "string"},
    }
    if labels:
        shares = {str(label): {"type": "number", "minimum": 0, "maximum": 1} for label in labels}
        share = {"type": "object", "properties": shares}
        properties["probabilities"] = {"type": "array", "items": share}
    return {"type": "object", "properties": properties, "required": [*properties]}


def _operation(
    summary: str, body: dict[str, Any], media: str, answer: dict[str, Any], example: Any
) -> dict[str, Any]:
    content = {media: {"schema": body, "example": example}}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": content},
        "responses": {
            "200": {"description": "OK", "content": {JSON: {"schema": answer}}},
            **{
                status: {"description": text}
                for status, text in (
                    ("400", "The body is not JSON, or not in this form"),
                    ("401", "The token is missing or wrong"),
                    ("413", "The body is too large"),
                    ("415", "The content type is not supported"),
                    ("422", "A row is not what the model takes"),
                    ("503", "Too many requests: try again"),
                    ("504", "The answer took too long"),
                )
            },
        },
    }


def _invocations(version: Version) -> dict[str, Any]:
    names = list(version.columns.names)
    data = [[row.get(name) for name in names] for row in version.example[:SHOWN_ROWS]]
    operation = _operation(
        "Predict, in the protocol of `mlflow models serve`",
        {"type": "object", "properties": {name: {} for name in FORMATS}},
        JSON,
        {"type": "object", "properties": {"predictions": {"type": "array"}}},
        {"dataframe_split": {"columns": names, "data": data}},
    )
    operation["requestBody"]["content"][CSV] = {"schema": {"type": "string"}}
    return operation


def _status(summary: str, other: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "responses": {"200": {"description": "OK"}, other: {"description": "not now"}},
    }
