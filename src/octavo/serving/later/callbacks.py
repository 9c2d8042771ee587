"""Whom a predictor may tell of an answer, and what it says: a CloudEvent, signed as Standard Webhooks have it."""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from octavo.clock import from_micros
from octavo.config import PredictorSettings
from octavo.errors import ConfigurationError, InvalidRequest
from octavo.serving.later.jobs import Callback
from octavo.stores.urls import secret

MEDIA_TYPE = "application/cloudevents+json"
HEADER = b"callback-url"
_MOST_DATA_BYTES = 1_000_000
_LONGEST_URL = 2_000
_PLAIN = re.compile(r"[!-~]+\Z")
_PORTS = {"http": 80, "https": 443}
_WITHIN = tuple(IPv6Network(one) for one in ("::/96", "64:ff9b::/96", "64:ff9b:1::/48"))
"""Of IPv4-compatible addresses and of NAT64 (RFC 6052, RFC 8215), whose last four bytes are an address of IPv4."""

_SECRET_PREFIX = "whsec_"
_SHORTEST_KEY_BYTES = 16


class Place(NamedTuple):
    """Where a URL leads.

    Attributes
    ----------
    target : str
        Path and query, as they are sent.
    """

    scheme: str
    host: str
    port: int
    target: str


class CallbackRules:
    """Which URLs may be called.

    Parameters
    ----------
    settings : PredictorSettings

    Raises
    ------
    ConfigurationError
        If what they say of callbacks cannot be kept to.
    """

    def __init__(self, settings: PredictorSettings) -> None:
        self._prefixes = [_prefix(one) for one in settings.callbacks]
        self._private_hosts = {host.lower() for host in settings.callback_hosts}
        self._key = _key(settings.callback_secret) if settings.callbacks else b""

    def check(self, url: str) -> Place:
        """Where a URL leads that may be called.

        Raises
        ------
        InvalidRequest
            If it must not be.
        """
        place, path = _parsed(url)
        for allowed, prefix in self._prefixes:
            if place[:3] == allowed[:3] and (path == prefix or path.startswith(prefix.rstrip("/") + "/")):
                return place
        raise _refused(
            "is below none of the addresses that [predictor] callbacks allows",
            fix="have it added there, or leave it out and ask for the answer",
        )

    def check_addresses(self, place: Place, addresses: Sequence[str]) -> None:
        """Refuse a host that may be in the network of this machine, unless the settings name it.

        Raises
        ------
        InvalidRequest
        """
        private = [one for one in addresses if not _is_public(one)]
        if private and place.host not in self._private_hosts:
            raise _refused(
                f"leads to {private[0]}, which is no public address",
                fix=f"if it shall, name {place.host!r} in [predictor] callback_hosts",
            )

    def signature(self, id: str, sent_s: int, body: bytes) -> str:
        """That of Standard Webhooks: the HMAC-SHA256 of id, time and body."""
        signed = hmac.digest(self._key, b"%s.%d.%s" % (id.encode("ascii"), sent_s, body), hashlib.sha256)
        return f"v1,{base64.b64encode(signed).decode('ascii')}"


def event_of(callback: Callback, *, now_us: int) -> bytes:
    """What is said of an answer: a CloudEvent in JSON.

    Its data is the answer; one that is too large for a callback is named by ``dataref`` instead.
    """
    answer, place = callback.answer, f"/predictions/{callback.deployment}/{callback.id}"
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": callback.id,
        "source": f"/predictions/{callback.deployment}",
        "type": "octavo.predictions.answered" if answer.status == HTTPStatus.OK else "octavo.predictions.refused",
        "subject": callback.id,
        "time": from_micros(now_us).isoformat().replace("+00:00", "Z"),
        "status": answer.status,
        "datacontenttype": answer.content_type.decode("ascii"),
    }
    if len(answer.body) > _MOST_DATA_BYTES:
        event["dataref"] = place
    elif answer.content_type.endswith(b"json"):
        event["data"] = msgspec.Raw(answer.body)
    else:
        event["data_base64"] = base64.b64encode(answer.body).decode("ascii")
    return msgspec.json.encode(event)


def _parsed(url: str) -> tuple[Place, str]:
    """Where a URL leads, and its path; what two readers could read differently is refused."""
    if len(url) > _LONGEST_URL or not _PLAIN.match(url) or "\\" in url:
        raise _refused("is no address of at most 2,000 printable ASCII characters", fix="send it percent-encoded")
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise _refused("is no http or https address", fix="send one like https://example.com/hook") from None
    if not parts.hostname or "@" in parts.netloc or parts.fragment:
        raise _refused("lacks a host, or has a user or a fragment", fix="send one like https://example.com/hook")
    path = parts.path or "/"
    if any(unquote(unquote(step)) in (".", "..") or "/" in unquote(step) for step in path.split("/")):
        raise _refused("has a path that leads upwards", fix="send the path that is meant")
    return Place(parts.scheme, parts.hostname.rstrip("."), port, _target(parts)), path


def _target(parts: SplitResult) -> str:
    return f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"


def _prefix(setting: str) -> tuple[Place, str]:
    try:
        place, path = _parsed(setting)
    except InvalidRequest as error:
        raise ConfigurationError(f"[predictor] callbacks: {setting!r}: {error.message}; {error.fix}") from error
    if "?" in place.target:
        raise ConfigurationError(f"[predictor] callbacks: {setting!r} has a query; only what stands before it counts")
    return place, path


def _key(reference: str) -> bytes:
    """The key that a reference leads to, in base64 if it says so by its prefix, as Standard Webhooks have it."""
    if not reference:
        raise ConfigurationError("[predictor] callbacks need a callback_secret to sign with: env:NAME or file:PATH")
    found = secret(reference)
    try:
        key = base64.b64decode(found[len(_SECRET_PREFIX) :]) if found.startswith(_SECRET_PREFIX) else found.encode()
    except ValueError:
        key = b""
    if len(key) < _SHORTEST_KEY_BYTES:
        raise ConfigurationError(
            f"[predictor] callback_secret leads to a key of fewer than {_SHORTEST_KEY_BYTES} bytes; make one with: "
            "openssl rand -hex 32"
        )
    return key


def _is_public(address: str) -> bool:
    found = ip_address(address.partition("%")[0])
    meant = _meant(found) if isinstance(found, IPv6Address) else None
    return found.is_global and not found.is_multicast and (meant is None or meant.is_global)


def _meant(address: IPv6Address) -> IPv4Address | None:
    """The address of IPv4 that one of IPv6 stands for, by any of the ways in which it can."""
    if any(address in network for network in _WITHIN):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _refused(why: str, *, fix: str) -> InvalidRequest:
    return InvalidRequest(f"Callback-URL {why}", field="Callback-URL", fix=fix)
