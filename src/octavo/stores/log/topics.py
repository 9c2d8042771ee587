"""One topic of the log: who writes it, and who reads it."""

import fcntl
import os
import threading
from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from octavo.errors import IntegrityError, Unavailable
from octavo.stores.log import frames
from octavo.stores.log.frames import Batch
from octavo.stores.log.segments import Segment, make_folder, segment_offsets, segment_path, sync_folder

_FAR = 2**63


class TopicWriter:
    """Appends to one topic, in turns with the writers of other threads and processes."""

    def __init__(self, folder: Path, *, sync: bool, exclusive: bool, segment_bytes: int) -> None:
        self._folder = folder
        self._sync = sync
        self._exclusive = exclusive
        self._segment_bytes = segment_bytes
        self._segment: Segment | None = None
        self._certain = False
        self._failed = ""
        self._turn = threading.Lock()
        self._flush = threading.Lock()
        self._flushed = 0
        make_folder(folder, sync=sync)
        self._lock_file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if exclusive:
            self._hold_for_good()

    def append(self, payloads: Sequence[bytes]) -> int:
        parts = frames.encode(payloads)
        with self._turn:
            if self._exclusive:
                return self._append(parts, len(payloads))
            fcntl.flock(self._lock_file, fcntl.LOCK_EX)
            try:
                return self._append(parts, len(payloads))
            finally:
                fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def reach_end(self) -> None:
        """Read on to the end now, as the first append would otherwise; where others write too, it is not theirs yet."""
        if self._exclusive:
            with self._turn:
                self._catch_up()
                self._certain = True

    def flush(self, end: int) -> None:
        """Flush, unless another thread's flush, which came later, has covered it: many appends share one."""
        with self._flush:
            if self._flushed >= end:
                return
            with self._turn:
                self._check_sound()
                if self._segment is None:
                    return
                reached, descriptor = self._segment.offset, os.dup(self._segment.descriptor)
            try:
                self._force(os.fdatasync, descriptor)
                self._flushed = reached
            finally:
                os.close(descriptor)

    def close(self) -> None:
        with self._turn:
            if self._segment is not None:
                self._segment.close()
                self._segment = None
            os.close(self._lock_file)

    def _hold_for_good(self) -> None:
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock_file)
            raise Unavailable(f"{self._folder} is written by another process; stop that one first") from error

    def _append(self, parts: Sequence[bytes], count: int) -> int:
        if self._failed:
            self._check_sound()
        segment = self._segment
        if segment is None or not self._certain:
            segment = self._catch_up()
        if segment.position >= self._segment_bytes:
            segment = self._roll(segment)
        self._certain = False  # until the batch is known to be written whole
        segment.append(parts, count=count)
        self._certain = self._exclusive
        return segment.offset

    def _catch_up(self) -> Segment:
        """Go to the end of what is whole, past what other processes wrote, and leave nothing torn there."""
        segment = self._segment
        if segment is None:
            offsets = segment_offsets(self._folder)
            segment = self._open(segment_path(self._folder, offsets[-1] if offsets else 0))
        while batch := segment.batch():
            segment.pass_over(batch)
            if batch.is_seal:
                if self._sync:
                    self._force(os.fsync, segment.descriptor)  # whoever sealed it may not have been told to
                segment = self._open(segment_path(self._folder, segment.offset))
        if segment.has_more():
            if self._sync:
                segment.check_not_damaged()
            segment.cut()
        return segment

    def _roll(self, segment: Segment) -> Segment:
        segment.append(frames.encode(()), count=0)
        if self._sync:
            self._force(os.fsync, segment.descriptor)
        return self._open(segment_path(self._folder, segment.offset))

    def _open(self, path: Path) -> Segment:
        is_new = not path.exists()
        opened = Segment(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        if is_new and self._sync:
            sync_folder(self._folder)
        if self._segment is not None:
            self._segment.close()
        self._segment = opened
        return opened

    def _force(self, flush: Callable[[int], None], descriptor: int) -> None:
        """Flush a file. After a failure the kernel takes what it could not write for written: no second try is made."""
        try:
            flush(descriptor)
        except OSError as error:
            self._failed = error.strerror or "unknown"
            self._check_sound()

    def _check_sound(self) -> None:
        if self._failed:
            raise Unavailable(
                f"the disk below {self._folder} failed ({self._failed}), so that it is unknown what it holds; see to "
                "the disk, then start this process again"
            )


class TopicReader:
    """Reads one topic, mostly onwards from where it was."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._segment: Segment | None = None

    def read(self, start: int, max_bytes: int) -> list[tuple[int, bytes]]:
        if start < 0:
            self._refuse(start)
        self._seek(start)
        found: list[tuple[int, bytes]] = []
        size = 0
        while at := self._next():
            segment, batch = at
            if segment.offset + batch.count > start:
                for offset, payload in batch.payloads(segment.offset, since=start):
                    size += len(payload)
                    if found and size > max_bytes:
                        return found
                    found.append((offset, payload))
            segment.pass_over(batch)
        if not found and start != (self._segment.offset if self._segment else 0):
            self._refuse(start)
        return found

    def end(self) -> int:
        if self._segment is None:
            self._seek(_FAR)
        while at := self._next():
            segment, batch = at
            segment.pass_over(batch)
        return self._segment.offset if self._segment else 0

    def close(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _seek(self, start: int) -> None:
        """Stand at or before a payload, in its segment unless already on the way to it."""
        if self._segment is not None and self._segment.offset <= start:
            return
        offsets = segment_offsets(self._folder)
        if offsets:
            self._open(offsets[max(0, bisect_right(offsets, start) - 1)])

    def _next(self) -> tuple[Segment, Batch] | None:
        """The batch where the reader stands, and its segment; None at the end."""
        segment = self._segment
        while segment is not None:
            batch = segment.batch()
            if batch is None:
                if segment.has_more():
                    segment.check_not_damaged()
                return None
            if not batch.is_seal:
                return segment, batch
            segment = self._open(segment.offset)
        return None

    def _open(self, offset: int) -> Segment | None:
        try:
            opened = Segment(segment_path(self._folder, offset), os.O_RDONLY)
        except FileNotFoundError:
            return None
        self.close()
        self._segment = opened
        return opened

    def _refuse(self, start: int) -> NoReturn:
        end = self.end()
        raise IntegrityError(
            f"{self._folder} holds offsets 0 to {end}, and {start} was asked for: if a reader has come that far, "
            "part of the log is gone; restore it from a copy",
            end=end,
            start=start,
        )
