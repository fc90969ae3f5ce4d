"""The pages beside the predictions: probes, origin, metrics, description."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from lockstep.serve.answers import json_response
from lockstep.serve.follower import Follower
from lockstep.serve.guide import guide
from lockstep.serve.metrics import Metrics
from lockstep.serve.openapi import describe
from lockstep.serve.settings import Settings

Endpoint = Callable[[Request], Awaitable[Response]]


class Pages:
    """The endpoints for GET."""

    def __init__(
        self,
        follower: Follower,
        settings: Settings,
        metrics: Metrics,
        problems: Callable[[], dict[str, str]],
    ) -> None:
        self.follower, self.settings = follower, settings
        self.metrics, self._problems = metrics, problems

    def public(self) -> dict[str, Endpoint]:
        """Those for probes, which send no token; /ping is MLflow's name."""
        return {"/health": self.health, "/ping": self.health, "/ready": self.ready}

    def private(self) -> dict[str, Endpoint]:
        """The others."""
        return {
            "/version": self.version,
            "/metrics": self.metrics_text,
            "/openapi.json": self.openapi,
            "/docs": self.docs,
        }

    async def health(self, request: Request) -> Response:
        """The process answers."""
        return json_response({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """A version is loaded; what prevents to follow its alias."""
        about = self.follower.current.about
        return json_response(
            {"model": about.model, "version": about.version, "problems": self._problems()}
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
        text = self.metrics.text(self._problems())
        if text is None:
            return Response(self.metrics.missing, 501, media_type="text/plain")
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI description."""
        return json_response(self._description())

    async def docs(self, request: Request) -> Response:
        """The same for people."""
        return HTMLResponse(
            guide(self.follower.current, self._description(), str(request.base_url))
        )

    def _description(self) -> dict[str, Any]:
        settings = self.settings
        return describe(
            self.follower.current,
            refuse_unknown=settings.refuse_unknown,
            most_rows=settings.max_rows,
        )
