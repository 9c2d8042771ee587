"""How the provider is asked: no redirect is followed, answers are bounded, and nothing crosses a network in clear."""

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from octavo.errors import ConfigurationError, Unavailable
from octavo.servers import is_loopback

TIMEOUT_S = 5.0
_MOST_BYTES = 1_000_000


def fetch_json(url: str, *, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None) -> Any:
    """The JSON object at an address, by GET, or by POST of a form.

    Raises
    ------
    ConfigurationError
        If it would cross a network in the clear.
    Unavailable
        If there is no answer in time, or not one of JSON.
    """
    check_address(url)
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    sent = dict(headers or {}) | {"Accept": "application/json"}
    body = None
    if form is not None:
        body = urlencode(form).encode()
        sent["Content-Type"] = "application/x-www-form-urlencoded"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("GET" if form is None else "POST", path, body=body, headers=sent)
        answer = connection.getresponse()
        data = answer.read(_MOST_BYTES + 1)
        status = answer.status
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"the provider at {parts.netloc} does not answer: {error}") from error
    finally:
        connection.close()
    # What it says stays unsaid: it is another's text, and may hold what was sent.
    if status != http.HTTPStatus.OK or len(data) > _MOST_BYTES:
        raise Unavailable(f"the provider at {parts.netloc} answered {status} at {parts.path}")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unavailable(f"the provider at {parts.netloc} answered no JSON at {parts.path}") from error
    if not isinstance(document, dict):
        raise Unavailable(f"the provider at {parts.netloc} answered no JSON object at {parts.path}")
    return document


def check_address(url: str) -> None:
    """Refuse an address that tokens would reach in the clear; raises `ConfigurationError`."""
    try:
        parts = urlsplit(url)
        host, is_plain = parts.hostname or "", parts.scheme == "http"
    except ValueError:
        host, is_plain, parts = "", False, urlsplit("")
    if not host or parts.username or not (parts.scheme == "https" or (is_plain and is_loopback(host))):
        raise ConfigurationError(f"[oidc] {url[:200]!r} is no https address; logins cross the network only by HTTPS")
