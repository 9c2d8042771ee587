"""The standard health service: whether the predictor, its inference service or a deployment is served."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus

from octavo.errors import NotFound
from octavo.serving.app import PredictorApp
from octavo.serving.grpc.messages import HEALTH, SERVICE, HealthCheckRequest, HealthCheckResponse, parse
from octavo.serving.grpc.methods import GrpcCall, Method, Replied, StreamMethod
from octavo.serving.limits import Receive
from octavo.serving.problems import HttpError
from octavo.serving.routes import PUBLIC

_LOOK_EVERY_S = 0.5
_MOST_WATCHERS = 64
_SERVING: bytes = HealthCheckResponse(status="SERVING").SerializeToString()
_NOT_SERVING: bytes = HealthCheckResponse(status="NOT_SERVING").SerializeToString()
_UNKNOWN: bytes = HealthCheckResponse(status="SERVICE_UNKNOWN").SerializeToString()


class HealthService:
    """Check and Watch. The empty name is the whole predictor; a deployment goes by its name.

    Parameters
    ----------
    app : PredictorApp
        Knows whether it is about to stop.
    """

    def __init__(self, app: PredictorApp) -> None:
        self._app = app
        self._watchers = 0

    def methods(self) -> tuple[Method | StreamMethod, ...]:
        """All of them."""
        return (
            Method(path=f"/{HEALTH}/Check", permission=PUBLIC, handle=self._check),
            StreamMethod(path=f"/{HEALTH}/Watch", permission=PUBLIC, handle=self._watch),
        )

    async def _check(self, call: GrpcCall) -> Replied:
        name = parse(HealthCheckRequest, call.message).service
        status = self._status(name)
        if status == _UNKNOWN:
            watcher = self._app.asking.watcher
            raise NotFound("service", name[:80], ["", SERVICE, HEALTH, *watcher.lineups, *watcher.composites])
        return Replied(status)

    async def _watch(self, call: GrpcCall) -> AsyncIterator[bytes]:
        name = parse(HealthCheckRequest, call.message).service
        if self._watchers >= _MOST_WATCHERS:
            raise HttpError(
                HTTPStatus.TOO_MANY_REQUESTS, f"{_MOST_WATCHERS} callers are watching already", fix="use Check"
            )
        self._watchers += 1
        gone = asyncio.ensure_future(_gone(call.receive))
        try:
            told = b""
            while not gone.done():
                status = self._status(name)
                if status != told:
                    yield status
                    told = status
                if self._app.is_draining:
                    return
                await asyncio.wait([gone], timeout=_LOOK_EVERY_S)
        finally:
            gone.cancel()
            self._watchers -= 1

    def _status(self, name: str) -> bytes:
        asking = self._app.asking
        is_composite = name in asking.watcher.composites
        if name and name not in (SERVICE, HEALTH, *asking.watcher.lineups) and not is_composite:
            return _UNKNOWN
        is_ready = asking.is_ready and not (is_composite and asking.finder.trouble(name))
        return _SERVING if is_ready else _NOT_SERVING


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
