"""The message of a call behind its five bytes of prefix, and its limits."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from octavo.errors import InvalidRequest, LimitExceeded
from octavo.serving.limits import BodyIncomplete, ClientGone, Receive, Visit
from octavo.serving.problems import HttpError

PREFIX_BYTES = 5


def frame(message: bytes) -> bytes:
    """A message behind its prefix, not compressed."""
    return b"\x00" + len(message).to_bytes(4, "big") + message


def is_message(body: bytes, *, max_bytes: int) -> bool:
    """Whether a body is one whole message, as it shall be."""
    n_sent = len(body) - PREFIX_BYTES
    return 0 <= n_sent <= max_bytes and body[:PREFIX_BYTES] == b"\x00" + n_sent.to_bytes(4, "big")


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
        body, is_more = _part(await receive())
        if is_more:
            body = await _collect(body, receive, max_bytes=max_bytes)
    except asyncio.CancelledError as error:
        raise BodyIncomplete from error
    if visit is not None:
        visit.read(is_reading=False)
    if not is_message(body, max_bytes=max_bytes):
        raise _refusal(body, max_bytes=max_bytes)
    return body[PREFIX_BYTES:]


async def _collect(body: bytes, receive: Receive, *, max_bytes: int) -> bytes:
    """What follows a part of a message, with it."""
    parts, is_more = bytearray(body), True
    _check(parts, max_bytes=max_bytes)
    while is_more:
        body, is_more = _part(await receive())
        parts += body
        _check(parts, max_bytes=max_bytes)
    return bytes(parts)


def _part(message: Mapping[str, Any]) -> tuple[bytes, bool]:
    """A part of a message, and whether more follows."""
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message.get("body", b""), message.get("more_body", False)


def _refusal(body: bytes, *, max_bytes: int) -> InvalidRequest:
    """What is wrong with a body that is no message.

    Raises
    ------
    LimitExceeded, InvalidRequest, HttpError
        Where that was so from its beginning.
    """
    _check(body, max_bytes=max_bytes)
    if len(body) < PREFIX_BYTES:
        return InvalidRequest("the call holds no message", fix="send one message, behind its prefix of five bytes")
    return InvalidRequest("the message ends before the length that its prefix says", fix="send the whole message")


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
