"""JSON as PostgreSQL can hold it: text with what it refuses, NUL and halves of characters, written otherwise."""

import json
import re
from typing import Any

_MARK = "\U0010ffff"
_MARKED = json.dumps(_MARK)[1:-1]
_REFUSED = re.compile(f"[\x00\ud800-\udfff{_MARK}]")
_SUSPECT = re.compile(r"\\u(0000|d[89a-f])")
_WRITTEN = re.compile(f"{_MARK}([0-9a-f]{{4}})")
_MARK_ITSELF = "ffff"


def dump(value: object) -> str:
    """Write a plain value as JSON, which `load` reads as the same."""
    text = json.dumps(value)
    return json.dumps(_each(value, _escape)) if _SUSPECT.search(text) else text


def load(text: str | bytes) -> Any:
    """Read what `dump` wrote."""
    written = text.decode() if isinstance(text, bytes) else text
    value = json.loads(written)
    return _each(value, _unescape) if _MARKED in written or _MARK in written else value


def _each(value: object, change: Any) -> object:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(key): _each(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_each(item, change) for item in value]
    return value


def _escape(text: str) -> str:
    return _REFUSED.sub(lambda m: _MARK + (_MARK_ITSELF if m[0] == _MARK else f"{ord(m[0]):04x}"), text)


def _unescape(text: str) -> str:
    return _WRITTEN.sub(lambda m: _MARK if m[1] == _MARK_ITSELF else chr(int(m[1], 16)), text)
