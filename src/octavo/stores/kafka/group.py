"""The workers that share the partitions of some topics, as one of Kafka's consumer groups.

A member of the group reads nothing by it: all its partitions are paused. It is told which are its own, and tells how
far it has carried them on, so that Kafka's own tools show the lag. What counts is the marks in the online store.
"""

import threading
from collections.abc import Sequence
from typing import Any

from octavo.stores.kafka.address import KafkaAddress
from octavo.stores.kafka.client import client_library, settings, translated
from octavo.stores.names import check_topic
from octavo.stores.partitions import partition_name, split_partition

_SESSION_MS = 10_000
_NOTICES_PARTITIONS_MS = 2_000


class KafkaGroup:
    """A member of a consumer group.

    Parameters
    ----------
    address : KafkaAddress
    name : str
        Of the group, behind the address's prefix.
    topics : sequence of str
    """

    def __init__(self, address: KafkaAddress, *, name: str, topics: Sequence[str]) -> None:
        self._address = address
        self._kafka = client_library()
        self._prefix = f"{address.prefix}."
        self._mine: set[tuple[str, int]] = set()
        self._lock = threading.RLock()  # what is assigned is told within a poll
        self._consumer: Any = self._kafka.Consumer(
            settings(
                address,
                **{
                    "group.id": f"{self._prefix}{name}",
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                    "session.timeout.ms": _SESSION_MS,
                    "heartbeat.interval.ms": _SESSION_MS // 5,
                    "topic.metadata.refresh.interval.ms": _NOTICES_PARTITIONS_MS,
                },
            )
        )
        with translated(address):
            self._consumer.subscribe(
                [f"{self._prefix}{check_topic(topic)}" for topic in topics],
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._revoked,
            )

    def mine(self, topic: str) -> tuple[str, ...]:
        """See `ConsumerGroup.mine`; none until the group has agreed on who has which."""
        with self._lock:
            self._consumer.poll(0)
            numbers = sorted(number for name, number in self._mine if name == f"{self._prefix}{topic}")
        return tuple(partition_name(topic, number) for number in numbers)

    def applied(self, log: str, offset: int) -> None:
        """See `ConsumerGroup.applied`."""
        topic, number = split_partition(log)
        at = self._kafka.TopicPartition(f"{self._prefix}{topic}", number, offset)
        with self._lock:
            if (at.topic, at.partition) in self._mine:
                self._consumer.commit(offsets=[at], asynchronous=True)

    def close(self) -> None:
        """See `ConsumerGroup.close`."""
        with self._lock:
            self._mine.clear()
            self._consumer.close()

    def _assigned(self, consumer: Any, partitions: list[Any]) -> None:
        consumer.assign(partitions)
        consumer.pause(partitions)
        self._mine = {(at.topic, at.partition) for at in partitions}

    def _revoked(self, consumer: Any, partitions: list[Any]) -> None:
        consumer.unassign()
        self._mine -= {(at.topic, at.partition) for at in partitions}
