"""How online features lie in the online store, and which generation of a view's states is the live one.

Every (re)materialization of a view writes states under a generation of its own, beside the live one, and then makes it
live by replacing the view's pointer in one atomic step; how far the stream is applied is marked per generation. So a
reader never sees a half-built view, and a writer that still works on a replaced generation can do no harm.

    b"view\\0<view>"                         pointer: `Generation`, msgpack
    b"state\\0<view>\\0<generation><key>"     state of one entity (`octavo.features.state`)
    b"seen\\0<source>\\0<event id>"           stream offset of the payload that first held the event, int64
"""

import os
import struct
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import msgspec

from octavo.definitions.features import FeatureView
from octavo.errors import IntegrityError
from octavo.features.layout import Layout, layout_of

_LONGEST_KEY = 200
_OFFSET = struct.Struct("<q")


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One build of a view's states.

    Attributes
    ----------
    id : bytes
        Eight bytes.
    source, key : str
        The events that feed it, and their column with the entity's key.
    layout : Layout
        Of every state in it.
    """

    id: bytes
    view: str
    source: str
    key: str
    layout: Layout

    @property
    def applied_mark(self) -> str:
        """The mark with the stream offset up to which events are in the states."""
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
        key=view.key,
        layout=layout_of(view.features),
    )


_generation_decoder = msgspec.msgpack.Decoder(Generation)


def pointer_key(view: str) -> bytes:
    """Where a view's live generation stands."""
    return b"view\0" + view.encode()


@lru_cache(maxsize=1024)
def decode_generation(data: bytes) -> Generation:
    """What stands under a pointer key.

    Raises
    ------
    IntegrityError
        If it cannot be read.
    """
    try:
        return _generation_decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise IntegrityError(
            f"a feature view's pointer in the online store cannot be read ({error}); run: octavo materialize"
        ) from error


def entity_key(key: str | int) -> bytes:
    """An entity's key as bytes: distinct for text and numbers; a long one by its digest."""
    encoded = b"i%d" % key if isinstance(key, int) else b"s" + key.encode("utf-8", "surrogatepass")
    return encoded if len(encoded) <= _LONGEST_KEY else b"h" + blake2b(encoded, digest_size=32).digest()


def seen_mark(source: str) -> str:
    """The mark with the stream offset up to which the events of a source are in its seen-set."""
    return f"seen/{source}"


def seen_prefix(source: str) -> bytes:
    return b"seen\0" + source.encode() + b"\0"


def encode_offset(offset: int) -> bytes:
    return _OFFSET.pack(offset)
