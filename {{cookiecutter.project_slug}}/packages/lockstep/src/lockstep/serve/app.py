"""The endpoints."""

import asyncio
import contextlib
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from lockstep.inference.columns import Values
from lockstep.inference.version import Version
from lockstep.serve import bodies
from lockstep.serve.answers import (
    error_response,
    headers_of,
    json_response,
    refusal,
    request_id,
)
from lockstep.serve.batcher import Answer, Batcher
from lockstep.serve.bodies import BadRequestError
from lockstep.serve.follower import Follower
from lockstep.serve.metrics import MISSING, Metrics
from lockstep.serve.openapi import describe
from lockstep.serve.settings import Settings

Endpoint = Callable[[Request], Awaitable[Response]]
# The page that shows /openapi.json: https://swagger.io/docs/open-source-tools/swagger-ui/
DOCS = """<!doctype html>
<title>lockstep serve</title>
<link rel="stylesheet" href="https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/swagger-ui.css">
<div id="ui"></div>
<script src="https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({url: "openapi.json", dom_id: "#ui"})</script>
"""


class Service:
    """What the endpoints share."""

    def __init__(self, follower: Follower, settings: Settings) -> None:
        self.follower, self.settings = follower, settings
        self.metrics = Metrics()
        self.batcher = Batcher(settings.batch_rows, settings.max_waiting)
        self.metrics.model(follower.current.about, follower.loaded, swap=False)
        follower.on_swap = self._swapped

    def app(self) -> Starlette:
        """The ASGI application."""
        posts = {"/predict": self.predict, "/invocations": self.invocations}
        gets: dict[str, Endpoint] = {
            "/version": self.version,
            "/metrics": self.metrics_text,
            "/openapi.json": self.openapi,
            "/docs": self.docs,
        }
        return Starlette(
            routes=[
                *(
                    Route(path, self._answering(end), methods=["POST"])
                    for path, end in posts.items()
                ),
                *(Route(path, self._authorized(end)) for path, end in gets.items()),
                Route("/health", self.health),
                Route("/ping", self.health),  # as MLflow's server has it
                Route("/ready", self.ready),
            ],
            lifespan=self._lifespan,
        )

    async def predict(self, request: Request) -> Response:
        """Rows as JSON objects, typed by the signature."""
        if bodies.media_type(request.headers.get("content-type")) != bodies.JSON:
            raise BadRequestError(415, "content_type", f"send the content type {bodies.JSON}")
        content = bodies.parsed(await self._body(request))
        if not isinstance(content, dict) or content.keys() != {"rows"}:
            raise BadRequestError(422, "shape", 'the body must be {"rows": [{"column": value}]}')
        rows = bodies.records(content["rows"], "rows")
        version = self.follower.current
        answer, unknown = await self._answer(version, *version.columns.of_records(rows))
        result: dict[str, Any] = {"predictions": answer.predictions}
        if answer.probabilities is not None and version.classes:
            labels = [str(label) for label in version.classes]
            result["probabilities"] = [
                dict(zip(labels, shares, strict=True)) for shares in answer.probabilities
            ]
        result |= {"version": version.about.version, "request_id": request.state.id}
        return json_response(result, headers=headers_of(request, version, unknown))

    async def invocations(self, request: Request) -> Response:
        """MLflow's protocol: the same bodies and answers as `mlflow models serve`."""
        media, body = (
            bodies.media_type(request.headers.get("content-type")),
            await self._body(request),
        )
        version = self.follower.current
        if media == bodies.CSV:
            values, unknown = bodies.comma_separated(body, version.columns)
        elif media == bodies.JSON:
            values, unknown = bodies.invocation(bodies.parsed(body), version.columns)
        else:
            raise BadRequestError(
                415, "content_type", f"send the content type {bodies.JSON} or {bodies.CSV}"
            )
        answer, unknown = await self._answer(version, values, unknown)
        return json_response(
            {"predictions": answer.predictions}, headers=headers_of(request, version, unknown)
        )

    async def health(self, request: Request) -> Response:
        """The process answers."""
        return json_response({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """A version is loaded; what prevents to follow its alias."""
        about = self.follower.current.about
        return json_response(
            {"model": about.model, "version": about.version, "problems": self.follower.problems}
        )

    async def version(self, request: Request) -> Response:
        """Where the current version came from."""
        about = self.follower.current.about
        return json_response(
            {
                "model": about.model,
                "version": about.version,
                "run": about.run,
                "commit": about.commit,
                "data": about.data,
                "reproduce": about.reproduce,
                "loaded": datetime.fromtimestamp(self.follower.loaded, UTC),
            }
        )

    async def metrics_text(self, request: Request) -> Response:
        """For Prometheus."""
        text = self.metrics.text(self.follower.problems)
        if text is None:
            return Response(MISSING, 501, media_type="text/plain")
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI description."""
        settings = self.settings
        return json_response(
            describe(
                self.follower.current,
                refuse_unknown=settings.refuse_unknown,
                most_rows=settings.max_rows,
            )
        )

    async def docs(self, request: Request) -> Response:
        """The page that shows it."""
        return HTMLResponse(DOCS)

    async def _answer(
        self, version: Version, values: Values, unknown: list[str]
    ) -> tuple[Answer, list[str]]:
        """The answer for checked values."""
        rows = len(next(iter(values.values())))
        if not rows:
            raise BadRequestError(422, "shape", "there are no rows")
        if rows > self.settings.max_rows:
            raise BadRequestError(
                413, "rows", f"{rows} rows; the limit is {self.settings.max_rows}: send fewer"
            )
        if unknown and self.settings.refuse_unknown:
            raise BadRequestError(422, "unknown_columns", f"unknown columns: {', '.join(unknown)}")
        answer = await self.batcher.predict(version, values, rows)
        self.metrics.rows(version.about.version, rows)
        return answer, unknown

    async def _body(self, request: Request) -> bytes:
        """The body, read up to the limit."""
        limit = self.settings.max_body
        chunks, size = [], 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise BadRequestError(413, "body", f"the body is larger than {limit} bytes")
            chunks.append(chunk)
        return b"".join(chunks)

    def _authorized(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint, for clients that know the token if there is one."""
        expected = f"Bearer {self.settings.token}".encode()

        async def answer(request: Request) -> Response:
            given = request.headers.get("authorization", "").encode()
            if self.settings.token and not hmac.compare_digest(given, expected):
                return json_response(
                    {"detail": [{"msg": "send the header Authorization: Bearer TOKEN"}]},
                    401,
                    {"WWW-Authenticate": "Bearer"},
                )
            return await endpoint(request)

        return answer

    def _answering(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint with an id, a time limit and metrics; what it raises becomes an answer."""
        authorized = self._authorized(endpoint)

        async def answer(request: Request) -> Response:
            start = time.perf_counter()
            request.state.id = request_id(request)
            try:
                async with asyncio.timeout(self.settings.timeout):
                    response = await authorized(request)
            except Exception as error:
                refused = refusal(error, self.settings.timeout)
                self.metrics.error(refused.kind)
                response = error_response(request, refused)
            seconds = time.perf_counter() - start
            self.metrics.request(request.url.path, response.status_code, seconds)
            return response

        return answer

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        batches = asyncio.create_task(self.batcher.run())
        self.follower.start()
        yield
        self.follower.stop()
        batches.cancel()

    def _swapped(self, version: Version) -> None:
        self.metrics.model(version.about, self.follower.loaded, swap=True)
