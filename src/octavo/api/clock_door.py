"""The clock over HTTP. Under the system clock nobody can set it: the endpoint to do so does not even exist."""

import time
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from octavo.api.bodies import decode_object, read_body, to_request
from octavo.api.endpoints import Endpoint, Identify
from octavo.clock import ReplayClock
from octavo.errors import InvalidRequest, Unavailable
from octavo.operations import Context

PATH = "/api/clock"
_BACKLOG_TIMEOUT_S, _POLL_S = 60.0, 0.0005
_MAX_BYTES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvanceClock:
    """Move a replay to a moment, once all events sent before are applied."""

    to: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """What time it is on the platform."""

    now: datetime
    replay: bool


def clock_endpoints(context: Context, *, identify: Identify) -> list[Endpoint]:
    """``GET /api/clock``, and under a replay ``POST /api/clock``."""
    clock, driving = context.clock, Lock()

    async def read(_: Request) -> Response:
        return _reading(ClockReading(now=clock.now(), replay=clock.is_replay))

    async def advance(request: Request) -> Response:
        asked = to_request(decode_object(await read_body(request, max_bytes=_MAX_BYTES)), AdvanceClock)

        def run() -> None:
            with driving:
                _advance(context, asked.to)

        await run_in_threadpool(run)
        return await read(request)

    endpoints = [Endpoint(method="GET", path=PATH, permission="clock:read", handle=read, identify=identify)]
    if isinstance(clock, ReplayClock):
        endpoints.append(
            Endpoint(method="POST", path=PATH, permission="clock:write", handle=advance, identify=identify)
        )
    return endpoints


def wait_for_backlog(context: Context, *, timeout_s: float = _BACKLOG_TIMEOUT_S) -> None:
    """Wait until every feature view has applied all events that were published before this call.

    Raises
    ------
    Unavailable
        If the worker has not done so within `timeout_s`.
    """
    stores, deadline = context.stores, time.monotonic() + timeout_s
    views = context.project.views.values()
    wanted = {f"applied/{view.name}": stores.stream.end(f"events.{view.source.name}") for view in views}
    while behind := [mark for mark, end in wanted.items() if stores.online.mark(mark) < end > 0]:
        if time.monotonic() > deadline:
            raise Unavailable(
                f"the worker has not applied all events to {behind[0].partition('/')[2]} within {timeout_s:g} s; "
                "see whether it runs: octavo up, .octavo/logs/worker.log"
            )
        time.sleep(_POLL_S)


def _advance(context: Context, to: datetime) -> None:
    clock = context.clock
    if to < clock.now():
        raise InvalidRequest(
            f"the clock stands at {clock.now().isoformat()} and never goes back", field="to", fix="send a later time"
        )
    wait_for_backlog(context)
    if isinstance(clock, ReplayClock) and not clock.advance(to):
        raise Unavailable(
            f"the worker does not let the clock pass {clock.now().isoformat()}: something due then is not done; "
            "see .octavo/logs/worker.log"
        )


def _reading(reading: ClockReading) -> Response:
    return Response(msgspec.json.encode(reading), media_type="application/json")
