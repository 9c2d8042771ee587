"""The HTTP/2 server below gRPC, in the event loop of the predictor's HTTP server: one process, one thread of Python."""

import asyncio
import logging
import socket

from octavo.config import PredictorSettings
from octavo.serving.app import PredictorApp
from octavo.serving.grpc.app import GrpcApp
from octavo.serving.grpc.connections import Connections

log = logging.getLogger(__name__)

_BACKLOG = 1_024


class GrpcServer:
    """Serves a predictor over gRPC, beside its HTTP server.

    Parameters
    ----------
    app : PredictorApp
        Answers.
    settings : PredictorSettings
    listening : socket
        Bound already.
    drain_s : float
        How long calls under way may take at the end.
    """

    def __init__(
        self, app: PredictorApp, settings: PredictorSettings, *, listening: socket.socket, drain_s: float
    ) -> None:
        grpc_app = GrpcApp(app, max_bytes=settings.max_body_bytes)
        self._connections = Connections(
            grpc_app, shortcut=grpc_app.shortcut, most=settings.max_connections, most_calls=settings.max_concurrent
        )
        self._listening, self._drain_s = listening, drain_s
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listening.getsockname()[1]
        return port

    async def start(self) -> None:
        """Accept calls from now on, in the running loop."""
        self._connections.watch()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connections, sock=self._listening, backlog=_BACKLOG)

    async def stop(self) -> None:
        """Take no more calls, and wait for those under way."""
        if self._server is None:
            return
        self._server.close()
        late = await self._connections.drain(for_s=self._drain_s)
        if late:
            log.warning("calls were still under way at the end", extra={"connections": late})
