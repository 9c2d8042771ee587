"""How long a caller waits, and how long it is waited for."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

from octavo.errors import InvalidRequest
from octavo.serving.limits import BodyIncomplete
from octavo.serving.problems import HttpError

_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_LONGEST_S = 86_400.0
T = TypeVar("T")


def timeout_s(sent: bytes) -> float:
    """The seconds that a caller waits, from ``grpc-timeout``; a day at most.

    Raises
    ------
    InvalidRequest
        If it is none.
    """
    found = _TIMEOUT.fullmatch(sent)
    if found is None:
        raise InvalidRequest(
            "grpc-timeout is no time", field="grpc-timeout", fix="send up to eight digits and one of H, M, S, m, u, n"
        )
    return min(int(found[1]) * _SECONDS[found[2]], _LONGEST_S)


async def within(seconds: float, awaited: Awaitable[T], *, refusal: Callable[[], HttpError]) -> T:
    """What is awaited, or the refusal if it does not come in time."""
    try:
        async with asyncio.timeout(seconds) as limit:
            return await awaited
    except (TimeoutError, BodyIncomplete) as error:
        if not limit.expired():
            raise
        raise refusal() from error
