"""The predictor's gRPC interface, as an ASGI application: calls of HTTP/2 whose status stands in their trailers."""

import asyncio
import logging
import time
from collections.abc import Iterable
from http import HTTPStatus

from octavo.serving.app import PredictorApp, Send, follow
from octavo.serving.grpc.deadlines import timeout_s, within
from octavo.serving.grpc.forms import Forms
from octavo.serving.grpc.framing import frame, read_message
from octavo.serving.grpc.health import HealthService
from octavo.serving.grpc.incoming import OK, Incoming, is_grpc
from octavo.serving.grpc.inference import InferenceService
from octavo.serving.grpc.messages import HEALTH, SERVICE
from octavo.serving.grpc.methods import Method, Replied, StreamMethod
from octavo.serving.grpc.shortcut import GrpcShortcut
from octavo.serving.grpc.statuses import Trailers, trailers_of
from octavo.serving.heads import ARRIVED, Scope, request_id_of
from octavo.serving.limits import READ_TIMEOUT_S, ClientGone, Receive
from octavo.serving.problems import HttpError, problem_of
from octavo.serving.routes import Headers
from octavo.serving.tracing import Attributes

log = logging.getLogger(__name__)

_SMALL_BYTES = 4_096
"""The longest message of a call that predicts nothing."""


class GrpcApp:
    """Answers over gRPC.

    Parameters
    ----------
    app : PredictorApp
        Knows the callers, counts requests and answers them. A call is counted under the status that its end has in
        HTTP.
    max_bytes : int
        Of a message.

    Attributes
    ----------
    shortcut : GrpcShortcut or None
        Answers what it can before it comes here.
    """

    def __init__(self, app: PredictorApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes
        forms = Forms()
        self.shortcut = (
            None if app.shortcut is None else GrpcShortcut(app, forms, turns=app.shortcut.turns, max_bytes=max_bytes)
        )
        self.methods = (*InferenceService(app.asking, forms).methods(), *HealthService(app).methods())
        self._by_path: dict[str, Method | StreamMethod] = {method.path: method for method in self.methods}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        if scope["type"] != "http":
            raise NotImplementedError(f"gRPC does not speak {scope['type']}")
        arrived_ns = scope.get(ARRIVED) or time.perf_counter_ns()
        headers = dict(scope["headers"])
        if not is_grpc(headers):
            await _refuse(send)
            return
        trace = self._app.tracing.begin(headers.get(b"traceparent"))
        call = Incoming(scope["path"], headers, receive, send, arrived_ns, trace)
        await self._serve(call, self._by_path.get(call.path))

    async def _serve(self, call: Incoming, method: Method | StreamMethod | None) -> None:
        status, trailers, replied = HTTPStatus.OK, OK, None
        if isinstance(method, StreamMethod):
            await call.start()
        try:
            if method is None:
                raise _unknown(call.path, self._by_path)
            sent = call.headers.get(b"grpc-timeout")
            limit_s = None if sent is None else timeout_s(sent)
            answer = self._answer(call, method)
            replied = await (answer if limit_s is None else within(limit_s, answer, refusal=_too_late))
        except ClientGone:
            return
        except Exception as error:  # the edge of the process: whatever happens, the caller is answered
            status, trailers = _problem(error, call.headers)
        self._app.metrics.request(status, duration_s=(time.perf_counter_ns() - call.arrived_ns) / 1e9)
        if not isinstance(method, StreamMethod):
            await call.start()
        body = b"" if replied is None else frame(replied.message)
        await call.send({"type": "http.response.body", "body": body})
        await call.send({"type": "http.response.trailers", "headers": trailers})
        if call.trace is not None:
            self._end_trace(call, method, status=trailers[0][1])
        if replied is not None and replied.follow_up is not None:
            asyncio.get_running_loop().call_soon(follow, replied.follow_up)

    def _end_trace(self, call: Incoming, method: Method | StreamMethod | None, *, status: bytes) -> None:
        assert call.trace is not None
        name = "unknown" if method is None else method.path
        attributes: Attributes = {"rpc.system": "grpc", "rpc.method": name, "rpc.grpc.status_code": int(status)}
        self._app.tracing.end(call.trace, name=name, began_ns=call.arrived_ns, attributes=attributes)

    async def _answer(self, call: Incoming, method: Method | StreamMethod) -> Replied | None:
        caller = self._app.authorize(call.headers, method.permission)
        if isinstance(method, Method) and method.predicts:
            with self._app.admission.admitted(arrived_ns=call.arrived_ns) as visit:
                message = await read_message(call.receive, max_bytes=self._max_bytes, visit=visit)
                return await method.handle(call.read(message, caller=caller))
        reading = read_message(call.receive, max_bytes=_SMALL_BYTES)
        read = call.read(await within(READ_TIMEOUT_S, reading, refusal=_not_sent), caller=caller)
        if isinstance(method, Method):
            return await method.handle(read)
        async for part in method.handle(read):
            await call.send({"type": "http.response.body", "body": frame(part), "more_body": True})
        return None


def _too_late() -> HttpError:
    return HttpError(
        HTTPStatus.GATEWAY_TIMEOUT, "the call's deadline has passed", fix="wait longer, or send fewer rows"
    )


def _not_sent() -> HttpError:
    return HttpError(
        HTTPStatus.REQUEST_TIMEOUT,
        f"the message did not arrive within {READ_TIMEOUT_S:g} seconds",
        fix="send the whole message at once",
    )


def _unknown(path: str, known: Iterable[str]) -> HttpError:
    service, _, _ = path.rpartition("/")
    names = [one.removeprefix(f"{service}/") for one in known if one.startswith(f"{service}/")]
    return HttpError(
        HTTPStatus.NOT_IMPLEMENTED,
        f"{path[:120]} is not served here",
        fix=f"call {', '.join(names)}" if names else f"call {SERVICE} or {HEALTH}",
    )


def _problem(error: Exception, headers: Headers) -> tuple[HTTPStatus, Trailers]:
    problem = problem_of(error, request_id=request_id_of(headers))
    if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("a call failed", exc_info=error, extra={"request": problem.request_id})
    return HTTPStatus(problem.status), trailers_of(problem)


async def _refuse(send: Send) -> None:
    """Tell a caller who does not speak gRPC so."""
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"accept", b"application/grpc")]
    await send({"type": "http.response.start", "status": HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "headers": headers})
    await send({"type": "http.response.body", "body": b"this port speaks gRPC: application/grpc with te: trailers\n"})
