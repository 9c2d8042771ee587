"""The predictor's HTTP interface, as a raw ASGI application: a router in front would cost more than the model."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from http import HTTPStatus
from typing import Any

import msgspec

from octavo.access import Callers
from octavo.clock import SystemClock
from octavo.config import PredictorSettings
from octavo.errors import NotAllowed, NotFound
from octavo.serving import arrow
from octavo.serving.asking import Asking
from octavo.serving.callers import LimitedCaller
from octavo.serving.composed import AnyLineup
from octavo.serving.composites import CompositePredictor
from octavo.serving.fellows import Fellows
from octavo.serving.heads import ARRIVED, Head, Heads, Scope, request_id_of, sent_id
from octavo.serving.invocations import INVOCATIONS, ScoringRoutes
from octavo.serving.later.answering import Answering
from octavo.serving.later.routes import LATER, LaterRoutes
from octavo.serving.later.work import LaterWork
from octavo.serving.limits import Admission, ClientGone, Receive
from octavo.serving.metrics import PredictorMetrics, render
from octavo.serving.openapi import describe
from octavo.serving.openinference import MODELS, OpenInferenceRoutes
from octavo.serving.predict import Predictor
from octavo.serving.problems import Answer, HttpError, answer_of, inference_answer_of
from octavo.serving.reading import read_rows
from octavo.serving.routes import JSON, PREDICT, PUBLIC, Handled, Headers, Request, Route, Told, check_encoding
from octavo.serving.shortcut import Shortcut, asked_plainly
from octavo.serving.tracing import Trace, Tracing
from octavo.serving.watcher import Watcher

log = logging.getLogger(__name__)

_BUSY_S = 0.01
_ANY: AbstractContextManager[None] = nullcontext()
_KINDS = (JSON, *arrow.KINDS)
_TRACE = b"traceparent"
_NOT_KEPT = (b"cache-control", b"no-store")
_TEXT = b"text/plain; version=0.0.4; charset=utf-8"

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class PredictorApp:
    """Answers over HTTP.

    Parameters
    ----------
    settings : PredictorSettings
    access : Callers
    watcher : Watcher
        Holds the lineups.
    predictor : Predictor
    composites : CompositePredictor
    metrics : PredictorMetrics
    tracing : Tracing or None
        None to follow the traces of callers only.
    kept : callable or None
        Waits until what was recorded is on disk; None if answers do not wait for that.
    fellows : Fellows or None
        The other workers of the same predictor, to tell of them too.
    later : LaterWork or None
        Keeps asynchronous predictions; None to take none.
    heads_for_s : float
        How long what a request's head says is believed without looking at it again.

    Attributes
    ----------
    asking : Asking
        The one handler behind this and the predictor's other doors.
    later : LaterRoutes or None
        What is answered later.
    shortcut : Shortcut or None
        Answers what it can before it comes here.
    tracing : Tracing
        Of requests by all doors.
    admission : Admission
        Of the requests that are predicted for; shared with the predictor's other doors. What asks how the predictor is
        is answered whatever the load.
    """

    def __init__(
        self,
        settings: PredictorSettings,
        *,
        access: Callers,
        watcher: Watcher,
        predictor: Predictor,
        composites: CompositePredictor,
        metrics: PredictorMetrics,
        tracing: Tracing | None = None,
        kept: Callable[[], Awaitable[None]] | None = None,
        fellows: Fellows | None = None,
        later: LaterWork | None = None,
        heads_for_s: float = 0.0,
    ) -> None:
        self.tracing = tracing or Tracing()
        self._fellows = fellows
        self._settings = settings
        self._access = access
        self._watcher = watcher
        self._predictor = predictor
        self.asking = Asking(watcher, predictor, composites, max_body_bytes=settings.max_body_bytes, kept=kept)
        self._scoring = ScoringRoutes(self.asking)
        self.metrics = metrics
        self.admission = Admission(
            settings.max_concurrent,
            timeout_s=settings.timeout_ms / 1000,
            max_wait_s=settings.max_wait_ms / 1000,
        )
        predictor.shadows.make_way(self._is_busy)
        metrics.gauge(
            "octavo_predictor_queue_seconds",
            "How long requests have been waiting for their turn, at least, through the last half second.",
            lambda: self.admission.queue_s,
        )
        metrics.gauge(
            "octavo_predictor_requests_in_progress", "Requests being answered.", lambda: self.admission.present
        )
        self.later = None if later is None else self._answered_later(later)
        self.routes = (
            Route(method="POST", path=PREDICT, permission="predictions:write", handle=self._predict),
            Route(method="GET", path="/livez", permission=PUBLIC, handle=self._livez),
            Route(method="GET", path="/readyz", permission=PUBLIC, handle=self._readyz),
            Route(method="GET", path="/metrics", permission="metrics:read", handle=self._render_metrics),
            Route(method="GET", path="/status", permission="deployments:read", handle=self._status),
            Route(method="GET", path="/openapi.json", permission="predictions:write", handle=self._describe),
            *self._scoring.routes(),
            *OpenInferenceRoutes(self.asking).routes(),
            *(() if self.later is None else self.later.routes()),
        )
        self._heads = Heads(self._read_head, for_s=heads_for_s)
        can_be_short = kept is None and heads_for_s > 0
        self.shortcut = self._make_shortcut(predictor) if can_be_short else None
        self._by_path: dict[str, dict[str, Route]] = {}
        for route in self.routes:
            self._by_path.setdefault(route.path, {})[route.method] = route
        self._predict_route = self._by_path[PREDICT]["POST"]

    @property
    def is_draining(self) -> bool:
        """Whether it is about to stop: it is not ready then, and has its callers go elsewhere from now on."""
        return self.asking.is_draining

    @is_draining.setter
    def is_draining(self, is_draining: bool) -> None:
        self.asking.is_draining = is_draining

    def watch(self) -> None:
        """From now on, in the running loop, bound what requests may take, and tell other workers what is counted."""
        self.admission.watch()
        if self._fellows is not None:
            self._fellows.watch()
        if self.later is not None:
            self.later.watch()

    def close(self) -> None:
        """Hand on what is left to tell."""
        self.tracing.close()
        if self.later is not None:
            self.later.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection's request."""
        if scope["type"] != "http":
            raise NotImplementedError(f"the predictor does not speak {scope['type']}")
        told = await self.answer(scope, receive)
        if told is None:
            return
        await send({"type": "http.response.start", "status": told.status, "headers": told.headers})
        await send({"type": "http.response.body", "body": told.body})
        told.done()

    async def answer(self, scope: Scope, receive: Receive) -> Told | None:
        """What a request is told; None if its caller is gone."""
        arrived_ns = scope.get(ARRIVED) or time.perf_counter_ns()
        trace = head = follow_up = None
        try:
            head = self._heads.of(scope, now_ns=arrived_ns)
            if head.is_followed or self.tracing.samples:
                trace = self.tracing.begin(head.headers.get(_TRACE))
            answer, follow_up = await self._answer(head, scope, receive, arrived_ns=arrived_ns, trace=trace)
        except ClientGone:
            return None
        except Exception as error:  # the edge of the process: whatever happens, the caller is answered
            answer = _problem(error, dict(scope["headers"]), path=scope["path"])
        self.metrics.request(answer.status, duration_s=(time.perf_counter_ns() - arrived_ns) / 1e9)
        headers = [
            (b"content-type", answer.content_type),
            (b"content-length", b"%d" % len(answer.body)),
            _NOT_KEPT,
            *answer.headers,
        ]
        if trace is not None or self.asking.is_draining or head is None or head.is_followed:
            headers += self._more_headers(dict(scope["headers"]), trace)

        def done() -> None:
            if trace is not None:
                self._end(trace, scope, status=answer.status, arrived_ns=arrived_ns)
            if follow_up is not None:
                asyncio.get_running_loop().call_soon(follow, follow_up)

        return Told(answer.status, headers, answer.body, done)

    def _more_headers(self, headers: Headers, trace: Trace | None) -> list[tuple[bytes, bytes]]:
        """What an answer says besides what it is."""
        found = []
        if (sent := sent_id(headers)) is not None:
            found.append((b"x-request-id", sent))
        if trace is not None:
            found.append((b"traceparent", trace.header))
        if self.asking.is_draining:
            found.append((b"connection", b"close"))
        return found

    def _end(self, trace: Trace, scope: Scope, *, status: int, arrived_ns: int) -> None:
        path = scope["path"]
        known = _below(path)
        route = known if known in self._by_path else "unknown"
        attributes = {
            "http.request.method": scope["method"],
            "http.response.status_code": status,
            "http.route": route,
            "url.path": path[:200],
        }
        self.tracing.end(trace, name=f"{scope['method']} {route}", began_ns=arrived_ns, attributes=attributes)

    async def _answer(
        self, head: Head, scope: Scope, receive: Receive, *, arrived_ns: int, trace: Trace | None
    ) -> Handled:
        with _ANY if head.route.method == "GET" else self.admission.admitted(arrived_ns=arrived_ns) as visit:
            request = Request(
                path=scope["path"],
                query=scope["query_string"],
                headers=head.headers,
                receive=receive,
                caller=head.caller,
                arrived_ns=arrived_ns,
                visit=visit,
                trace=trace,
            )
            return await head.route.handle(request)

    def _read_head(self, scope: Scope, headers: Headers) -> Head:
        path = scope["path"]
        route = self._route(scope["method"], path)
        caller = self.authorize(headers, route.permission)
        if isinstance(caller, LimitedCaller):
            caller.check(self.asking.finder.about(*_called(path)))
            caller = str(caller)
        is_followed = _TRACE in headers or b"x-request-id" in headers
        name, form = ("", None) if is_followed else asked_plainly(path, scope["query_string"], headers)
        return Head(route=route, caller=caller, headers=headers, deployment=name, form=form, is_followed=is_followed)

    def authorize(self, headers: Headers, permission: str) -> str:
        """The name of the caller, who must have a permission; empty where none is needed.

        A caller who may ask about some things only is a `LimitedCaller`, and to be checked for each.

        Raises
        ------
        NotAuthenticated
        NotAllowed
        """
        if permission == PUBLIC:
            return ""
        sent = headers.get(b"authorization")
        principal = self._access.authenticate(None if sent is None else sent.decode("latin-1"))
        if principal.may(permission):
            return principal.name
        if principal.may_somewhere(permission):
            return LimitedCaller(principal, permission)
        raise NotAllowed(f"{principal.name} lacks the permission {permission!r}", permission=permission)

    def _is_busy(self) -> bool:
        """Whether those who wait for answers are enough to do: shadows make way."""
        return self.admission.queue_s > _BUSY_S or 2 * self.admission.present > self._settings.max_concurrent

    def _route(self, method: str, path: str) -> Route:
        if method == "POST" and path.startswith(PREDICT):  # nearly always
            return self._predict_route
        known = _below(path)
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

    def _make_shortcut(self, predictor: Predictor) -> Shortcut:
        return Shortcut(
            self._heads,
            self.asking,
            answer=self.answer,
            turns=predictor.turns,
            admission=self.admission,
            tracing=self.tracing,
            metrics=self.metrics,
        )

    def _answered_later(self, work: LaterWork) -> LaterRoutes:
        settings = self._settings
        answering = Answering(
            self._predict, self.asking, self._predictor, max_rows=settings.max_later_rows, is_busy=self._is_busy
        )
        return LaterRoutes(settings, asking=self.asking, answering=answering, work=work, clock=SystemClock())

    async def _predict(self, request: Request) -> Handled:
        name = request.path.removeprefix(PREDICT)
        if name.endswith(INVOCATIONS):
            return await self._scoring.invoke(request, await self.asking.finder.lineup(name.removesuffix(INVOCATIONS)))
        lineup = self._watcher.lineups.get(name) or await self.asking.finder.lineup(name)
        check_encoding(
            request.headers,
            kinds=_KINDS,
            fix="send JSON with Content-Type: application/json, or Arrow with application/vnd.apache.arrow.stream",
        )
        if arrow.is_sent(request.headers) or arrow.is_wanted(request.headers):
            return await self._predict_by_arrow(request, lineup)
        answered = await self.asking.answered(request, lineup)
        return Answer(status=200, body=answered.body), answered.follow_up

    async def _predict_by_arrow(self, request: Request, lineup: AnyLineup) -> Handled:
        await arrow.load()
        read = arrow.read_arrow if arrow.is_sent(request.headers) else read_rows
        answered = await self.asking.answered(request, lineup, read=read)
        if not arrow.is_wanted(request.headers):
            return Answer(status=200, body=answered.body), answered.follow_up
        body = arrow.encode_arrow(answered.answer, with_values=answered.with_values)
        return Answer(status=200, body=body, content_type=arrow.STREAM), answered.follow_up

    async def _livez(self, request: Request) -> tuple[Answer, None]:
        return Answer(status=200, body=b'{"alive":true}'), None

    async def _readyz(self, request: Request) -> tuple[Answer, None]:
        status = 200 if self.asking.is_ready else 503
        names: Collection[str] = sorted(self._watcher.lineups)
        return Answer(status=status, body=msgspec.json.encode({"ready": status == 200, "deployments": names})), None

    async def _render_metrics(self, request: Request) -> tuple[Answer, None]:
        families = self.metrics.families() if self._fellows is None else self._fellows.families()
        return Answer(status=200, body=render(families).encode(), content_type=_TEXT), None

    async def _status(self, request: Request) -> tuple[Answer, None]:
        own = self._watcher.status
        status = own if self._fellows is None else self._fellows.status(own)
        return Answer(status=200, body=msgspec.json.encode(status)), None

    async def _describe(self, request: Request) -> tuple[Answer, None]:
        watcher, settings = self._watcher, self._settings
        document = describe(self.routes, watcher.lineups, watcher.composites, max_body_bytes=settings.max_body_bytes)
        return Answer(status=200, body=msgspec.json.encode(document)), None


