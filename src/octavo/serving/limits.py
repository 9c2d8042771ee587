"""What one request, and all requests at once, may take."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from octavo.errors import LimitExceeded
from octavo.serving.problems import HttpError

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

READ_TIMEOUT_S = 10.0


class ClientGone(Exception):
    """The caller closed the connection before its request was complete."""


class Admission:
    """Counts the requests that are being answered, and turns away those beyond the limit.

    Parameters
    ----------
    max_concurrent : int
    """

    def __init__(self, max_concurrent: int) -> None:
        self._max_concurrent = max_concurrent
        self._present = 0

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Take a place for the time of a request.

        Raises
        ------
        HttpError
            429 if there is none.
        """
        if self._present >= self._max_concurrent:
            raise HttpError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{self._max_concurrent} requests are being answered already",
                fix="try again in a second, or send several rows in one request",
                headers=((b"retry-after", b"1"),),
            )
        self._present += 1
        try:
            yield
        finally:
            self._present -= 1


async def read_body(
    receive: Receive, headers: Mapping[bytes, bytes], *, max_bytes: int, timeout_s: float = READ_TIMEOUT_S
) -> bytes:
    """The whole body, counted while it streams in.

    Raises
    ------
    LimitExceeded
        As soon as it is known to be longer than `max_bytes`.
    HttpError
        408 if it does not arrive within `timeout_s`.
    ClientGone
        If the connection closes before its end.
    """
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared[:20]) > max_bytes:
        raise _too_large(max_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            return await _collect(receive, max_bytes=max_bytes)
    except TimeoutError as error:
        raise HttpError(
            HTTPStatus.REQUEST_TIMEOUT,
            f"the body did not arrive within {timeout_s:g} seconds",
            fix="send the whole request at once",
            headers=((b"connection", b"close"),),
        ) from error


async def _collect(receive: Receive, *, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body = message.get("body", b"")
        size += len(body)
        if size > max_bytes:
            raise _too_large(max_bytes)
        if not message.get("more_body", False):
            return b"".join([*parts, body]) if parts else body
        parts.append(body)


def _too_large(max_bytes: int) -> LimitExceeded:
    return LimitExceeded(f"the body is larger than {max_bytes:,} bytes", fix="send fewer rows in one request")
