"""The HTTP server of a predictor: its connections bounded, its requests watched, its end announced."""

import asyncio
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Protocol

import uvicorn

from octavo.config import PredictorSettings
from octavo.servers import AnnouncingServer
from octavo.serving.app import PredictorApp
from octavo.serving.connections import Connections
from octavo.serving.watchdog import Watchdog

DRAIN_S = 10
"""How long requests under way may take once the predictor has stopped listening."""


class Beside(Protocol):
    """A server in the same event loop: `octavo.serving.grpc.server.GrpcServer`."""

    @property
    def port(self) -> int:
        """Where it listens."""

    async def start(self) -> None:
        """Answer from now on."""

    async def stop(self) -> None:
        """Take nothing more, and wait for what is under way."""


class PredictorServer(AnnouncingServer):
    """Serves a predictor until it is told to stop.

    Then the predictor says that it is not ready, lingers as the settings say, stops listening, and ends within
    `DRAIN_S` seconds: requests under way are answered, and callers told to close their connections.

    Parameters
    ----------
    app : PredictorApp
    settings : PredictorSettings
    home : Path
        The project's platform folder.
    name : str
        Of the process.
    listening : socket
        Bound already.
    note_stall : callable
        Is told the digest of a model that does not come back.
    beside : Beside or None
        A server of another protocol, which starts before this one is announced and ends with it.
    """

    def __init__(
        self,
        app: PredictorApp,
        settings: PredictorSettings,
        *,
        home: Path,
        name: str,
        listening: socket.socket,
        note_stall: Callable[[str], None],
        beside: Beside | None = None,
    ) -> None:
        self._connections = Connections(most=settings.max_connections, shortcut=app.shortcut)
        super().__init__(_config(app, self._connections), home=home, name=name, listening=listening)
        self._app = app
        self._beside = beside
        self._linger_s = settings.linger_ms / 1000
        self._ends_at_s = float("inf")
        self._watchdog = Watchdog(after_s=settings.stuck_after_ms / 1000, note=note_stall)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to watch requests and connections, and to listen."""
        self._app.watch()
        self._connections.watch()
        if self._beside is not None:
            await self._beside.start()
            self.grpc_port = self._beside.port
        await super().startup(sockets)
        self._watchdog.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen no more, by any protocol, and wait for what is under way."""
        self._watchdog.stop()
        async with asyncio.TaskGroup() as ending:
            ending.create_task(super().shutdown(sockets))
            if self._beside is not None:
                ending.create_task(self._beside.stop())

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain; told a second time, linger no more."""
        if self._app.is_draining or not self._linger_s:
            super().handle_exit(sig, frame)
        else:
            self._ends_at_s = time.monotonic() + self._linger_s
        self._app.is_draining = True

    async def on_tick(self, counter: int) -> bool:
        """Stop when it has lingered long enough."""
        self._watchdog.turned()
        self.should_exit = self.should_exit or time.monotonic() >= self._ends_at_s
        return await super().on_tick(counter)


def _config(app: PredictorApp, connections: Connections) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=connections,  # type: ignore[arg-type]  # it makes protocols as their class would
        lifespan="off",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=DRAIN_S,
    )
