"""The event stream as a durable log on local disk, shared by the processes of one machine.

Each topic is a folder of segments, each named by the offset of its first payload; `octavo.stores.frames` says what stands
in them. Writers take turns by a file lock; readers take none. Whoever is killed in the middle of a write leaves a torn
batch at the end of the last segment: readers do not see it, and the next writer moves it out of the way, into a file
beside the segment, before it goes on.
"""

import fcntl
import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from octavo.errors import IntegrityError, Unavailable
from octavo.stores import frames
from octavo.stores.frames import Batch, SegmentReader
from octavo.stores.names import check_topic

log = logging.getLogger(__name__)

SEGMENT_BYTES = 64_000_000


class LocalLog:
    """An event stream on local disk.

    Parameters
    ----------
    root : Path
        The folder of all topics; made at the first publication.
    sync : bool
        Whether `publish` returns only when the payloads survive a crash of the machine. Without it they survive the death
        of the process alone, and it costs microseconds.
    exclusive : bool
        Whether this process alone writes, and holds each topic's lock from its first publication until `close`.
    """

    def __init__(self, root: Path, *, sync: bool, exclusive: bool = False) -> None:
        self._root = root
        self._sync = sync
        self._exclusive = exclusive
        self._writers: dict[str, _Writer] = {}
        self._readers: dict[str, _Reader] = {}
        self._tails: dict[str, _Reader] = {}
        self._lock = threading.Lock()

    def publish(self, topic: str, payloads: Sequence[bytes]) -> int:
        """See `EventStream.publish`; what `sync` says limits the promise.

        Raises
        ------
        Unavailable
            If the disk refuses the bytes, or another process holds the topic exclusively; nothing was written.
        IntegrityError
            If bytes in the midst of the topic have changed since they were written.
        """
        writer = self._writers.get(topic) or self._writer(topic)
        return writer.publish(payloads) if payloads else self.end(topic)

    def read(self, topic: str, *, start: int, max_bytes: int = 8_000_000) -> list[tuple[int, bytes]]:
        """See `EventStream.read`.

        Raises
        ------
        IntegrityError
            If `start` is beyond the topic's end, or bytes before the end have changed since they were written.
        """
        with self._lock:
            reader = self._readers.get(topic) or self._readers.setdefault(topic, _Reader(self._folder(topic)))
            return reader.read(start, max_bytes)

    def end(self, topic: str) -> int:
        with self._lock:
            tail = self._tails.get(topic) or self._tails.setdefault(topic, _Reader(self._folder(topic)))
            return tail.seek_end()

    def topics(self) -> list[str]:
        if not self._root.is_dir():
            return []
        return sorted(folder.name for folder in self._root.iterdir() if _segments(folder))

    def close(self) -> None:
        with self._lock:
            for part in (*self._writers.values(), *self._readers.values(), *self._tails.values()):
                part.close()
            self._writers, self._readers, self._tails = {}, {}, {}

    def _folder(self, topic: str) -> Path:
        return self._root / check_topic(topic)

    def _writer(self, topic: str) -> "_Writer":
        with self._lock:
            if topic not in self._writers:
                self._writers[topic] = _Writer(self._folder(topic), sync=self._sync, exclusive=self._exclusive)
            return self._writers[topic]


class _Segment:
    """An open segment and how far it is known to be whole."""

    def __init__(self, path: Path, flags: int) -> None:
        self.path = path
        self.descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
        self.reader = SegmentReader(self.descriptor)
        self.position = 0
        self.offset = int(path.stem)

    def batch(self) -> Batch | None:
        """The next batch, if it is whole; stays where it is."""
        if os.fstat(self.descriptor).st_size <= self.position:
            return None
        found = self.reader.batch(self.position)
        if found is None:
            self.reader.forget()
            found = self.reader.batch(self.position)
        return found

    def pass_over(self, batch: Batch) -> None:
        self.position = batch.end
        self.offset += batch.count

    def is_damaged(self) -> bool:
        """Whether the batch here is broken although a whole one follows it: then it was whole once."""
        self.reader.forget()
        beyond = self.reader.claimed_end(self.position)
        return beyond > self.position and self.reader.batch(beyond) is not None

    def close(self) -> None:
        os.close(self.descriptor)


class _Writer:
    """Appends to one topic, in turns with the writers of other processes."""

    def __init__(self, folder: Path, *, sync: bool, exclusive: bool) -> None:
        self._folder = folder
        self._sync = sync
        self._exclusive = exclusive
        self._turn = threading.Lock()
        self._flush = threading.Lock()
        self._flushed = 0
        _make_folder(folder, sync=sync)
        self._lock_file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._segment: _Segment | None = None
        if exclusive:
            self._hold_for_good()

    def publish(self, payloads: Sequence[bytes]) -> int:
        data = frames.encode(payloads)
        with self._turn:
            if self._exclusive:
                end = self._append(data, len(payloads))
            else:
                fcntl.flock(self._lock_file, fcntl.LOCK_EX)
                try:
                    end = self._append(data, len(payloads))
                finally:
                    fcntl.flock(self._lock_file, fcntl.LOCK_UN)
            descriptor = os.dup(self._segment.descriptor) if self._sync and self._segment else -1
        if self._sync:
            self._make_durable(descriptor, end)
        return end

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

    def _append(self, data: bytes, count: int) -> int:
        segment = self._segment
        if segment is None or not self._exclusive:
            segment = self._catch_up(segment)
        if segment.position >= SEGMENT_BYTES:
            segment = self._roll(segment)
        _write(segment, data)
        segment.position += len(data)
        segment.offset += count
        return segment.offset

    def _catch_up(self, segment: _Segment | None) -> _Segment:
        """Go to the end of what is whole, past what other processes wrote, and leave nothing torn behind it."""
        if segment is None:
            segment = self._open(_last_segment(self._folder) or _segment_path(self._folder, 0))
        while batch := segment.batch():
            segment.pass_over(batch)
            if batch.count == 0:
                segment = self._follow(segment)
        if os.fstat(segment.descriptor).st_size > segment.position:
            if self._sync and segment.is_damaged():
                raise _damaged(segment)
            _cut(segment)
        return segment

    def _roll(self, segment: _Segment) -> _Segment:
        _write(segment, frames.encode(()))
        if self._sync:
            os.fsync(segment.descriptor)
        return self._follow(segment)

    def _follow(self, segment: _Segment) -> _Segment:
        segment.close()
        return self._open(_segment_path(self._folder, segment.offset))

    def _open(self, path: Path) -> _Segment:
        self._segment = None
        is_new = not path.exists()
        self._segment = _Segment(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        if is_new and self._sync:
            _sync_folder(self._folder)
        return self._segment

    def _make_durable(self, descriptor: int, end: int) -> None:
        """Flush the segment unless a writer who came later has done so already: many writers share one flush."""
        try:
            with self._flush:
                if self._flushed < end:
                    reached = self._segment.offset if self._segment else end
                    os.fdatasync(descriptor)
                    self._flushed = max(end, reached)
        finally:
            os.close(descriptor)
