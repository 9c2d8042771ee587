"""The predictor's HTTP interface, as a raw ASGI application: a router in front would cost more than the model."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

from octavo.access import AccessFile
from octavo.clock import SystemClock
from octavo.config import PredictorSettings
from octavo.errors import ConfigurationError, NotAllowed, NotFound
from octavo.identifiers import new_id
from octavo.serving.limits import Admission, ClientGone, Receive, read_body
from octavo.serving.lineup import Lineup
from octavo.serving.metrics import PredictorMetrics
from octavo.serving.predict import Answered, Call, Predictor
from octavo.serving.problems import Answer, HttpError, answer_of
from octavo.serving.watcher import Watcher

log = logging.getLogger(__name__)

PUBLIC = "public"
"""The permission that needs no caller."""

_PREDICT = "/predict/"
_TRACE = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}\Z")
_TEXT = b"text/plain; version=0.0.4; charset=utf-8"

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Scope = MutableMapping[str, Any]
Headers = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request whose caller may make it."""

    path: str
    query: bytes
    headers: Headers
    receive: Receive
    caller: str
    arrived_ns: int


Handle = Callable[[Request], Awaitable[tuple[Answer, Callable[[], None] | None]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A thing that can be reached: a path (or, ending in a slash, all below it), and the permission that it needs."""

    method: str
    path: str
    permission: str
    handle: Handle

    def __post_init__(self) -> None:
        if not self.permission:
            raise ConfigurationError(f"{self.method} {self.path} declares no permission, so it cannot be served")


class PredictorApp:
    """Answers over HTTP.

    Parameters
    ----------
    settings : PredictorSettings
    access : AccessFile
    watcher : Watcher
        Holds the lineups.
    predictor : Predictor
    metrics : PredictorMetrics
    """

    def __init__(
        self,
        settings: PredictorSettings,
        *,
        access: AccessFile,
        watcher: Watcher,
        predictor: Predictor,
        metrics: PredictorMetrics,
    ) -> None:
        self._settings = settings
        self._access = access
        self._watcher = watcher
        self._predictor = predictor
        self._metrics = metrics
        self._admission = Admission(settings.max_concurrent)
        self.routes = (
            Route(method="POST", path=_PREDICT, permission="predictions:write", handle=self._predict),
            Route(method="GET", path="/livez", permission=PUBLIC, handle=self._livez),
            Route(method="GET", path="/readyz", permission=PUBLIC, handle=self._readyz),
            Route(method="GET", path="/metrics", permission="metrics:read", handle=self._render_metrics),
            Route(method="GET", path="/status", permission="deployments:read", handle=self._status),
        )
        self._by_path = {route.path: route for route in self.routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection's request."""
        if scope["type"] != "http":
            raise NotImplementedError(f"the predictor does not speak {scope['type']}")
        arrived_ns = time.perf_counter_ns()
        headers = dict(scope["headers"])
        follow_up = None
        try:
            answer, follow_up = await self._answer(scope, headers, receive, arrived_ns=arrived_ns)
        except ClientGone:
            return
        except Exception as error:  # the edge of the process: whatever happens, the caller is answered
            answer = _problem(error, headers)
        self._metrics.request(answer.status, duration_s=(time.perf_counter_ns() - arrived_ns) / 1e9)
        await _send(send, answer)
        if follow_up is not None:
            asyncio.get_running_loop().call_soon(_follow, follow_up)

    async def _answer(
        self, scope: Scope, headers: Headers, receive: Receive, *, arrived_ns: int
    ) -> tuple[Answer, Callable[[], None] | None]:
        route = self._route(scope["method"], scope["path"])
        caller = ""
        if route.permission != PUBLIC:
            sent = headers.get(b"authorization")
            principal = self._access.authenticate(None if sent is None else sent.decode("latin-1"))
            caller = principal.name
            if not principal.may(route.permission):
                raise NotAllowed(f"{caller} lacks the permission {route.permission!r}", permission=route.permission)
        with self._admission.admitted():
            return await route.handle(
                Request(
                    path=scope["path"],
                    query=scope["query_string"],
                    headers=headers,
                    receive=receive,
                    caller=caller,
                    arrived_ns=arrived_ns,
                )
            )

    def _route(self, method: str, path: str) -> Route:
        route = self._by_path.get(_PREDICT if path.startswith(_PREDICT) else path)
        if route is None:
            raise NotFound("path", path, [known.path for known in self.routes])
        if method != route.method:
            raise HttpError(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"{path} does not take {method}",
                fix=f"send it by {route.method}",
                headers=((b"allow", route.method.encode()),),
            )
        return route

    async def _predict(self, request: Request) -> tuple[Answer, Callable[[], None] | None]:
        lineup = self._lineup(request.path.removeprefix(_PREDICT))
        _check_encoding(request.headers)
        body = await read_body(request.receive, request.headers, max_bytes=self._settings.max_body_bytes)
        trace = _TRACE.fullmatch(request.headers.get(b"traceparent", b""))
        call = Call(
            body=body,
            caller=request.caller,
            arrived_ns=request.arrived_ns,
            trace=trace[1].decode("ascii") if trace else "",
            with_values=b"values=1" in request.query.split(b"&"),
        )
        answered = await self._drive(lineup, call)
        return Answer(status=200, body=answered.body), answered.follow_up

    async def _drive(self, lineup: Lineup, call: Call) -> Answered:
        steps = self._predictor.steps(lineup, call)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                answered: Answered = stop.value
                return answered
            await asyncio.sleep(0)

    def _lineup(self, deployment: str) -> Lineup:
        lineup = self._watcher.lineups.get(deployment)
        if lineup is None:
            raise NotFound("deployment with a live version", deployment, self._watcher.lineups)
        return lineup

    async def _livez(self, request: Request) -> tuple[Answer, None]:
        return Answer(status=200, body=b'{"alive":true}'), None

    async def _readyz(self, request: Request) -> tuple[Answer, None]:
        status = 200 if self._watcher.has_looked else 503
        names: Collection[str] = sorted(self._watcher.lineups)
        return Answer(status=status, body=msgspec.json.encode({"ready": status == 200, "deployments": names})), None

    async def _render_metrics(self, request: Request) -> tuple[Answer, None]:
        return Answer(status=200, body=self._metrics.render().encode(), content_type=_TEXT), None

    async def _status(self, request: Request) -> tuple[Answer, None]:
        return Answer(status=200, body=msgspec.json.encode(self._watcher.status)), None


def _check_encoding(headers: Headers) -> None:
    kind = headers.get(b"content-type", b"application/json").partition(b";")[0].strip().lower()
    if kind != b"application/json":
        raise HttpError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"predictions are not asked for by {kind.decode('latin-1')[:80]!r}",
            fix="send JSON with Content-Type: application/json",
        )
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise HttpError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body is compressed", fix="send it without Content-Encoding"
        )


def _problem(error: Exception, headers: Headers) -> Answer:
    sent = headers.get(b"x-request-id", b"")
    request_id = sent.decode("ascii") if _REQUEST_ID.match(sent) else new_id(SystemClock())
    answer = answer_of(error, request_id=request_id)
    if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("a request failed", exc_info=error, extra={"request": request_id})
    return answer


def _follow(follow_up: Callable[[], None]) -> None:
    try:
        follow_up()
    except Exception:  # the edge of the process: a shadow never costs anything but itself
        log.exception("a shadow version failed")


async def _send(send: Send, answer: Answer) -> None:
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", b"%d" % len(answer.body)),
        (b"cache-control", b"no-store"),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
