"""How online features lie in the online store, and which generation of a view's states is the live one.

Every (re)materialization of a view writes states under a generation of its own, beside the live one, and then makes it
live by replacing the view's pointer in one atomic step; how far the stream is applied is marked per generation. So a
reader never sees a half-built view, and a writer that still works on a replaced generation can do no harm.

    b"view\\0<view>"                         pointer: `Generation`, msgpack
    b"state\\0<view>\\0<generation><key>"     state of one entity (`octavo.features.online.state`)
    b"seen\\0<source>\\0<event id>"           place of the payload that first held the event, int64

Marks are kept per partition of the source's topic (see `octavo.stores.partitions.partition_name`).
"""

import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec

from octavo.definitions.features import FeatureView
from octavo.errors import IntegrityError
from octavo.features.online.layout import Layout, layout_of

Key = str | int | bytes
KEYS = (str, int, bytes)
"""What one entity is known by; bytes are several keys joined by `composite_key`."""

COMPOSITE = b"c"
"""What a key joined of several begins with."""

_LONGEST_KEY = 200
_REMEMBERED = 16_384
_PLACE = struct.Struct("<q")


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One build of a view's states.

    Attributes
    ----------
    id : bytes
        Eight bytes.
    source : str
        The events that feed it.
    keys : tuple of str
        Their columns with the entities' keys.
    layout : Layout
        Of every state in it.
    """

    id: bytes
    view: str
    source: str
    keys: tuple[str, ...]
    layout: Layout

    @property
    def applied_mark(self) -> str:
        """The mark with the offset up to which events of the first partition are in the states."""
        return f"applied/{self.view}/{self.id.hex()}"

    @property
    def prefix(self) -> bytes:
        """What the keys of its states start with."""
        return b"state\0" + self.view.encode() + b"\0" + self.id

    def encode(self) -> bytes:
        return msgspec.msgpack.encode(self)


def generation_of(view: FeatureView) -> Generation:
    """A new generation of a view as it is declared now."""
    return Generation(
        id=os.urandom(8),
        view=view.name,
        source=view.source.name,
        keys=view.keys,
        layout=layout_of(view.features),
    )


def pointer_key(view: str) -> bytes:
    """Where a view's live generation stands."""
    return b"view\0" + view.encode()


@lru_cache(maxsize=1024)
def decode_generation(data: bytes) -> Generation:
    """What stands under a pointer key, also of the time when a view was of one entity only.

    Raises
    ------
    IntegrityError
        If it cannot be read.
    """
    try:
        document = msgspec.msgpack.decode(data, type=dict[str, Any])
        if "key" in document:
            document["keys"] = (document.pop("key"),)
        return msgspec.convert(document, Generation)
    except msgspec.MsgspecError as error:
        raise IntegrityError(
            f"a feature view's pointer in the online store cannot be read ({error}); run: octavo materialize"
        ) from error


def entity_key(key: Key) -> bytes:
    """An entity's key as bytes: distinct for text, numbers and what `composite_key` made; a long one by its digest."""
    encoded = (
        b"s" + key.encode("utf-8", "surrogatepass")
        if isinstance(key, str)
        else b"i%d" % key
        if isinstance(key, int)
        else key
    )
    return encoded if len(encoded) <= _LONGEST_KEY else b"h" + blake2b(encoded, digest_size=32).digest()


class StateKeys(dict[object, bytes | None]):
    """The keys of a generation's states by what entities are known by; None for what is no key.

    Those of texts are remembered, since the same ones are asked for again and again, up to some number of them.

    Parameters
    ----------
    prefix : bytes
        Of the generation.
    """

    __slots__ = ("_prefix",)

    def __init__(self, prefix: bytes) -> None:
        super().__init__()
        self._prefix = prefix

    def __missing__(self, key: object) -> bytes | None:
        if not isinstance(key, KEYS):
            return None
        made = self._prefix + entity_key(key)
        if isinstance(key, str) and len(key) <= _LONGEST_KEY:  # of numbers some are equal that are no keys
            if len(self) >= _REMEMBERED:
                self.clear()
            self[key] = made
        return made


def composite_key(parts: Iterable[object]) -> bytes | None:
    """Several keys joined so that no others give the same, texts after their length; None if one is no key."""
    joined = [COMPOSITE]
    for part in parts:
        if isinstance(part, str):
            text = part.encode("utf-8", "surrogatepass")
            joined.append(b"s%d:%s" % (len(text), text))
        elif isinstance(part, int):
            joined.append(b"i%d:" % part)
        else:
            return None
    return b"".join(joined)


def seen_mark(source: str) -> str:
    """The mark with the offset up to which events of a source's first partition are in its seen-set."""
    return f"seen/{source}"


def seen_prefix(source: str) -> bytes:
    return b"seen\0" + source.encode() + b"\0"


def encode_place(place: int) -> bytes:
    return _PLACE.pack(place)
