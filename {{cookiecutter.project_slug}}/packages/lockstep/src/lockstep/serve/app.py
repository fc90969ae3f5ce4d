"""The endpoints."""

import asyncio
import contextlib
import hmac
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
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
from lockstep.serve.challenger import Challenger
from lockstep.serve.follower import Follower
from lockstep.serve.log import PredictionLog
from lockstep.serve.metrics import Metrics
from lockstep.serve.pages import Endpoint, Pages
from lockstep.serve.records import Entry, share_of
from lockstep.serve.settings import Settings


class Service:
    """What the endpoints share."""

    def __init__(
        self,
        follower: Follower,
        settings: Settings,
        kept: PredictionLog | None = None,
        challenger: Challenger | None = None,
    ) -> None:
        self.follower, self.settings = follower, settings
        self.kept, self.challenger = kept, challenger
        self.metrics = Metrics(settings.workers)
        self.batcher = Batcher(settings.max_rows, settings.max_waiting)
        self.metrics.model(follower.current.about, follower.loaded, swap=False)
        follower.on_swap = self._swapped
        if kept:
            self.metrics.log_from(lambda: kept.dropped)

    def app(self) -> Starlette:
        """The ASGI application."""
        posts = {
            "/predict": self.predict,
            "/invocations": self.invocations,
            "/feedback": self.feedback,
        }
        pages = Pages(self.follower, self.settings, self.metrics, self._problems)
        return Starlette(
            routes=[
                *(
                    Route(path, self._answering(end), methods=["POST"])
                    for path, end in posts.items()
                ),
                *(Route(path, self._authorized(end)) for path, end in pages.private().items()),
                *(Route(path, end) for path, end in pages.public().items()),
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
        version, role = self._version_for(request)
        values, unknown = version.columns.of_records(rows)
        answer = await self._answer(request, version, role, values, unknown)
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
        version, role = self._version_for(request)
        if media == bodies.CSV:
            values, unknown = bodies.comma_separated(body, version.columns)
        elif media == bodies.JSON:
            values, unknown = bodies.invocation(bodies.parsed(body), version.columns)
        else:
            raise BadRequestError(
                415, "content_type", f"send the content type {bodies.JSON} or {bodies.CSV}"
            )
        answer = await self._answer(request, version, role, values, unknown)
        return json_response(
            {"predictions": answer.predictions}, headers=headers_of(request, version, unknown)
        )

    async def feedback(self, request: Request) -> Response:
        """A true value, which came later."""
        if self.kept is None:
            raise BadRequestError(
                404, "feedback", "no answers are kept: start the server with --log"
            )
        truths = bodies.true_values(bodies.parsed(await self._body(request)), time.time())
        for truth in truths:
            self.kept.learn(truth)
        return json_response({"accepted": len(truths)}, 202)

    def _version_for(self, request: Request) -> tuple[Version, str]:
        """The version that answers: the challenger for its share of the keys."""
        key = request.headers.get("x-split-key") or request.state.id
        if self.settings.split and self.challenger and share_of(key) < self.settings.split:
            return self.challenger.follower.current, "challenger"
        return self.follower.current, "champion"

    def _problems(self) -> dict[str, str]:
        """What needs attention, by kind."""
        problems = dict(self.follower.problems)
        if self.challenger:
            problems |= {
                f"challenger_{kind}": text
                for kind, text in self.challenger.follower.problems.items()
            }
        if self.kept and self.kept.problem:
            problems["log"] = self.kept.problem
        return problems

    async def _answer(
        self, request: Request, version: Version, role: str, values: Values, unknown: list[str]
    ) -> Answer:
        """The answer for checked values, which is kept if there is a log."""
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
        if self.kept:
            self.kept.add(Entry(request.state.id, time.time(), role, version, values, *answer[1:]))
        if self.challenger and not self.settings.split:
            self.challenger.shadow(request.state.id, values, answer)
        return answer

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
        if self.kept:
            self.kept.start()
        if self.challenger:
            self.challenger.start(self.kept, self.metrics)
        yield
        self.follower.stop()
        if self.challenger:
            self.challenger.stop()
        batches.cancel()
        if self.kept:
            await asyncio.to_thread(self.kept.close)

    def _swapped(self, version: Version) -> None:
        self.metrics.model(version.about, self.follower.loaded, swap=True)
