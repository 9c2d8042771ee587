"""The event stream in Kafka, shared by the processes of many machines.

A topic ``events.trips`` is the topic ``<prefix>.events.trips`` there, and its partitions are logs of their own. Who
reads says from where: how far a reader is stands beside what it made of what it read, and nowhere else.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from octavo.errors import IntegrityError
from octavo.stores.kafka.address import KafkaAddress
from octavo.stores.kafka.client import client_library, reader_settings, settings, translated
from octavo.stores.kafka.publishing import Publisher
from octavo.stores.kafka.reading import PartitionReader
from octavo.stores.names import check_topic
from octavo.stores.partitions import check_sizes, partition_names, split_partition

SPREAD = "events."
"""Topics of this kind are made with several partitions; all others are one log."""

_COUNT_KEPT_S, _ABSENCE_KEPT_S = 30.0, 0.25
_MOST_READERS = 16


class KafkaStream:
    """An event stream in Kafka.

    Parameters
    ----------
    address : KafkaAddress

    Raises
    ------
    MissingExtra
        If the client library is not installed.
    ConfigurationError
        If the password is not where its reference says.
    """

    def __init__(self, address: KafkaAddress) -> None:
        self._address = address
        self._kafka = client_library()
        self._asker: Any = self._kafka.Consumer(reader_settings(address, group="asker"))
        self._publisher = Publisher(address)
        self._readers: OrderedDict[str, PartitionReader] = OrderedDict()
        self._counts: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    @property
    def payload_bytes(self) -> int:
        """See `EventStream.payload_bytes`."""
        return self._address.payload_bytes

    def partitions(self, topic: str) -> tuple[str, ...]:
        """See `EventStream.partitions`. Partitions that are added are known within half a minute.

        Raises
        ------
        Unavailable
            If Kafka does not answer in time, as all methods here.
        """
        return partition_names(topic, max(self._count(topic), 1))

    def publish(self, log: str, payloads: Sequence[bytes]) -> int:
        """See `EventStream.publish`; a topic that is absent is made.

        Raises
        ------
        Unavailable
            If not all payloads were acknowledged in time. Some may have been appended, or be so later.
        """
        topic, partition = split_partition(log)
        check_sizes(payloads, most=self.payload_bytes)
        if not payloads:
            return self.end(log)
        self.prepare(topic)
        try:
            return self._publisher.publish(self._name(topic), partition, payloads)
        finally:
            if not self._counts.get(topic, (0, 0))[0]:
                self._counts.pop(topic, None)

    def read(self, log: str, *, start: int, max_bytes: int = 8_000_000) -> list[tuple[int, bytes]]:
        """See `EventStream.read`. What Kafka no longer keeps is passed over by a reader that begins.

        Raises
        ------
        IntegrityError
            If `start` is beyond the log's end, or Kafka no longer keeps what a reader has still to read.
        """
        low, high = self._bounds(log)
        first = low if start == 0 else start
        if not low <= first <= high:
            raise IntegrityError(
                f"{log!r} in the Kafka at {self._address} holds offsets {low} to {high}, and {start} was asked for: "
                "if a reader has come that far, the topic was made anew; if it lies before, Kafka has dropped what "
                "was not read yet, so raise the topic's retention and run: octavo materialize --force",
                start=start,
                end=high,
            )
        if first == high:
            return []
        with self._lock:
            return self._reader(log).read(first, until=high, max_bytes=max_bytes)

    def end(self, log: str) -> int:
        """See `EventStream.end`."""
        return self._bounds(log)[1]

    def topics(self) -> list[str]:
        """See `EventStream.topics`."""
        prefix = f"{self._address.prefix}."
        with translated(self._address):
            found = self._asker.list_topics(timeout=self._address.timeout_s).topics
        return sorted(name.removeprefix(prefix) for name in found if name.startswith(prefix))

    def prepare(self, topic: str) -> None:
        """Make a topic that is absent, unless others are to make it; idempotent."""
        if self._address.create and not self._count(topic):
            self._make(topic)
            self._counts.pop(topic, None)

    def close(self) -> None:
        """Disconnect."""
        self._publisher.close()
        with self._lock:
            for reader in self._readers.values():
                reader.close()
            self._readers.clear()
            self._asker.close()

    def _name(self, topic: str) -> str:
        return f"{self._address.prefix}.{check_topic(topic)}"

    def _count(self, topic: str) -> int:
        """How many partitions a topic has; 0 if it is absent."""
        count, until_s = self._counts.get(topic, (0, 0.0))
        if time.monotonic() < until_s:
            return count
        name = self._name(topic)
        with translated(self._address):
            found = self._asker.list_topics(name, timeout=self._address.timeout_s).topics[name]
            if found.error is not None and found.error.code() != self._kafka.KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise self._kafka.KafkaException(found.error)
        count = len(found.partitions)
        self._counts[topic] = count, time.monotonic() + (_COUNT_KEPT_S if count else _ABSENCE_KEPT_S)
        return count

    def _bounds(self, log: str) -> tuple[int, int]:
        """The first offset that Kafka still keeps, and the end."""
        topic, partition = split_partition(log)
        if partition >= self._count(topic):
            return 0, 0
        at = self._kafka.TopicPartition(self._name(topic), partition)
        with translated(self._address):
            bounds: tuple[int, int] = self._asker.get_watermark_offsets(at, timeout=self._address.timeout_s)
            if bounds is None:
                raise self._kafka.KafkaException(f"it did not answer within {self._address.timeout_s:g} s")
        return bounds

    def _reader(self, log: str) -> PartitionReader:
        """The reader of a log; the one that was used longest ago makes room."""
        if log not in self._readers:
            if len(self._readers) >= _MOST_READERS:
                self._readers.popitem(last=False)[1].close()
            topic, partition = split_partition(log)
            self._readers[log] = PartitionReader(self._address, self._name(topic), partition)
        self._readers.move_to_end(log)
        return self._readers[log]

    def _make(self, topic: str) -> None:
        from confluent_kafka.admin import AdminClient
        from confluent_kafka.cimpl import NewTopic

        count = self._address.partitions if topic.startswith(SPREAD) else 1
        wanted = NewTopic(self._name(topic), num_partitions=count, replication_factor=self._address.replicas)
        with translated(self._address):
            made = AdminClient(settings(self._address)).create_topics([wanted], request_timeout=self._address.timeout_s)
            try:
                made[wanted.topic].result()
            except self._kafka.KafkaException as error:
                if error.args[0].code() != self._kafka.KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
