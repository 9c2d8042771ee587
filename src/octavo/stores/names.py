"""What topics, tables, documents and artifacts may be called, so that no name ever leads out of its store."""

import hashlib
import re

from octavo.errors import InvalidRequest

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})\Z")
_TOPIC = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*\Z")
_TABLE = re.compile(r"[a-z][a-z0-9_]*(/[a-z][a-z0-9_]*)*\Z")
_DOCUMENT = re.compile(r"[a-z0-9][A-Za-z0-9_.-]*(/[a-z0-9][A-Za-z0-9_.-]*)*\Z")
_LONGEST = 200


def digest_of(data: bytes) -> str:
    """``sha256:<64 hex digits>`` of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def hex_of(digest: str) -> str:
    """The hex digits of a digest.

    Raises
    ------
    InvalidRequest
        If it is no digest.
    """
    match = _DIGEST.match(digest)
    if match is None:
        raise InvalidRequest(f"{digest[:80]!r} is no digest", fix="give sha256: and 64 lower-case hex digits")
    return match[1]


def check_topic(name: str) -> str:
    """Pass on a topic's name, such as ``events.flights``, or raise InvalidRequest."""
    return _checked(name, _TOPIC, "topic", "lower-case words with digits and underscores, joined by dots")


def check_table(name: str) -> str:
    """Pass on a table's name, such as ``events/flights``, or raise InvalidRequest."""
    return _checked(name, _TABLE, "table", "lower-case words with digits and underscores, joined by slashes")


def check_document_name(name: str) -> str:
    """Pass on a document's name, such as ``deployments/eta.json``, or raise InvalidRequest."""
    return _checked(name, _DOCUMENT, "document", "words that start with a letter or digit, joined by slashes")


def _checked(name: str, grammar: re.Pattern[str], what: str, shape: str) -> str:
    if len(name) > _LONGEST or grammar.match(name) is None:
        raise InvalidRequest(f"{name[:80]!r} cannot name a {what}", fix=f"use {shape}, at most {_LONGEST} characters")
    return name
