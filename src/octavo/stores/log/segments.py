"""The files of a log's topic: segments, each named by the offset of its first payload."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from octavo.errors import IntegrityError, Unavailable
from octavo.stores.log.frames import Batch, SegmentReader

log = logging.getLogger(__name__)

_SUFFIX = ".log"


class Segment:
    """An open segment, and how far into it its holder has come.

    Parameters
    ----------
    path : Path
    flags : int
        As for `os.open`.

    Attributes
    ----------
    position : int
        In the file; always between two batches.
    offset : int
        Of the payload that stands, or will stand, at the position.
    """

    def __init__(self, path: Path, flags: int) -> None:
        self.path = path
        self.descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
        self.position = 0
        self.offset = int(path.stem)
        self._reader = SegmentReader(self.descriptor)

    def batch(self) -> Batch | None:
        """The batch at the position; None if none stands there whole."""
        if not self.has_more():
            return None
        found = self._reader.batch(self.position)
        if found is None:
            self._reader.forget()
            found = self._reader.batch(self.position)
        return found

    def has_more(self) -> bool:
        """Whether any bytes, whole or torn, stand beyond the position."""
        return os.fstat(self.descriptor).st_size > self.position

    def pass_over(self, batch: Batch) -> None:
        """Move behind the batch at the position."""
        self.position = batch.end
        self.offset += batch.count

    def check_not_damaged(self) -> None:
        """Tell a torn batch, which nothing follows, from one that was whole and has changed since.

        Raises
        ------
        IntegrityError
            If the batch at the position is broken although a whole one follows it.
        """
        self._reader.forget()
        beyond = self._reader.claimed_end(self.position)
        if beyond > self.position and self._reader.batch(beyond) is not None and self.batch() is None:
            raise IntegrityError(
                f"{self.path} has changed since it was written, at byte {self.position}; restore it from a copy",
                file=self.path.name,
                position=self.position,
            )

    def append(self, parts: Sequence[bytes], *, count: int) -> None:
        """Write one batch of `count` payloads at the position, which is the end; all of it or nothing.

        Raises
        ------
        Unavailable
            If the disk refuses it.
        """
        size = sum(map(len, parts))
        try:
            written = os.writev(self.descriptor, parts)
            while written < size:
                written += os.write(self.descriptor, b"".join(parts)[written:])
        except OSError as error:
            os.ftruncate(self.descriptor, self.position)
            raise Unavailable(f"{self.path} cannot take {size:,} bytes: {error.strerror}") from error
        self.position += size
        self.offset += count

    def cut(self) -> None:
        """Move what stands beyond the position, torn by the death of its writer, into a file beside the segment."""
        torn = os.pread(self.descriptor, os.fstat(self.descriptor).st_size - self.position, self.position)
        aside = self.path.with_name(f"{self.path.stem}-{self.position}.torn")
        aside.write_bytes(torn)
        os.ftruncate(self.descriptor, self.position)
        log.warning(
            "log writer had died in the middle of a write",
            extra={"segment": str(self.path), "torn_bytes": len(torn), "kept_in": aside.name},
        )

    def close(self) -> None:
        os.close(self.descriptor)


def segment_path(folder: Path, offset: int) -> Path:
    """Where the segment that begins with a payload stands."""
    return folder / f"{offset:020d}{_SUFFIX}"


def segment_offsets(folder: Path) -> list[int]:
    """The offsets at which a topic's segments begin, rising; empty for an absent topic."""
    try:
        names = os.listdir(folder)  # noqa: PTH208  names are all that is needed, a thousand times a second
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(int(name.removesuffix(_SUFFIX)) for name in names if name.endswith(_SUFFIX))


def make_folder(folder: Path, *, sync: bool) -> None:
    """Make a topic's folder and all above it, if need be so that they survive a crash of the machine."""
    absent = [folder] if not folder.exists() else []
    while absent and not absent[-1].parent.exists():
        absent.append(absent[-1].parent)
    folder.mkdir(parents=True, exist_ok=True)
    if sync:
        for made in absent:
            sync_folder(made.parent)


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder survive a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
