"""What a predictor can be asked over gRPC: a method, the permission that it needs, and who answers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from octavo.errors import ConfigurationError
from octavo.serving.limits import Receive
from octavo.serving.routes import Headers
from octavo.serving.tracing import Trace

PREDICTS = "predictions:write"
"""The permission to ask for predictions, and about what makes them."""


class GrpcCall(NamedTuple):
    """A call whose caller may make it.

    Attributes
    ----------
    message : bytes
        The request, not parsed.
    receive : callable
        Tells when the caller has gone.
    """

    message: bytes
    headers: Headers
    receive: Receive
    caller: str
    arrived_ns: int
    trace: Trace | None = None


class Replied(NamedTuple):
    """The answer's message, and what is left to do once it is sent."""

    message: bytes
    follow_up: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A method of a service that answers with one message.

    Attributes
    ----------
    path : str
        Such as ``/inference.GRPCInferenceService/ModelInfer``.
    predicts : bool
        Whether it counts among the requests that are answered at once, and may be as large.
    """

    path: str
    permission: str
    handle: Callable[[GrpcCall], Awaitable[Replied]]
    predicts: bool = False

    def __post_init__(self) -> None:
        _check_permission(self.path, self.permission)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamMethod:
    """A method that goes on answering until its caller goes."""

    path: str
    permission: str
    handle: Callable[[GrpcCall], AsyncIterator[bytes]]

    def __post_init__(self) -> None:
        _check_permission(self.path, self.permission)


def _check_permission(path: str, permission: str) -> None:
    if not permission:
        raise ConfigurationError(f"{path} declares no permission, so it cannot be served")
