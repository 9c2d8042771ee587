"""One kept-alive HTTP connection that speaks JSON, and opens anew when it was lost.

A server may close an idle connection at any moment, so each request first looks whether that has happened. A
connection that is lost while a request is under way leaves open whether the request was done: it is sent again, once,
only if it is *repeatable*, which is to say that doing it twice comes to the same.
"""

import http.client
import select
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

from octavo.client.problems import error_of
from octavo.errors import InvalidRequest, Unavailable

Address = str | Callable[[], str]


class ConnectionLost(Unavailable):
    """The connection broke while a request was under way, which may have been done or not."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A body that is no JSON."""

    data: bytes
    media_type: str


class Connection:
    """A connection to one process.

    Parameters
    ----------
    url : str or callable
        Such as ``http://127.0.0.1:8080``; or what tells it, asked whenever a connection is opened, because a process
        that starts again may listen elsewhere.
    token : str
    timeout_s : float
        Per request, for connecting and for each read.
    """

    def __init__(self, url: Address, *, token: str, timeout_s: float = 30.0) -> None:
        self._address: Callable[[], str] = (lambda: url) if isinstance(url, str) else url
        self._url = ""
        self._timeout_s = self._waits_s = timeout_s
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._connection: http.client.HTTPConnection | None = None
        if isinstance(url, str):
            _unconnected(url, timeout_s=timeout_s)

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        timeout_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send a request without waiting for its answer; `receive` must follow before the next.

        Parameters
        ----------
        body : object
            What is written as JSON; or bytes with their media type, as `Encoded`.
        timeout_s : float or None
            For this request instead of the connection's own.
        headers : mapping or None
            Beside those of all requests.

        Raises
        ------
        Unavailable
            If the process cannot be reached; nothing was sent.
        """
        data, named = _encoded(body, {**self._headers, **(headers or {})})
        connection = self._opened()
        self._waits_s = self._timeout_s if timeout_s is None else timeout_s
        connection.sock.settimeout(self._waits_s)
        try:
            connection.request(method, path, body=data, headers=named)
        except TimeoutError as error:
            raise self._timed_out() from error
        except OSError:
            # A server that refuses a body closes before it has read it all: `receive` finds its answer, or the loss.
            return

    def receive(self) -> Any:
        """The answer to the last request, decoded.

        Raises
        ------
        ConnectionLost
            If there will be none.
        Unavailable
            If there was none in time.
        OctavoError
            The one that the server answered with.
        """
        assert self._connection is not None, "receive follows send"
        try:
            response = self._connection.getresponse()
            data = response.read()
        except TimeoutError as error:
            raise self._timed_out() from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise ConnectionLost(
                f"{self._url} closed the connection before it answered; whether the request was done is not "
                "known: look before you send it again"
            ) from error
        if response.status >= 400:
            raise error_of(response.status, data)
        return msgspec.json.decode(data) if data else None

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        repeatable: bool = False,
        timeout_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request and wait for its answer.

        Parameters
        ----------
        repeatable : bool
            Whether doing it twice comes to the same, so that it may be sent again where the connection was lost.
        timeout_s : float or None
            For this request instead of the connection's own.
        headers : mapping or None
            Beside those of all requests.

        Raises
        ------
        OctavoError
            As `send` and `receive`.
        """
        self.send(method, path, body, timeout_s=timeout_s, headers=headers)
        try:
            return self.receive()
        except ConnectionLost:
            if not repeatable:
                raise
        self.send(method, path, body, timeout_s=timeout_s, headers=headers)
        return self.receive()

    def close(self) -> None:
        """Close the connection; the next request opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _opened(self) -> http.client.HTTPConnection:
        if self._connection is not None and _was_closed(self._connection):
            self.close()
        if self._connection is None:
            self._url = self._address()
            connection = _unconnected(self._url, timeout_s=self._timeout_s)
            try:
                connection.connect()
            except OSError as error:
                connection.close()
                raise Unavailable(f"{self._url} cannot be reached: {error}; is `octavo up` running?") from error
            self._connection = connection
        return self._connection

    def _timed_out(self) -> Unavailable:
        self.close()
        return Unavailable(f"{self._url} did not answer within {self._waits_s:g} s; see .octavo/logs")


def _encoded(body: object, headers: dict[str, str]) -> tuple[bytes | None, dict[str, str]]:
    if isinstance(body, Encoded):
        return body.data, {**headers, "Content-Type": body.media_type}
    return None if body is None else msgspec.json.encode(body), headers


def _unconnected(url: str, *, timeout_s: float) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidRequest(f"{url!r} is no HTTP address", field="url", fix="give one like http://127.0.0.1:8080")
    if parts.scheme == "https":
        return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout_s)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)


def _was_closed(connection: http.client.HTTPConnection) -> bool:
    """Whether the server has closed an idle connection: it has become readable though no answer is due."""
    if connection.sock is None:
        return True
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))
