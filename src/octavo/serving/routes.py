"""What a predictor can be asked over HTTP: a path, the permission that it needs, and who answers."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from octavo.errors import ConfigurationError
from octavo.serving.limits import Receive, Visit
from octavo.serving.problems import Answer, HttpError
from octavo.serving.tracing import Trace

PUBLIC = "public"
"""The permission that needs no caller."""

PREDICT = "/predict/"
"""Below it stand the deployments, to be asked by rows."""

JSON = b"application/json"

Headers = Mapping[bytes, bytes]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request whose caller may make it.

    Attributes
    ----------
    visit : Visit or None
        Its place among those that are answered; None for what is answered whatever the load.
    trace : Trace or None
        None if nobody follows it.
    """

    path: str
    query: bytes
    headers: Headers
    receive: Receive
    caller: str
    arrived_ns: int
    visit: Visit | None = None
    trace: Trace | None = None


class Told(msgspec.Struct, frozen=True, gc=False):
    """What a request is told, with all of the headers.

    Attributes
    ----------
    done : callable
        Does what is left to do once it is sent.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    done: Callable[[], None]


Handled = tuple[Answer, Callable[[], None] | None]
"""An answer, and what is left to do once it is sent."""

Handle = Callable[[Request], Awaitable[Handled]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A thing that can be reached: a path (or, ending in a slash, all below it), and the permission that it needs."""

    method: str
    path: str
    permission: str
    handle: Handle

    def __post_init__(self) -> None:
        if not self.permission:
            raise ConfigurationError(f"{self.method} {self.path} declares no permission, so it cannot be served")


def content_type(headers: Headers) -> bytes:
    """What a body says that it is; JSON unless it says."""
    sent = headers.get(b"content-type", JSON)
    return sent if sent == JSON else sent.partition(b";")[0].strip().lower()


def check_encoding(headers: Headers, *, fix: str, kinds: tuple[bytes, ...] = (JSON,)) -> None:
    """Refuse a body by its headers.

    Raises
    ------
    HttpError
        415 if it is of no kind that is taken, or compressed.
    """
    kind = content_type(headers)
    if kind not in kinds:
        raise HttpError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"predictions are not asked for by {kind.decode('latin-1')[:80]!r}",
            fix=fix,
        )
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise HttpError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body is compressed", fix="send it without Content-Encoding"
        )
