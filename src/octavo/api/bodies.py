"""Request bodies: read within limits, decoded into an operation's request, refused with the field and the fix."""

import re
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from difflib import get_close_matches
from typing import Any

import msgspec
from msgspec import inspect
from starlette.requests import ClientDisconnect, Request

from octavo.errors import InvalidRequest, LimitExceeded
from octavo.serving.malformed import explain_malformed

_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)


async def read_body(request: Request, *, max_bytes: int) -> bytes:
    """The whole body, counted while it streams in.

    Raises
    ------
    LimitExceeded
        As soon as it is longer than `max_bytes`.
    InvalidRequest
        If the caller went away before its end.
    """
    too_large = LimitExceeded(
        f"the body is larger than {max_bytes:,} bytes", fix="send fewer rows at once", max_bytes=max_bytes
    )
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > max_bytes:
        raise too_large
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                raise too_large
    except ClientDisconnect as error:
        raise InvalidRequest("the connection closed before the body was complete") from error
    return bytes(body)


def decode_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body; an empty body is an empty object.

    Raises
    ------
    InvalidRequest
        If it is no JSON, or no object.
    """
    document = decode_json(body)
    if not isinstance(document, dict):
        raise InvalidRequest("the body is not a JSON object", fix='send an object such as {"limit": 10}')
    return document


def decode_json(body: bytes) -> Any:
    """What a body of JSON holds; an empty body is an empty object.

    Raises
    ------
    InvalidRequest
        If it is no JSON.
    """
    if not body:
        return {}
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise explain_malformed(body, ValueError(str(error))) from error
    except RecursionError as error:
        raise InvalidRequest("the body is nested too deeply", fix="send flat objects") from error


def to_request(document: Mapping[str, Any], request_type: type) -> Any:
    """An operation's request from a decoded body.

    Raises
    ------
    InvalidRequest
        For an unknown or missing field, a wrong type, or a time without an offset; names the field.
    """
    refuse_unknown(document, inspect.type_info(request_type), path="")
    try:
        request: Any = msgspec.convert(document, request_type)
    except msgspec.ValidationError as error:
        raise _explained(error) from error
    for field in fields(request):
        value = getattr(request, field.name)
        if isinstance(value, datetime) and value.tzinfo is None:
            raise InvalidRequest(
                f"{field.name} is a time without an offset", field=field.name, fix="send RFC 3339: 2013-07-01T12:00:00Z"
            )
    return request


def refuse_unknown(document: object, expected: inspect.Type, *, path: str) -> None:
    """Refuse fields that the expected type does not have, however deep.

    Raises
    ------
    InvalidRequest
        Naming the field and the nearest known one.
    """
    if isinstance(expected, inspect.UnionType):
        structured = [t for t in expected.types if isinstance(t, inspect.DataclassType | inspect.StructType)]
        if len(structured) == 1:
            refuse_unknown(document, structured[0], path=path)
    elif isinstance(expected, inspect.DataclassType | inspect.StructType) and isinstance(document, dict):
        known = {field.encode_name: field.type for field in expected.fields}
        for name, value in document.items():
            here = f"{path}.{name}" if path else name
            if name not in known:
                raise InvalidRequest(f"unknown field {here}", field=here, fix=_known_names(name, list(known)))
            refuse_unknown(value, known[name], path=here)
    elif isinstance(expected, inspect.CollectionType | inspect.VarTupleType) and isinstance(document, list):
        for index, item in enumerate(document):
            refuse_unknown(item, expected.item_type, path=f"{path}[{index}]")


def _known_names(name: str, known: list[str]) -> str:
    nearest = get_close_matches(name, known, n=1)
    if nearest:
        return f"did you mean {nearest[0]}?"
    return f"there are: {', '.join(known)}" if known else "send no field: this takes none"


def _explained(error: msgspec.ValidationError) -> InvalidRequest:
    match = _PLACE.match(str(error))
    what, path = (match["what"], match["path"]) if match else (str(error), None)
    field = path.lstrip(".") if path else None
    missing = re.search(r"missing required field `([^`]+)`", what)
    if missing:
        field = f"{field}.{missing[1]}" if field else missing[1]
        return InvalidRequest(f"{field} is missing", field=field, fix=f"add the field {missing[1]}")
    return InvalidRequest(f"{field or 'the body'}: {what[:1].lower()}{what[1:]}", field=field, fix=what)
