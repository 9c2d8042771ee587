"""JSON whose form an outside protocol prescribes: decoded strictly, and refused in the words of every other door."""

import re
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET

from octavo.errors import InvalidRequest
from octavo.serving.malformed import explain_malformed, refuse_duplicates
from octavo.serving.requests import has_more_keys

Scalar = str | int | float | bool | None

_PLACE = re.compile(r" - at `\$\.?([^`]*)`\Z")
T = TypeVar("T", bound=msgspec.Struct)


class DocumentDecoder(Generic[T]):
    """Decodes one kind of document.

    Parameters
    ----------
    kind : type
        A struct whose optional fields are UNSET where they are left out.
    wanted : str
        What the document looks like, for who sends something else.
    """

    def __init__(self, kind: type[T], *, wanted: str) -> None:
        self._decode = msgspec.json.Decoder(kind).decode
        self._wanted = wanted

    def decode(self, body: bytes) -> T:
        """The document.

        Raises
        ------
        InvalidRequest
            If the body is no JSON, holds a key twice, or is of another form.
        """
        try:
            document = self._decode(body)
        except msgspec.ValidationError as error:
            raise self._explain(str(error)) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise explain_malformed(body, error, wanted=self._wanted) from error
        if has_more_keys(body, _count_keys(document)):
            refuse_duplicates(body)
        return document

    def _explain(self, message: str) -> InvalidRequest:
        found = _PLACE.search(message)
        path = found[1] if found else ""
        what = (message[: found.start()] if found else message).replace("`", "'")[:200]
        sentence = f"{path or 'the body'}: {what[:1].lower()}{what[1:]}"
        return InvalidRequest(sentence, field=path or None, fix=f"send {self._wanted}")


def _count_keys(value: Any) -> int:
    if isinstance(value, msgspec.Struct):
        given = [item for name in value.__struct_fields__ if (item := getattr(value, name)) is not UNSET]
        return len(given) + sum(map(_count_keys, given))
    if isinstance(value, dict):
        return len(value) + sum(map(_count_keys, value.values()))
    if isinstance(value, list) and value and isinstance(value[0], msgspec.Struct | dict):
        return sum(map(_count_keys, value))
    return 0
