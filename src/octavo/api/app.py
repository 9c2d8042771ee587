"""The control process's application, put together."""

import logging
from collections.abc import Collection
from functools import cache
from http import HTTPStatus

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

import octavo
from octavo.access import Authority
from octavo.api.clock_door import clock_endpoints
from octavo.api.console_door import ConsoleDoor
from octavo.api.endpoints import Endpoint, check_routes
from octavo.api.events import data_endpoints
from octavo.api.health import health_endpoints
from octavo.api.metrics import RequestMetrics
from octavo.api.mlflow.door import mlflow_endpoints
from octavo.api.openapi import describe
from octavo.api.operations_door import operation_endpoints
from octavo.api.problems import problem_response
from octavo.api.shield import Shield
from octavo.clock import ReplayClock
from octavo.config import Config
from octavo.errors import NotFound, OctavoError
from octavo.operations import Context, Dispatcher, Principal
from octavo.problems import Problem, problem_of, refusal, unexpected
from octavo.servers import check_exposure
from octavo.serving.access_watch import AccessWatch

log = logging.getLogger(__name__)

_MACHINE_PATHS = ("/api/", "/events/", "/outcomes", "/livez", "/readyz", "/metrics")


def build_app(context: Context, dispatcher: Dispatcher, *, access: Authority | None = None) -> ASGIApp:
    """The application over a project's context.

    Parameters
    ----------
    access : Authority or None
        Knows who may call; the project's unless given.

    Raises
    ------
    ConfigurationError
        If a route declares no permission, or the process would be reachable from elsewhere without protection.
    """
    config = context.config
    hosts = allowed_hosts(config)
    access, metrics = access or known_callers(context), RequestMetrics()
    console = ConsoleDoor(context, dispatcher, access=access, secure=config.control.behind_proxy)
    endpoints = [*_endpoints(context, dispatcher, access=access, metrics=metrics), *console.endpoints()]
    routes = [endpoint.route() for endpoint in endpoints]
    check_routes(routes)
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    operations = [operation.name for operation in dispatcher.operations]

    def show(request: Request, problem: Problem) -> Response:
        if request.url.path.startswith(_MACHINE_PATHS) or "text/html" not in request.headers.get("accept", ""):
            return problem_response(problem)
        return console.problem(request, problem)

    async def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, OctavoError)
        problem = problem_of(error, request_id=request.state.request_id)
        if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("a request failed", exc_info=error, extra={"request_id": problem.request_id})
        return show(request, problem)

    async def refuse_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        response = show(request, _no_route(request, error, operations))
        response.headers.update(error.headers or {})
        return response

    async def fail(request: Request, error: Exception) -> Response:
        log.error("a request failed", exc_info=error, extra={"request_id": request.state.request_id})
        return show(request, unexpected(request.state.request_id, process="control process"))

    app.add_exception_handler(OctavoError, refuse)
    app.add_exception_handler(HTTPException, refuse_http)
    app.add_exception_handler(Exception, fail)
    return Shield(app, hosts=hosts, metrics=metrics, clock=context.clock)


def declared_endpoints(context: Context, dispatcher: Dispatcher) -> list[Endpoint]:
    """All that the control process answers, for those who look over who may what."""
    access = known_callers(context)
    console = ConsoleDoor(context, dispatcher, access=access, secure=context.config.control.behind_proxy)
    return [*_endpoints(context, dispatcher, access=access, metrics=RequestMetrics()), *console.endpoints()]


def known_callers(context: Context) -> Authority:
    """Who may call, as the records say it now and at every later look."""
    watch = AccessWatch(context.config, context.stores.artifacts)
    watch.authority.look_by(watch.look)
    return watch.authority


def allowed_hosts(config: Config) -> Collection[str] | None:
    """The host names under which the control process may be called; None if a proxy in front sees to that.

    Raises
    ------
    ConfigurationError
        For an address beyond this machine with neither TLS nor a stated proxy in front.
    """
    if config.control.behind_proxy:
        return None
    check_exposure("control", config.control)
    host = config.control.host
    return {"localhost", "127.0.0.1", "[::1]", host.lower(), f"[{host.lower()}]"}


def _endpoints(
    context: Context, dispatcher: Dispatcher, *, access: Authority, metrics: RequestMetrics
) -> list[Endpoint]:
    def identify(request: Request) -> Principal:
        return access.authenticate(request.headers.get("authorization"))

    @cache
    def document() -> bytes:  # a third of a second, for those who ask
        replay = isinstance(context.clock, ReplayClock)
        return msgspec.json.encode(describe(dispatcher.operations, version=octavo.__version__, replay=replay))

    async def openapi(_: Request) -> Response:
        return Response(await run_in_threadpool(document), media_type="application/json")

    max_bytes = context.config.control.max_body_bytes
    described = Endpoint(
        method="GET", path="/api/openapi.json", permission="api:read", handle=openapi, identify=identify
    )
    return [
        *health_endpoints(context, metrics, identify=identify),
        described,
        *clock_endpoints(context, identify=identify),
        *data_endpoints(dispatcher, identify=identify, max_body_bytes=max_bytes),
        *operation_endpoints(dispatcher, identify=identify, max_body_bytes=max_bytes),
        *mlflow_endpoints(dispatcher, identify=identify, max_body_bytes=max_bytes),
    ]


def _no_route(request: Request, error: HTTPException, operations: list[str]) -> Problem:
    path, request_id = request.url.path, request.state.request_id
    status = HTTPStatus(error.status_code)
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "").replace("HEAD, ", "")
        detail = f"{path} does not take {request.method}"
        return refusal(status, detail, request_id=request_id, fix=f"use {allowed}" if allowed else None)
    if path.startswith("/api/"):
        return problem_of(NotFound("operation", path.removeprefix("/api/"), operations), request_id=request_id)
    return problem_of(NotFound("page", path), request_id=request_id)
