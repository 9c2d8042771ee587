"""The HTTP/2 server below gRPC, in the event loop of the predictor's HTTP server: one process, one thread of Python."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from h2corn import Config, RequestPolicy, Server

from octavo.config import PredictorSettings
from octavo.serving.app import PredictorApp
from octavo.serving.grpc.app import GrpcApp
from octavo.serving.limits import READ_TIMEOUT_S

log = logging.getLogger(__name__)

_PREFIX_BYTES = 5
_WINDOW_BYTES = 1_048_576
_BACKLOG = 1_024
_MOST_HEADER_BYTES = 16_384
_IDLE_S, _STALLED_S = 300.0, 20.0


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
        listening.listen(_BACKLOG)  # h2corn adopts what listens already
        self._listening = listening
        self._server = Server(grpc_app, _config(settings, listening, drain_s=drain_s))
        self._serving: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listening.getsockname()[1]
        return port

    async def start(self) -> None:
        """Accept calls from now on, in the running loop."""
        self._serving = asyncio.create_task(self._server.serve())
        with _in_the_background():
            await self._server.wait_started()

    async def stop(self) -> None:
        """Take no more calls, and wait for those under way."""
        if self._serving is None:
            return
        self._server.shutdown()
        try:
            await self._serving
        except RuntimeError as error:  # of h2corn: calls outlived their time
            log.warning("calls were still under way at the end", extra={"reason": str(error)})


def _config(settings: PredictorSettings, listening: socket.socket, *, drain_s: float) -> Config:
    body = RequestPolicy(
        path="/*",
        max_request_body_size=_PREFIX_BYTES + settings.max_body_bytes + _WINDOW_BYTES,  # the application is more exact
        timeout_request_body_idle=READ_TIMEOUT_S,
        h2_timeout_response_stall=_STALLED_S,
    )
    return Config(
        bind=(f"fd://{listening.fileno()}",),
        http1=False,
        grpc=True,
        lifespan="off",
        access_log=False,
        server_header="off",
        date_header=False,
        runtime_threads=1,
        request_policies=(body,),
        max_concurrent_streams=settings.max_concurrent,
        limit_connections=settings.max_connections,
        limit_request_fields=64,
        h2_max_header_list_size=_MOST_HEADER_BYTES,
        h2_max_header_block_size=_MOST_HEADER_BYTES,
        h2_initial_stream_window_size=_WINDOW_BYTES,
        h2_initial_connection_window_size=_WINDOW_BYTES,
        h2_timeout_write=_STALLED_S,
        timeout_keep_alive=_IDLE_S,
        timeout_graceful_shutdown=drain_s,
    )


@contextmanager
def _in_the_background() -> Iterator[None]:
    """Have threads that are started meanwhile take over the processor only when others pause.

    The server's thread reads frames. Where it shares a core with the predictor, Linux would wake it in the middle of a
    prediction at every frame, which costs more than the prediction; the policy for batches spares that, and takes
    nothing of its share.
    """
    if sys.platform != "linux":
        yield
        return
    before = os.sched_getscheduler(0)
    with suppress(OSError):  # where it is forbidden it is slower, and right
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setscheduler(0, before, os.sched_param(0))
