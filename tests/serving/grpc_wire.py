"""A client of HTTP/2 in memory: as much of a transport as a server asks of one, and the calls of gRPC over it."""

import asyncio
from collections.abc import Mapping
from typing import Any

import ngh2
from tests.serving import calls
from tests.serving.http2 import call_fields

from octavo.serving.grpc.app import GrpcApp
from octavo.serving.grpc.connections import Connection, Connections

_TURNS = 40


class GrpcWire:
    """A caller's end of a connection.

    Parameters
    ----------
    over : Connections or None
        The server's, if it has some already.
    window : int
        Bytes of an answer that are taken at once.

    Attributes
    ----------
    events : list of Event
        What was heard of the server, if it is none of a call's.
    unsent : int
        Bytes that the server is to believe unsent.
    """

    def __init__(
        self,
        app: GrpcApp,
        *,
        over: Connections | None = None,
        is_short: bool = True,
        most: int = 10,
        window: int = 65_535,
    ) -> None:
        shortcut = app.shortcut if is_short else None
        self.connections = over or Connections(app, shortcut=shortcut, most=most, most_calls=50)
        self.events: list[ngh2.Event] = []
        self.answers: dict[int, tuple[dict[str, str], bytes]] = {}
        self.is_closed, self.unsent = False, 0
        self._client = ngh2.Connection(ngh2.Role.CLIENT)
        self._client.initiate_connection({ngh2.Setting.INITIAL_WINDOW_SIZE: window})
        self.server: Connection = self.connections()
        self.server.connection_made(self)  # type: ignore[arg-type]  # see above

    def begin(self, path: str, body: bytes | None, *, token: str = "", **more: str) -> int:
        """Send a call, which stays open without a body; the number of its stream."""
        number = self._client.send_request(call_fields(path, token=token, **more))
        if body is not None:
            self._client.send_data(number, body, end_stream=True)
        return number

    def go_on(self, number: int, data: bytes, *, is_last: bool = False) -> None:
        self._client.send_data(number, data, end_stream=is_last)

    def cancel(self, number: int) -> None:
        self._client.reset_stream(number)

    async def ask(self, path: str, body: bytes, **more: Any) -> tuple[dict[str, str], bytes]:
        """How a call ends."""
        number = self.begin(path, body, **more)
        await self.quiet()
        return self.answers[number]

    async def quiet(self) -> None:
        """Until everything that was begun is done: nothing here waits for anything outside of the loop."""
        for _ in range(_TURNS):
            if (data := self._client.data_to_send()) and not self.is_closed:
                self.server.data_received(data)
            await asyncio.sleep(0)

    def write(self, data: bytes) -> None:
        self._client.receive_data(data)
        for event in self._client.events():
            match event:
                case ngh2.ResponseReceived() | ngh2.TrailersReceived():
                    headers, body = self.answers.get(event.stream_id, ({}, b""))
                    told = {name.decode(): value.decode() for name, value in event.headers}
                    self.answers[event.stream_id] = headers | told, body
                case ngh2.DataReceived():
                    headers, body = self.answers[event.stream_id]
                    self.answers[event.stream_id] = headers, body + event.data
                case _:
                    self.events.append(event)

    def heard(self, kind: type[ngh2.Event]) -> bool:
        return any(isinstance(event, kind) for event in self.events)

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self.server.connection_lost(None)

    abort = close

    def write_eof(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self.is_closed

    def get_write_buffer_size(self) -> int:
        return self.unsent


def as_told(ended: tuple[Mapping[str, str], bytes]) -> tuple[int, Any]:
    """How a call has ended, but for what no two have in common."""
    headers, body = ended
    if headers[":status"] != "200":
        return int(headers[":status"]), body
    status, problem = calls.told(headers)
    if problem is not None:
        return status, {**problem, "request_id": None}
    document = calls.document(body[calls.PREFIX_BYTES :])
    return status, {**document, "outputs": [one for one in document["outputs"] if one["name"] != "id"]}
