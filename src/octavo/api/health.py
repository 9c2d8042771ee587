"""Whether the control process lives, is ready, and what it counts."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from octavo.api.endpoints import PUBLIC, Endpoint, Identify
from octavo.api.metrics import RequestMetrics
from octavo.api.unpublished import render_unpublished
from octavo.errors import Unavailable
from octavo.operations import Context


def health_endpoints(context: Context, metrics: RequestMetrics, *, identify: Identify) -> list[Endpoint]:
    """``GET /livez``, ``/readyz`` and ``/metrics``."""

    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        try:
            await run_in_threadpool(_touch_metadata, context)
        except Unavailable as error:
            return PlainTextResponse(f"not ready: {error.message}\n", 503)
        return PlainTextResponse("ok\n")

    async def render(_: Request) -> Response:
        waiting = await run_in_threadpool(render_unpublished, context.config, context.clock)
        return Response(metrics.render() + waiting, media_type="text/plain; version=0.0.4")

    return [
        Endpoint(method="GET", path="/livez", permission=PUBLIC, handle=livez, identify=identify),
        Endpoint(method="GET", path="/readyz", permission=PUBLIC, handle=readyz, identify=identify),
        Endpoint(method="GET", path="/metrics", permission="metrics:read", handle=render, identify=identify),
    ]


def _touch_metadata(context: Context) -> None:
    with context.stores.metadata.transaction() as tx:
        tx.audit(limit=1)
