"""The answers to requests: JSON, headers, and what an error tells the client."""

import logging
import re
import uuid
from collections.abc import Mapping
from typing import Any

import pydantic_core
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from lockstep.inference.columns import InvalidRows
from lockstep.inference.version import Version
from lockstep.serve.batcher import BusyError
from lockstep.serve.bodies import BadRequestError
from lockstep.values import first_line

log = logging.getLogger("lockstep.serve")


def json_response(
    content: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """JSON; infinite and missing numbers are null."""
    body = pydantic_core.to_json(content, inf_nan_mode="null")
    return Response(body, status, headers, "application/json")


def request_id(request: Request) -> str:
    """The client's own id if it can be kept as it is; else a new one."""
    given = request.headers.get("x-request-id", "")
    return given if re.fullmatch(r"[\w.:-]{1,128}", given, re.ASCII) else str(uuid.uuid4())


def headers_of(request: Request, version: Version, unknown: list[str]) -> dict[str, str]:
    """The headers of an answer: its id, the version that gave it, and columns it ignored."""
    headers = {"X-Request-ID": request.state.id, "X-Model-Version": version.about.version}
    if unknown:
        names = ", ".join(unknown)[:1000]
        # A header holds neither other alphabets nor line breaks.
        headers["X-Ignored-Columns"] = names.encode("unicode_escape").decode()
    return headers


def refusal(error: Exception, timeout: float) -> BadRequestError:
    """An error as the answer to the client."""
    if isinstance(error, BadRequestError):
        return error
    if isinstance(error, InvalidRows):
        return BadRequestError(
            422,
            "rows",
            *(
                {
                    "loc": [
                        part for part in ("rows", problem.row, problem.column) if part is not None
                    ],
                    "msg": f"{problem.column}: {problem.text}",
                }
                for problem in error.problems
            ),
        )
    if isinstance(error, ClientDisconnect):
        return BadRequestError(400, "disconnect", "the client closed the connection")
    if isinstance(error, BusyError):
        return BadRequestError(503, "busy", "too many requests wait: try again in a second")
    if isinstance(error, TimeoutError):
        return BadRequestError(504, "timeout", f"no answer within {timeout:g} s: send fewer rows")
    if isinstance(error, ValueError):  # as scikit-learn's estimators refuse data
        return BadRequestError(422, "model", f"the model refuses the rows: {first_line(error)}")
    log.error("the model failed", exc_info=error)
    return BadRequestError(500, "failure", f"the model failed: {type(error).__name__}")


def error_response(request: Request, refused: BadRequestError) -> Response:
    """An error in the form of MLflow's server at /invocations, else in that of FastAPI's."""
    headers = {"X-Request-ID": request.state.id}
    if refused.status == 503:
        headers["Retry-After"] = "1"
    if request.url.path == "/invocations":
        code = "INTERNAL_ERROR" if refused.status >= 500 else "BAD_REQUEST"
        status = 400 if refused.status == 422 else refused.status
        return json_response({"error_code": code, "message": str(refused)}, status, headers)
    content = {"detail": refused.details, "request_id": request.state.id}
    return json_response(content, refused.status, headers)
