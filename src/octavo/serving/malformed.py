"""What exactly is wrong with a body that is no JSON; slow and only for requests that are refused anyway."""

import json
from collections.abc import Iterator
from typing import Any, NoReturn

from octavo.errors import InvalidRequest


class _Constant:
    """NaN, Infinity or -Infinity, which Python's JSON reads although JSON has none."""

    def __init__(self, name: str) -> None:
        self.name = name


class _Members(list[tuple[str, Any]]):
    """An object as it stands, with keys that it may hold twice."""


class _Repeated(Exception):
    """A key that an object holds twice, and which of the document's objects that is, counted by where they end."""

    def __init__(self, key: str, *, place: int) -> None:
        self.key, self.place = key, place


def explain_malformed(body: bytes, error: Exception, *, wanted: str = '{"rows": [{...}, ...]}') -> InvalidRequest:
    """An error for a body that the decoder could not read, with the offending field where it can be found."""
    if not body.strip():
        return InvalidRequest("the body is empty", fix=f"send {wanted} as JSON")
    try:
        found = _offence(json.loads(body, parse_constant=_Constant, object_pairs_hook=_Members))
    except UnicodeDecodeError:
        return InvalidRequest("the body is not UTF-8", fix="encode the JSON as UTF-8")
    except (ValueError, RecursionError):
        found = None
    return found or InvalidRequest(f"the body is not JSON: {error}", fix="send valid JSON, encoded as UTF-8")


def _offence(document: Any) -> InvalidRequest | None:
    for path, value in _parts(document):
        where, field = path or "the body", path or None
        if isinstance(value, _Constant):
            return InvalidRequest(
                f"{where} is {value.name}, which JSON does not have",
                field=field,
                fix="send a finite number; leave an optional field out or send null",
            )
        if isinstance(value, str) and _has_lone_surrogate(value):
            return InvalidRequest(
                f"{where} holds half of a surrogate pair", field=field, fix="send whole Unicode characters"
            )
    return None


def duplicate_key(body: bytes) -> None:
    """Refuse a valid body in which an object holds a key twice.

    Raises
    ------
    InvalidRequest
        Naming the key and its row.
    """
    closed = 0

    def check(pairs: list[tuple[str, Any]]) -> None:
        nonlocal closed
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Repeated(key, place=closed)
            seen.add(key)
        closed += 1

    try:
        json.loads(body, object_pairs_hook=check)
    except _Repeated as repeated:
        _refuse(repeated)


def refuse_duplicates(body: bytes) -> None:
    """Refuse a valid document of any form in which an object holds a key twice.

    Raises
    ------
    InvalidRequest
        Naming the key.
    """
    try:
        json.loads(body, object_pairs_hook=_check_once)
    except _Repeated as repeated:
        raise InvalidRequest(
            f"an object holds {repeated.key!r} twice, so that it is unclear which counts",
            field=repeated.key,
            fix=f"send {repeated.key!r} once",
        ) from None


def _check_once(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise _Repeated(key, place=0)
        seen.add(key)


def _refuse(repeated: _Repeated) -> NoReturn:
    path = "rows" if repeated.key == "rows" else f"rows[{repeated.place}].{repeated.key}"
    raise InvalidRequest(
        f"{path} is given twice, so that it is unclear which counts", field=path, fix=f"send {repeated.key!r} once"
    ) from None


def _parts(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All keys and scalars in their order, each with its place; a key's is that of its object."""
    if isinstance(value, _Members):
        for key, item in value:
            yield path, key
            yield from _parts(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _parts(item, f"{path}[{place}]")
    else:
        yield path, value


def _has_lone_surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)
