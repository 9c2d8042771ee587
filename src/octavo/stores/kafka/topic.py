"""A topic of the user's own, which others read: messages with keys, none twice as long as their sender lives."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from octavo.errors import Unavailable
from octavo.stores.kafka.address import KafkaAddress
from octavo.stores.kafka.client import client_library, reader_settings, settings
from octavo.stores.kafka.publishing import OVERHEAD_BYTES
from octavo.stores.topics import Message

PLACE_HEADER = "octavo-place"
_POLL_S = 0.2


class KafkaTopic:
    """A topic in Kafka; the prefix of the address is its whole name.

    What was handed over is repeated by the library, under the same numbers, for as long as it takes: the brokers keep
    one of each. Only a sender that has died, or was refused, has to look what is there.

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
        self._address, self._name = address, address.prefix
        self._kafka = client_library()
        self._asker: Any = self._kafka.Consumer(reader_settings(address, group="asker"))
        self._producer: Any = None
        self._waiting = 0
        self._ends: dict[int, int] = {}
        self._refusal: Any = None
        self._trouble = "it does not answer"

    @property
    def payload_bytes(self) -> int:
        """See `MessageTopic.payload_bytes`."""
        return self._address.payload_bytes

    def identity(self) -> str:
        """See `MessageTopic.identity`."""
        return f"{self._asked(self._asker.list_topics, self._name).cluster_id}/{self._name}"

    def ends(self) -> dict[int, int]:
        """See `MessageTopic.ends`; a topic that is absent is made, unless the address says that others do."""
        if not (partitions := self._partitions()) and self._address.create:
            self._make()
            partitions = self._partitions()
        return {partition: self._bounds(partition)[1] for partition in partitions}

    def places(self, since: Mapping[int, int], *, sender: str) -> set[str]:
        """See `MessageTopic.places`."""
        left = {}
        for partition in self._partitions():
            low, high = self._bounds(partition)
            start = since.get(partition, low)
            left[partition] = (start if low <= start <= high else low, high)  # beyond the end: it was made anew
        left = {partition: stretch for partition, stretch in left.items() if stretch[0] < stretch[1]}
        return self._read(left, sender=sender) if left else set()

    def send(self, messages: Sequence[Message]) -> None:
        """See `MessageTopic.send`."""
        producer = self._open()
        self._waiting, self._ends, self._refusal = len(messages), {}, None
        try:
            for message in messages:
                producer.produce(
                    self._name,
                    message.value,
                    key=message.key,
                    headers=[(PLACE_HEADER, message.place.encode())],
                    on_delivery=self._note,
                )
        except (self._kafka.KafkaException, BufferError) as error:
            self._give_up()
            raise self._unavailable(error.args[0]) from error

    def wait(self, timeout_s: float) -> dict[int, int] | None:
        """See `MessageTopic.wait`."""
        deadline_s = time.monotonic() + timeout_s
        while self._waiting and self._refusal is None and (left_s := deadline_s - time.monotonic()) > 0:
            self._producer.poll(min(left_s, _POLL_S))
        if self._refusal is not None:
            self._give_up()
            raise self._unavailable(self._refusal)
        return None if self._waiting else self._ends

    def trouble(self) -> str:
        """See `MessageTopic.trouble`."""
        return self._unavailable(self._trouble).message

    def close(self) -> None:
        """Disconnect; what is not acknowledged may be there or not."""
        self._give_up()
        self._asker.close()

    def _note(self, error: Any, message: Any) -> None:
        self._waiting -= 1
        if error is None:
            self._ends[message.partition()] = max(self._ends.get(message.partition(), 0), message.offset() + 1)
        elif self._refusal is None:
            self._refusal = error

    def _open(self) -> Any:
        if self._producer is None:
            self._producer = self._kafka.Producer(
                settings(
                    self._address,
                    **{
                        "enable.idempotence": True,
                        "acks": "all",
                        "linger.ms": 5,
                        "compression.type": "lz4",
                        "partitioner": "murmur2_random",  # as Java's: a key's partition is the same for all
                        "delivery.timeout.ms": 0,
                        "queue.buffering.max.messages": 0,
                        "message.max.bytes": self._address.payload_bytes + OVERHEAD_BYTES,
                        "error_cb": self._hear,
                    },
                )
            )
        return self._producer

    def _hear(self, error: Any) -> None:
        self._trouble = error.str()

    def _give_up(self) -> None:
        """Let go of what was handed over."""
        if self._producer is not None:
            self._producer.purge()
            self._producer.poll(0)
            self._producer = None
        self._waiting = 0

    def _partitions(self) -> list[int]:
        found = self._asked(self._asker.list_topics, self._name).topics[self._name]
        if found.error is not None and found.error.code() != self._kafka.KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise self._unavailable(found.error)
        return sorted(found.partitions)

    def _bounds(self, partition: int) -> tuple[int, int]:
        at = self._kafka.TopicPartition(self._name, partition)
        low, high = self._asked(self._asker.get_watermark_offsets, at)
        return low, high

    def _read(self, stretches: Mapping[int, tuple[int, int]], *, sender: str) -> set[str]:
        """The places of a sender's messages in stretches of partitions."""
        found: set[str] = set()
        left = {partition: high for partition, (_, high) in stretches.items()}
        consumer = self._kafka.Consumer(reader_settings(self._address, group="looker"))
        try:
            consumer.assign([self._kafka.TopicPartition(self._name, p, low) for p, (low, _) in stretches.items()])
            while left:
                message = self._asked(consumer.poll)
                partition = message.partition()
                reached = message.offset() if message.error() else message.offset() + 1
                if message.error() and message.error().code() != self._kafka.KafkaError._PARTITION_EOF:
                    raise self._unavailable(message.error())
                if not message.error() and (place := _place(message)).startswith(f"{sender}/"):
                    found.add(place)
                if reached >= left.get(partition, reached + 1):
                    del left[partition]
        finally:
            consumer.close()
        return found

    def _make(self) -> None:
        from confluent_kafka.admin import AdminClient
        from confluent_kafka.cimpl import NewTopic

        wanted = NewTopic(
            self._name, num_partitions=self._address.partitions, replication_factor=self._address.replicas
        )
        timeout_s = self._address.timeout_s
        made = AdminClient(settings(self._address)).create_topics([wanted], request_timeout=timeout_s)
        try:
            made[self._name].result()
        except self._kafka.KafkaException as error:
            if error.args[0].code() != self._kafka.KafkaError.TOPIC_ALREADY_EXISTS:
                raise self._unavailable(error.args[0]) from error

    def _asked(self, ask: Any, *arguments: Any) -> Any:
        """An answer of the brokers, within the address's time."""
        try:
            answer = ask(*arguments, timeout=self._address.timeout_s)
        except self._kafka.KafkaException as error:
            raise self._unavailable(error.args[0]) from error
        if answer is None:
            raise self._unavailable(f"it did not answer within {self._address.timeout_s:g} s")
        return answer

    def _unavailable(self, error: Any) -> Unavailable:
        reason = error.str() if hasattr(error, "str") else error
        return Unavailable(
            f"the topic {self._name} of the Kafka at {self._address.servers} cannot be written to now: {reason}; see "
            "that its brokers run and that this user may describe, read and write the topic"
        )


def _place(message: Any) -> str:
    for name, value in message.headers() or ():
        if name == PLACE_HEADER:
            return str(value, "utf-8", "replace")
    return ""
