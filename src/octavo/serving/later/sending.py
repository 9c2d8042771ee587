"""Callbacks, sent: one connection for each, to an address that was looked at, following no redirect."""

import asyncio
import logging
import re
import socket
import ssl
from http import HTTPStatus

from octavo.clock import Clock
from octavo.errors import InvalidRequest
from octavo.serving.later.callbacks import MEDIA_TYPE, CallbackRules, Place, event_of
from octavo.serving.later.jobs import Callback

log = logging.getLogger(__name__)

TIMEOUT_S = 10.0
LONGEST_PAUSE_S = 600
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r)")
_PORTS = {"http": 80, "https": 443}


def pause_s(tries: int) -> int:
    """How long to wait after so many tries: 2, 4, 8 ... seconds, and ten minutes at most."""
    return min(1 << min(tries, 10), LONGEST_PAUSE_S)


class CallbackSender:
    """Tells callers of answers.

    Parameters
    ----------
    rules : CallbackRules
    clock : Clock
        The machine's.
    timeout_s : float
        For one try, all in all.
    """

    def __init__(self, rules: CallbackRules, *, clock: Clock, timeout_s: float = TIMEOUT_S) -> None:
        self._rules = rules
        self._clock = clock
        self._timeout_s = timeout_s
        self._tls: ssl.SSLContext | None = None

    async def send(self, callback: Callback) -> bool:
        """Say once that an answer is there; whether that is settled, because it was taken or is not wanted."""
        facts = {"job": callback.id, "tries": callback.tries}
        try:
            async with asyncio.timeout(self._timeout_s):
                status = await self._post(callback)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError, InvalidRequest) as error:
            log.warning("a callback failed", extra={**facts, "reason": str(error) or type(error).__name__})
            return False
        is_taken = HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
        if not is_taken:
            log.warning("a callback was not taken", extra={**facts, "status": status})
        return is_taken or status == HTTPStatus.GONE

    async def _post(self, callback: Callback) -> int:
        now_us = self._clock.now_us()
        body, place = event_of(callback, now_us=now_us), self._rules.check(callback.url)
        signature = self._rules.signature(callback.id, now_us // 1_000_000, body)
        head = (
            f"POST {place.target} HTTP/1.1\r\nHost: {_host(place)}\r\nConnection: close\r\n"
            f"Content-Type: {MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\nWebhook-Id: {callback.id}\r\n"
            f"Webhook-Timestamp: {now_us // 1_000_000}\r\nWebhook-Signature: {signature}\r\n\r\n"
        )
        reader, writer = await self._connected(place)
        try:
            writer.write(head.encode("ascii") + body)
            found = _STATUS.match(await reader.readuntil(b"\n"))
            if found is None:
                raise ValueError("what answers is no HTTP server")
            return int(found[1])
        finally:
            writer.close()

    async def _connected(self, place: Place) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the very address that was looked at: asked for again, a host's might be another."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        addresses = [str(one[4][0]) for one in found]
        self._rules.check_addresses(place, addresses)
        if place.scheme == "http":
            return await asyncio.open_connection(addresses[0], place.port)
        self._tls = self._tls or await asyncio.to_thread(ssl.create_default_context)
        return await asyncio.open_connection(addresses[0], place.port, ssl=self._tls, server_hostname=place.host)


def _host(place: Place) -> str:
    host = f"[{place.host}]" if ":" in place.host else place.host
    return host if place.port == _PORTS[place.scheme] else f"{host}:{place.port}"