def _below(path: str) -> str:
    """The path of the route that a path is below, or the path itself."""
    return next((known for known in (MODELS, PREDICT, LATER) if path.startswith(known)), path)


def _called(path: str) -> tuple[str, str]:
    """The name that a path asks by, and the version; both empty where it asks for nothing in particular."""
    below = _below(path)
    name, _, rest = path.removeprefix(below).partition("/") if below != path else ("", "", "")
    kind, _, version = rest.partition("/")
    return name, version.partition("/")[0] if kind == "versions" else ""


def _problem(error: Exception, headers: Headers, *, path: str) -> Answer:
    request_id = request_id_of(headers)
    form = inference_answer_of if path == "/v2" or path.startswith("/v2/") else answer_of
    answer = form(error, request_id=request_id)
    if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("a request failed", exc_info=error, extra={"request": request_id})
    if headers.get(b"x-request-id") == request_id.encode("ascii"):
        return answer
    return msgspec.structs.replace(answer, headers=(*answer.headers, (b"x-request-id", request_id.encode("ascii"))))


def follow(follow_up: Callable[[], None]) -> None:
    """Do what is left to do once an answer is sent."""
    try:
        follow_up()
    except Exception:  # the edge of the process: a shadow never costs anything but itself
        log.exception("a shadow version failed")
