"""One kept-alive HTTP connection that speaks JSON and turns problem details back into Octavo's errors."""

import http.client
from typing import Any
from urllib.parse import urlsplit

import msgspec

from octavo.errors import (
    Conflict,
    IntegrityError,
    InvalidRequest,
    LimitExceeded,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    OctavoError,
    Unavailable,
)

_ERRORS: dict[int, type[OctavoError]] = {
    401: NotAuthenticated,
    403: NotAllowed,
    409: Conflict,
    413: LimitExceeded,
    429: LimitExceeded,
    500: IntegrityError,
    503: Unavailable,
}


class Connection:
    """A connection to one process, opened on first use and again after it was lost.

    Parameters
    ----------
    url : str
        Such as ``http://127.0.0.1:8080``.
    token : str
    timeout_s : float
        Per request, for connecting and for each read.
    """

    def __init__(self, url: str, *, token: str, timeout_s: float = 30.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidRequest(f"{url!r} is no HTTP address", field="url", fix="http://127.0.0.1:8080")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self.url = url
        self._connection = kind(parts.hostname, parts.port, timeout=timeout_s)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def send(self, method: str, path: str, body: object = None) -> None:
        """Send a request without waiting for its answer; `receive` must follow before the next."""
        data = None if body is None else msgspec.json.encode(body)
        try:
            self._connection.request(method, path, body=data, headers=self._headers)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Unavailable(f"{self.url} cannot be reached: {error}; is `octavo up` running?") from error

    def receive(self) -> Any:
        """The answer to the last request, decoded.

        Raises
        ------
        OctavoError
            The one that the server's problem details tell of.
        """
        try:
            response = self._connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Unavailable(f"{self.url} did not answer: {error or type(error).__name__}") from error
        if response.status >= 400:
            raise _error(response.status, data)
        return msgspec.json.decode(data) if data else None

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Send a request and wait for its answer."""
        self.send(method, path, body)
        return self.receive()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _error(status: int, data: bytes) -> OctavoError:
    try:
        problem = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError:
        problem = {"detail": data.decode("utf-8", "replace")[:200]}
    detail = str(problem.get("detail") or problem.get("title") or f"HTTP {status}")
    if status == 404:
        error: OctavoError = NotFound("page or thing", detail)
        error.message, error.args = detail, (detail,)
        return error
    kind = _ERRORS.get(status)
    if kind is None or issubclass(kind, InvalidRequest):
        kind = kind or InvalidRequest
        return kind(detail, field=problem.get("field"), fix=problem.get("fix"))  # type: ignore[call-arg]
    return kind(detail)
