"""The event stream as a durable log on local disk, shared by the processes of one machine.

Each topic is a folder of segments; `octavo.stores.log.frames` says what stands in them. Writers take turns by a file
lock, readers take none. Whoever is killed in the middle of a write leaves a torn batch at the end of the last segment:
readers do not see it, and the next writer moves it aside before it goes on.
"""

import threading
from collections.abc import Sequence
from pathlib import Path

from octavo.stores.log.frames import LONGEST_BATCH
from octavo.stores.log.segments import segment_offsets
from octavo.stores.log.topics import TopicReader, TopicWriter
from octavo.stores.names import check_topic

SEGMENT_BYTES = 64_000_000


class LocalLog:
    """An event stream on local disk.

    Parameters
    ----------
    root : Path
        The folder of all topics; made at the first publication.
    sync : bool
        Whether `publish` returns only when the payloads survive a crash of the machine. Without it they survive the
        death of the process alone, and it costs microseconds. Whoever cannot wait in place opens a log with it, calls
        `append`, and has `flush` called elsewhere.
    exclusive : bool
        Whether this process alone writes, and holds each topic's lock from its first publication until `close`.
    segment_bytes : int
        A segment that has grown to this size is ended, and a new one begun.
    """

    def __init__(self, root: Path, *, sync: bool, exclusive: bool = False, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._root = root
        self._sync = sync
        self._exclusive = exclusive
        self._segment_bytes = segment_bytes
        self._writers: dict[str, TopicWriter] = {}
        self._readers: dict[str, TopicReader] = {}
        self._tails: dict[str, TopicReader] = {}
        self._lock = threading.Lock()

    @property
    def payload_bytes(self) -> int:
        """See `EventStream.payload_bytes`."""
        return LONGEST_BATCH // 2

    def partitions(self, topic: str) -> tuple[str, ...]:
        """See `EventStream.partitions`: a topic on a local disk is one log."""
        return (check_topic(topic),)

    def publish(self, log: str, payloads: Sequence[bytes]) -> int:
        """See `EventStream.publish`; what `sync` says limits the promise.

        Raises
        ------
        Unavailable
            If the disk refuses the bytes, or another process holds the topic exclusively; nothing was written.
        IntegrityError
            If bytes in the midst of a synced topic have changed since they were written.
        """
        if not payloads:
            return self.end(log)
        end = (self._writers.get(log) or self._writer(log)).append(payloads)
        if self._sync:
            self.flush(log, end)
        return end

    def append(self, log: str, payloads: Sequence[bytes]) -> int:
        """As `publish`, but the payloads survive the death of the process alone until a `flush`.

        With `sync` it waits for the disk only once in `segment_bytes`, when a segment ends.
        """
        return (self._writers.get(log) or self._writer(log)).append(payloads) if payloads else self.end(log)

    def hold(self, log: str) -> None:
        """Take a topic that is written exclusively, and read on to its end, so that no publication has to.

        Raises
        ------
        Unavailable, IntegrityError
            As `publish`.
        """
        (self._writers.get(log) or self._writer(log)).reach_end()

    def flush(self, log: str, end: int) -> None:
        """Make what this process has appended up to an offset survive a crash of the machine.

        Calls from several threads share a flush where one covers them all.

        Raises
        ------
        Unavailable
            If the disk fails. What it has kept is then unknown, so that this process can write the topic no more.
        """
        writer = self._writers.get(log)
        if writer is not None:
            writer.flush(end)

    def read(self, log: str, *, start: int, max_bytes: int = 8_000_000) -> list[tuple[int, bytes]]:
        """See `EventStream.read`.

        Raises
        ------
        IntegrityError
            If `start` is beyond the topic's end, or bytes before the end have changed since they were written.
        """
        with self._lock:
            reader = self._readers.get(log) or self._readers.setdefault(log, TopicReader(self._folder(log)))
            return reader.read(start, max_bytes)

    def end(self, log: str) -> int:
        """See `EventStream.end`."""
        with self._lock:
            tail = self._tails.get(log) or self._tails.setdefault(log, TopicReader(self._folder(log)))
            return tail.end()

    def topics(self) -> list[str]:
        """See `EventStream.topics`."""
        if not self._root.is_dir():
            return []
        return sorted(folder.name for folder in self._root.iterdir() if segment_offsets(folder))

    def close(self) -> None:
        """Release files and locks."""
        with self._lock:
            for writer in self._writers.values():
                writer.close()
            for reader in (*self._readers.values(), *self._tails.values()):
                reader.close()
            self._writers, self._readers, self._tails = {}, {}, {}

    def _folder(self, topic: str) -> Path:
        return self._root / check_topic(topic)

    def _writer(self, topic: str) -> TopicWriter:
        with self._lock:
            if topic not in self._writers:
                self._writers[topic] = TopicWriter(
                    self._folder(topic),
                    sync=self._sync,
                    exclusive=self._exclusive,
                    segment_bytes=self._segment_bytes,
                )
            return self._writers[topic]
