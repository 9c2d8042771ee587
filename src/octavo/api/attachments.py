"""Files that others made, answered so that a browser keeps them: never as a page, and never with our rights."""

from urllib.parse import quote

from starlette.responses import Response

_HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


def attachment(name: str, data: bytes) -> Response:
    """Bytes to be kept under a name, whatever they hold."""
    disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    return Response(
        data, media_type="application/octet-stream", headers={**_HEADERS, "Content-Disposition": disposition}
    )
