"""The bytes of a log: batches of payloads, each whole or not there.

A batch is a header (length of the body, checksum, number of payloads; three little-endian uint32) and a body (the
payloads' lengths as uint32, then the payloads). The checksum covers the header's other words too, so a run of zeros is
no batch. A *seal*, a batch of no payloads, ends a segment for good.
"""

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from octavo.errors import LimitExceeded

HEADER = struct.Struct("<III")
_SUMMED = struct.Struct("<II")
_LENGTH = struct.Struct("<I")
LONGEST_BATCH = 1_000_000_000
_READ_AHEAD = 262_144


@dataclass(frozen=True, slots=True)
class Batch:
    """A whole batch as found in a segment.

    Attributes
    ----------
    end : int
        Position in the file after it.
    count : int
        Number of payloads; 0 for a seal.
    body : memoryview
    """

    end: int
    count: int
    body: memoryview

    @property
    def is_seal(self) -> bool:
        """Whether it ends its segment."""
        return self.count == 0

    def payloads(self, first: int, *, since: int = 0) -> Iterator[tuple[int, bytes]]:
        """Its payloads in order with their offsets, of which `first` is that of the first; from `since` on."""
        position = 4 * self.count
        for offset, length in enumerate(struct.unpack_from(f"<{self.count}I", self.body), first):
            if offset >= since:
                yield offset, bytes(self.body[position : position + length])
            position += length


def encode(payloads: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The bytes of a batch, in two parts: all before the payloads, and these.

    Raises
    ------
    LimitExceeded
        If they are more than `LONGEST_BATCH`.
    """
    count = len(payloads)
    if count == 1:  # what a predictor appends for each request
        lengths, body = _LENGTH.pack(len(payloads[0])), payloads[0]
    else:
        lengths, body = struct.pack(f"<{count}I", *map(len, payloads)), b"".join(payloads)
    size = len(lengths) + len(body)
    if size > LONGEST_BATCH:
        raise LimitExceeded(
            f"{size:,} bytes were to be published at once", fix=f"publish at most {LONGEST_BATCH:,} bytes at once"
        )
    checksum = zlib.crc32(body, zlib.crc32(lengths, zlib.crc32(_SUMMED.pack(size, count))))
    return HEADER.pack(size, checksum, count) + lengths, body


class SegmentReader:
    """Reads the batches of one segment in order, a stretch of the file at a time.

    Parameters
    ----------
    descriptor : int
        Of the open file; stays the caller's.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._stretch = memoryview(b"")
        self._start = 0

    def batch(self, position: int) -> Batch | None:
        """The batch at a position; None where none stands whole and intact."""
        header = self._bytes(position, HEADER.size)
        if len(header) < HEADER.size:
            return None
        length, checksum, count = HEADER.unpack(header)
        if length > LONGEST_BATCH or 4 * count > length:
            return None
        body = self._bytes(position + HEADER.size, length)
        if len(body) < length or zlib.crc32(body, zlib.crc32(_SUMMED.pack(length, count))) != checksum:
            return None
        return Batch(position + HEADER.size + length, count, body)

    def claimed_end(self, position: int) -> int:
        """Where the batch at a position would end, if its header can be believed; there, if there is no header."""
        header = self._bytes(position, HEADER.size)
        return position + HEADER.size + HEADER.unpack(header)[0] if len(header) == HEADER.size else position

    def forget(self) -> None:
        """Read anew from the file, which may have changed after the last whole batch."""
        self._stretch = memoryview(b"")

    def _bytes(self, position: int, length: int) -> memoryview:
        skip = position - self._start
        if skip < 0 or skip + length > len(self._stretch):
            self._stretch = memoryview(os.pread(self._descriptor, max(length, _READ_AHEAD), position))
            self._start, skip = position, 0
        return self._stretch[skip : skip + length]
