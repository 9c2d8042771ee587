"""The predictor's HTTP interface, as a raw ASGI application: a router in front would cost more than the model."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from http import HTTPStatus
from typing import Any

import msgspec

from octavo.access import AccessFile
from octavo.clock import SystemClock
from octavo.config import PredictorSettings
from octavo.errors import NotAllowed, NotFound
from octavo.identifiers import new_id
from octavo.serving.asking import Asking
from octavo.serving.invocations import INVOCATIONS, ScoringRoutes
from octavo.serving.limits import Admission, ClientGone, Receive
from octavo.serving.metrics import PredictorMetrics
from octavo.serving.openinference import MODELS, OpenInferenceRoutes
from octavo.serving.predict import Predictor
from octavo.serving.problems import Answer, HttpError, answer_of, inference_answer_of
from octavo.serving.routes import PUBLIC, Handled, Headers, Request, Route, check_encoding
from octavo.serving.watcher import Watcher

log = logging.getLogger(__name__)

_PREDICT = "/predict/"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}\Z")
_TEXT = b"text/plain; version=0.0.4; charset=utf-8"

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Scope = MutableMapping[str, Any]


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
        self._asking = Asking(watcher, predictor, max_body_bytes=settings.max_body_bytes)
        self._scoring = ScoringRoutes(self._asking)
        self._metrics = metrics
        self._admission = Admission(settings.max_concurrent)
        self.routes = (
            Route(method="POST", path=_PREDICT, permission="predictions:write", handle=self._predict),
            Route(method="GET", path="/livez", permission=PUBLIC, handle=self._livez),
            Route(method="GET", path="/readyz", permission=PUBLIC, handle=self._readyz),
            Route(method="GET", path="/metrics", permission="metrics:read", handle=self._render_metrics),
            Route(method="GET", path="/status", permission="deployments:read", handle=self._status),
            *self._scoring.routes(),
            *OpenInferenceRoutes(self._asking).routes(),
        )
        self._by_path: dict[str, dict[str, Route]] = {}
        for route in self.routes:
            self._by_path.setdefault(route.path, {})[route.method] = route

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
            answer = _problem(error, headers, path=scope["path"])
        self._metrics.request(answer.status, duration_s=(time.perf_counter_ns() - arrived_ns) / 1e9)
        await _send(send, answer)
        if follow_up is not None:
            asyncio.get_running_loop().call_soon(_follow, follow_up)

    async def _answer(self, scope: Scope, headers: Headers, receive: Receive, *, arrived_ns: int) -> Handled:
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
        known = _PREDICT if path.startswith(_PREDICT) else MODELS if path.startswith(MODELS) else path
        by_method = self._by_path.get(known)
        if by_method is None:
            raise NotFound("path", path, self._by_path)
        route = by_method.get(method)
        if route is None:
            allowed = " or ".join(by_method)
            raise HttpError(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"{path} does not take {method}",
                fix=f"send it by {allowed}",
                headers=((b"allow", ", ".join(by_method).encode()),),
            )
        return route

    async def _predict(self, request: Request) -> Handled:
        name = request.path.removeprefix(_PREDICT)
        if name.endswith(INVOCATIONS):
            return await self._scoring.invoke(request, self._asking.lineup(name.removesuffix(INVOCATIONS)))
        lineup = self._asking.lineup(name)
        check_encoding(request.headers, fix="send JSON with Content-Type: application/json")
        answered = await self._asking.answered(request, lineup)
        return Answer(status=200, body=answered.body), answered.follow_up

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


def _problem(error: Exception, headers: Headers, *, path: str) -> Answer:
    sent = headers.get(b"x-request-id", b"")
    request_id = sent.decode("ascii") if _REQUEST_ID.match(sent) else new_id(SystemClock())
    form = inference_answer_of if path == "/v2" or path.startswith("/v2/") else answer_of
    answer = form(error, request_id=request_id)
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
