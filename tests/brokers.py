"""Kafka brokers for tests: those that librdkafka itself is tested with, on real sockets of this process."""

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest

from octavo.stores.kafka import KafkaAddress

PRODUCER = 0


def _library() -> Any:
    [path] = (Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs").glob("librdkafka*")
    library = ctypes.CDLL(str(path))
    library.rd_kafka_conf_new.restype = ctypes.c_void_p
    library.rd_kafka_new.restype = ctypes.c_void_p
    library.rd_kafka_new.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    library.rd_kafka_destroy.argtypes = [ctypes.c_void_p]
    library.rd_kafka_mock_cluster_new.restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_new.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.rd_kafka_mock_cluster_destroy.argtypes = [ctypes.c_void_p]
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    library.rd_kafka_mock_cluster_bootstraps.argtypes = [ctypes.c_void_p]
    library.rd_kafka_mock_topic_create.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int]
    library.rd_kafka_mock_group_initial_rebalance_delay_ms.argtypes = [ctypes.c_void_p, ctypes.c_int32]
    library.rd_kafka_mock_partition_delete_records.argtypes = [
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_int32,
        ctypes.c_int64,
    ]
    for name in ("rd_kafka_mock_broker_set_down", "rd_kafka_mock_broker_set_up"):
        getattr(library, name).argtypes = [ctypes.c_void_p, ctypes.c_int32]
    return library


class Brokers:
    """A Kafka of one broker, which makes absent topics when they are written to and cannot be asked to."""

    def __init__(self) -> None:
        self._library = _library()
        self._owner = self._library.rd_kafka_new(PRODUCER, self._library.rd_kafka_conf_new(), None, 0)
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._owner, 1)
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 100)
        self.servers: str = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def address(self, prefix: str, **options: Any) -> KafkaAddress:
        """Where a project's topics are."""
        return self.address_of(self.servers, prefix, **options)

    @staticmethod
    def address_of(servers: str, prefix: str, **options: Any) -> KafkaAddress:
        """As `address`, for another process."""
        return KafkaAddress(servers=servers, prefix=prefix, create=False, **options)

    def make(self, topic: str, *, partitions: int) -> None:
        """Make a topic, under its whole name."""
        assert self._library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1) == 0

    def forget(self, topic: str, partition: int, *, before: int) -> None:
        """Drop the oldest messages, as a retention does."""
        done = self._library.rd_kafka_mock_partition_delete_records(self._cluster, topic.encode(), partition, before)
        assert done == 0

    def go_away(self) -> None:
        """Answer nobody any more."""
        self._library.rd_kafka_mock_broker_set_down(self._cluster, 1)

    def come_back(self) -> None:
        """Answer again, with all that was there."""
        self._library.rd_kafka_mock_broker_set_up(self._cluster, 1)

    def close(self) -> None:
        """End, with all that was there."""
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._owner)


@pytest.fixture
def brokers() -> Iterator[Brokers]:
    """Brokers of one's own, which may go away."""
    made = Brokers()
    yield made
    made.close()
