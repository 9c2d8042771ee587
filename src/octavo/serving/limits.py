"""What one request, and all requests at once, may take."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from http import HTTPStatus
from itertools import takewhile
from typing import Any

import msgspec

from octavo.errors import LimitExceeded
from octavo.serving.problems import HttpError

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

READ_TIMEOUT_S = 10.0
_LOOK_EVERY_S, _LOOKS = 0.05, 10
_AGAIN = ((b"retry-after", b"1"),)


class ClientGone(Exception):
    """The caller closed the connection before its request was complete."""


class BodyIncomplete(asyncio.CancelledError):
    """The request was ended while its body was still awaited."""


class Admission:
    """Counts the requests that are being answered, turns away those beyond the limits, and ends what takes too long.

    One timer watches all requests: one for each would cost more than the rest of this.

    Parameters
    ----------
    max_concurrent : int
        Requests that are answered at a time. As many more may still be sending their bodies; beyond that, whoever has
        been doing so longest makes room.
    timeout_s : float
        From a request's admission to its answer.
    max_wait_s : float
        How long a request may have waited for its turn when requests keep coming faster than they are answered; a
        single pause turns nobody away.

    Attributes
    ----------
    queue_s : float
        How long the event loop has been behind all through the last half second: what shall make way for requests
        makes way by it.
    """

    def __init__(
        self, max_concurrent: int, *, timeout_s: float = READ_TIMEOUT_S, max_wait_s: float = float("inf")
    ) -> None:
        self.queue_s = 0.0
        self._max_concurrent = max_concurrent
        self._timeout_s = timeout_s
        self._max_wait_s = max_wait_s
        self._visits: dict[Visit, None] = {}
        self._n_reading = self._n_brief = 0
        self._lags = deque([0.0] * _LOOKS, maxlen=_LOOKS)

    @property
    def present(self) -> int:
        """Requests that are being answered, or whose bodies are awaited."""
        return len(self._visits) + self._n_brief

    @contextmanager
    def admitted(self, *, arrived_ns: int | None = None) -> Iterator["Visit"]:
        """A place for the time of a request, as a context; see `enter` and `leave`."""
        visit = self.enter(arrived_ns)
        try:
            yield visit
        except BaseException as error:
            self.leave(visit, error)
            raise
        self.leave(visit)

    def watch(self) -> None:
        """From now on, in the running loop, end what takes too long and see how far the loop is behind."""
        loop = asyncio.get_running_loop()
        every_s = min(_LOOK_EVERY_S, self._timeout_s / 4)

        def look(due_s: float) -> None:
            now_s = time.monotonic()
            self._lags.append(max(0.0, now_s - due_s))
            self.queue_s = min(self._lags)
            for visit in list(takewhile(lambda visit: now_s - visit.began_s >= self._timeout_s, self._visits)):
                visit.end()
            loop.call_later(every_s, look, now_s + every_s)

        loop.call_later(every_s, look, time.monotonic() + every_s)

    def enter(self, arrived_ns: int | None = None) -> "Visit":
        """Take a place for a request, in whose task this is called.

        Parameters
        ----------
        arrived_ns : int or None
            When the request arrived, on the clock of `time.perf_counter_ns`; now unless given.

        Raises
        ------
        HttpError
            429 if there is no place, or too long a queue.
        """
        self._check_room(arrived_ns)
        visit = Visit(self, asyncio.current_task(), time.monotonic())
        self._visits[visit] = None
        return visit

    def enter_briefly(self, arrived_ns: int) -> None:
        """Take a place for a request that needs no watching: its body is there, and what it waits for ends by itself.

        Raises
        ------
        HttpError
            As `enter` does.
        """
        self._check_room(arrived_ns)
        self._n_brief += 1

    def leave_briefly(self) -> None:
        """Give such a place back."""
        self._n_brief -= 1

    def _check_room(self, arrived_ns: int | None) -> None:
        if not self.queue_s and self.present < self._max_concurrent:  # nearly always
            return
        self._check_free(self.present + 1)
        if self.queue_s > self._max_wait_s / 2:
            waited_s = self.queue_s if arrived_ns is None else (time.perf_counter_ns() - arrived_ns) / 1e9
            if waited_s > self._max_wait_s:
                raise _turned_away(f"requests wait longer than {self._max_wait_s:g} seconds for their turn")
        if len(self._visits) >= 2 * self._max_concurrent:
            self._make_room()

    def leave(self, visit: "Visit", error: BaseException | None = None) -> None:
        """Give a place back.

        Raises
        ------
        HttpError
            408 or 504 if it was ended because it took too long.
        """
        del self._visits[visit]
        if visit.is_reading:
            self._n_reading -= 1
        if not visit.is_over:
            return
        visit.task.uncancel()
        if isinstance(error, asyncio.CancelledError):
            raise (_late if isinstance(error, BodyIncomplete) else _slow)(self._timeout_s) from error

    def read(self, visit: "Visit", *, is_reading: bool) -> None:
        """Count a request among those whose bodies are awaited, or among those that are answered."""
        self._n_reading += is_reading - visit.is_reading
        visit.is_reading = is_reading
        self._check_free(self.present)

    def _make_room(self) -> None:
        slowest = next((one for one in self._visits if one.is_reading and not one.is_over), None)
        if slowest is not None:
            slowest.end()

    def _check_free(self, present: int) -> None:
        if present - self._n_reading > self._max_concurrent:
            raise _turned_away(f"{self._max_concurrent} requests are being answered already")


class Visit(msgspec.Struct, eq=False):
    """The time in which a request is answered.

    Attributes
    ----------
    task : asyncio.Task
        Answers it.
    began_s : float
        On the clock of `time.monotonic`.
    is_over : bool
        Whether its time was over before it was answered.
    is_reading : bool
        Whether its body is still awaited.
    """

    admission: Admission
    task: Any
    began_s: float
    is_over: bool = False
    is_reading: bool = False

    def read(self, *, is_reading: bool) -> None:
        """Say that its body is awaited now, or has been read.

        Raises
        ------
        HttpError
            429 if it has been read and there is no place to answer it.
        """
        self.admission.read(self, is_reading=is_reading)

    def end(self) -> None:
        """End it now, because its time is over."""
        if not self.is_over:
            self.is_over = True
            self.task.cancel()


async def read_body(
    receive: Receive, headers: Mapping[bytes, bytes], *, max_bytes: int, visit: Visit | None = None
) -> bytes:
    """The whole body, counted while it streams in.

    Parameters
    ----------
    visit : Visit or None
        Of the request; while its body is awaited it takes nobody's place.

    Raises
    ------
    LimitExceeded
        As soon as it is known to be longer than `max_bytes`.
    BodyIncomplete
        If it is cancelled meanwhile.
    ClientGone
        If the connection closes before its end.
    """
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared[:20]) > max_bytes:
        raise too_large(max_bytes)
    if visit is not None:
        visit.read(is_reading=True)
    try:
        body = await _collect(receive, max_bytes=max_bytes)
    except asyncio.CancelledError as error:
        raise BodyIncomplete from error
    if visit is not None:
        visit.read(is_reading=False)
    return body


async def _collect(receive: Receive, *, max_bytes: int) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body", False) and len(body) <= max_bytes:
        return body  # nearly always
    parts: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGone
        body = message.get("body", b"")
        size += len(body)
        if size > max_bytes:
            raise too_large(max_bytes)
        if not message.get("more_body", False):
            return b"".join([*parts, body]) if parts else body
        parts.append(body)
        message = await receive()


def too_large(max_bytes: int) -> LimitExceeded:
    """The refusal of a body."""
    return LimitExceeded(f"the body is larger than {max_bytes:,} bytes", fix="send fewer rows in one request")


def _turned_away(detail: str) -> HttpError:
    fix = "try again in a second, or send several rows in one request"
    return HttpError(HTTPStatus.TOO_MANY_REQUESTS, detail, fix=fix, headers=_AGAIN)


def _late(timeout_s: float) -> HttpError:
    return HttpError(
        HTTPStatus.REQUEST_TIMEOUT,
        f"the body did not arrive within {timeout_s:g} seconds",
        fix="send the whole request at once",
        headers=((b"connection", b"close"),),
    )


def _slow(timeout_s: float) -> HttpError:
    return HttpError(
        HTTPStatus.GATEWAY_TIMEOUT,
        f"the request was not answered within {timeout_s:g} seconds",
        fix="send fewer rows in one request, or try again later",
        headers=_AGAIN,
    )
