"""A call that has just arrived."""

from typing import NamedTuple

from octavo.serving.app import Send
from octavo.serving.grpc.methods import GrpcCall
from octavo.serving.grpc.statuses import Trailers
from octavo.serving.heads import sent_id
from octavo.serving.limits import Receive
from octavo.serving.routes import Headers, content_type
from octavo.serving.tracing import Trace

START_HEADERS = [(b"content-type", b"application/grpc"), (b"grpc-accept-encoding", b"identity")]
OK: Trailers = [(b"grpc-status", b"0")]
_START = {"type": "http.response.start", "status": 200, "headers": START_HEADERS, "trailers": True}
_KINDS = frozenset({b"application/grpc", b"application/grpc+proto"})


def is_grpc(headers: Headers) -> bool:
    """Whether a request is a call."""
    kind = headers.get(b"content-type")
    return (kind in _KINDS or content_type(headers) in _KINDS) and headers.get(b"te") == b"trailers"


class Incoming(NamedTuple):
    """What is known of a call before its caller and its message are.

    Attributes
    ----------
    trace : Trace or None
        None if there is none to follow.
    """

    path: str
    headers: Headers
    receive: Receive
    send: Send
    arrived_ns: int
    trace: Trace | None

    async def start(self) -> None:
        """Send the headers of the answer."""
        id_ = sent_id(self.headers)
        if id_ is None and self.trace is None:
            await self.send(_START)
            return
        more = [] if id_ is None else [(b"x-request-id", id_)]
        if self.trace is not None:
            more.append((b"traceparent", self.trace.header))
        await self.send({**_START, "headers": [*START_HEADERS, *more]})

    def read(self, message: bytes, *, caller: str) -> GrpcCall:
        """The call with its message, from a caller who may make it."""
        return GrpcCall(
            message=message,
            headers=self.headers,
            receive=self.receive,
            caller=caller,
            arrived_ns=self.arrived_ns,
            trace=self.trace,
        )
