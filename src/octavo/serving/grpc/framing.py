"""The message of a call behind its five bytes of prefix, and its limits."""

import asyncio
from http import HTTPStatus

from octavo.errors import InvalidRequest, LimitExceeded
from octavo.serving.limits import BodyIncomplete, ClientGone, Receive, Visit
from octavo.serving.problems import HttpError

PREFIX_BYTES = 5


def frame(message: bytes) -> bytes:
    """A message behind its prefix, not compressed."""
    return b"\x00" + len(message).to_bytes(4, "big") + message


async def read_message(receive: Receive, *, max_bytes: int, visit: Visit | None = None) -> bytes:
    """The one message of a call.

    Parameters
    ----------
    visit : Visit or None
        Of the call; while its message is awaited it takes nobody's place.

    Raises
    ------
    LimitExceeded
        As soon as it is known to be longer than `max_bytes`.
    InvalidRequest
        If there is not exactly one, whole message.
    HttpError
        415 if it is compressed.
    BodyIncomplete
        If it is cancelled meanwhile.
    ClientGone
        If the call ends before the message does.
    """
    if visit is not None:
        visit.read(is_reading=True)
    try:
        body = await _collect(receive, max_bytes=max_bytes)
    except asyncio.CancelledError as error:
        raise BodyIncomplete from error
    if visit is not None:
        visit.read(is_reading=False)
    if len(body) < PREFIX_BYTES:
        raise InvalidRequest("the call holds no message", fix="send one message, behind its prefix of five bytes")
    if len(body) < PREFIX_BYTES + int.from_bytes(body[1:PREFIX_BYTES], "big"):
        raise InvalidRequest("the message ends before the length that its prefix says", fix="send the whole message")
    return body[PREFIX_BYTES:]


async def _collect(receive: Receive, *, max_bytes: int) -> bytes:
    body, is_more = await _part(receive)
    _check(body, max_bytes=max_bytes)
    if not is_more:
        return body
    parts = bytearray(body)
    while is_more:
        body, is_more = await _part(receive)
        parts += body
        _check(parts, max_bytes=max_bytes)
    return bytes(parts)


async def _part(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message.get("body", b""), message.get("more_body", False)


def _check(body: bytes | bytearray, *, max_bytes: int) -> None:
    """Refuse what can no longer become one good message."""
    if body and body[0]:
        raise HttpError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the message is compressed", fix="send messages without compression"
        )
    if len(body) < PREFIX_BYTES:
        return
    length = int.from_bytes(body[1:PREFIX_BYTES], "big")
    if length > max_bytes:
        raise LimitExceeded(f"the message is larger than {max_bytes:,} bytes", fix="send fewer rows in one request")
    if len(body) > PREFIX_BYTES + length:
        raise InvalidRequest("the call holds more than one message", fix="send one message in a call")
