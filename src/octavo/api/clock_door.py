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
from octavo.features.events.payloads import topic_of
from octavo.features.online.backlog import applied_ends
from octavo.operations import Context
from octavo.processes import WORKER, find_running
from octavo.stores.partitions import ends

PATH = "/api/clock"
_BACKLOG_TIMEOUT_S, _WORK_TIMEOUT_S, _POLL_S = 60.0, 600.0, 0.0005
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
    clock = context.clock

    async def read(_: Request) -> Response:
        return _reading(ClockReading(now=clock.now(), replay=clock.is_replay))

    endpoints = [Endpoint(method="GET", path=PATH, permission="clock:read", handle=read, identify=identify)]
    if isinstance(clock, ReplayClock):
        driver = ClockDriver(clock, context)

        async def advance(request: Request) -> Response:
            asked = to_request(decode_object(await read_body(request, max_bytes=_MAX_BYTES)), AdvanceClock)
            await run_in_threadpool(driver.advance, asked.to)
            return await read(request)

        endpoints.append(
            Endpoint(method="POST", path=PATH, permission="clock:write", handle=advance, identify=identify)
        )
    return endpoints


class ClockDriver:
    """Moves a replay on, one caller at a time.

    Parameters
    ----------
    clock : ReplayClock
    context : Context
        Of the control process, which reads what the worker has applied.
    """

    def __init__(self, clock: ReplayClock, context: Context) -> None:
        self._clock = clock
        self._context = context
        self._turn = Lock()
        self._applied: dict[str, tuple[int, ...]] = {}

    def advance(self, to: datetime) -> None:
        """Move to a moment once all events that were sent before are applied; stops at what the worker has to do first.

        Raises
        ------
        InvalidRequest
            For a moment before the present one.
        Unavailable
            If the worker has not applied the events within a minute, or not done what is due within ten.
        """
        if to.tzinfo is None:
            raise InvalidRequest(
                f"{to.isoformat()} is a time without an offset", field="to", fix="send 2013-07-01T12:00:00Z"
            )
        with self._turn:
            now = self._clock.now()
            if to < now:
                raise InvalidRequest(
                    f"the clock stands at {now.isoformat()} and never goes back", field="to", fix="send a later time"
                )
            self.wait_for_events()
            if not self._move(to):
                raise Unavailable(
                    f"the worker does not let the clock pass {self._clock.now().isoformat()}: "
                    "something due then is not done; see .octavo/logs/worker.log"
                )

    def _move(self, to: datetime) -> bool:
        """Move on; a worker that runs is given the time that a training takes, an absent one a minute to come back."""
        deadline_s = time.monotonic() + _WORK_TIMEOUT_S
        while not self._clock.advance(to, timeout_s=_BACKLOG_TIMEOUT_S):
            if find_running(self._context.config.home, WORKER) is None or time.monotonic() > deadline_s:
                return False
        return True

    def wait_for_events(self, *, timeout_s: float = _BACKLOG_TIMEOUT_S) -> None:
        """Wait until every feature view has applied all events that were published before this call.

        Raises
        ------
        Unavailable
            If the worker has not done so in time.
        """
        stores, project, deadline_s = self._context.stores, self._context.project, time.monotonic() + timeout_s
        for source in project.sources:
            wanted = ends(stores.stream, topic_of(source))
            while not _have_reached(self._applied.get(source, ()), wanted):
                self._applied[source] = applied = applied_ends(stores.online, project, source, partitions=len(wanted))
                if _have_reached(applied, wanted):
                    break
                if time.monotonic() > deadline_s:
                    raise Unavailable(
                        f"the worker has not applied all events of {source!r} within {timeout_s:g} s; "
                        "see whether it runs: octavo status, .octavo/logs/worker.log"
                    )
                time.sleep(_POLL_S)


def _have_reached(applied: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return len(applied) >= len(wanted) and all(at >= end for at, end in zip(applied, wanted, strict=False))


def _reading(reading: ClockReading) -> Response:
    return Response(msgspec.json.encode(reading), media_type="application/json")
