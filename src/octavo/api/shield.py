"""What stands before every route: it checks the host, gives the request an id, and marks every answer."""

import re
import time
from collections.abc import Collection
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from octavo.api.metrics import RequestMetrics
from octavo.api.problems import problem_response
from octavo.clock import Clock
from octavo.identifiers import new_id
from octavo.problems import refusal

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?\Z")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")


class Shield:
    """The outermost layer of the application.

    Parameters
    ----------
    hosts : collection of str or None
        Names under which this process may be called, so that no web page can reach it by a name of its own (DNS
        rebinding); None when a proxy in front sees to that.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str] | None, metrics: RequestMetrics, clock: Clock) -> None:
        self._app = app
        self._hosts = hosts
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, started, status = Headers(scope=scope), time.perf_counter(), 500
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.match(given) else new_id(self._clock)
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                marked = MutableHeaders(scope=message)
                marked["X-Request-Id"] = request_id
                marked.setdefault("Cache-Control", "no-store")
                for name, value in HEADERS.items():
                    marked.setdefault(name, value)
            await send(message)

        try:
            refused = self._refusal(headers.get("host", ""), request_id)
            await (refused or self._app)(scope, receive, send_marked)
        finally:
            route = scope["state"].get("route")
            self._metrics.record(
                method=scope["method"] if route else "any",
                route=route or "unmatched",
                status=status,
                duration_s=time.perf_counter() - started,
            )

    def _refusal(self, host: str, request_id: str) -> Response | None:
        match = _HOST.match(host)
        if match is not None and (self._hosts is None or match["name"].lower() in self._hosts):
            return None
        problem = refusal(
            HTTPStatus.MISDIRECTED_REQUEST,
            "this process is not called by that host name",
            code="host",
            request_id=request_id,
            fix="use the address that it printed at its start",
        )
        return problem_response(problem)
