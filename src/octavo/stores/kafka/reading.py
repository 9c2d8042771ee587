"""Reading one partition of Kafka, mostly onwards from where it was."""

import time
from typing import Any

from octavo.errors import Unavailable
from octavo.stores.kafka.address import KafkaAddress
from octavo.stores.kafka.client import client_library, reader_settings, translated

_READERS = "reader"


class PartitionReader:
    """A consumer that reads one partition where it is told to, and tells nobody how far it is.

    Parameters
    ----------
    address : KafkaAddress
    topic : str
        As Kafka calls it.
    partition : int
    """

    def __init__(self, address: KafkaAddress, topic: str, partition: int) -> None:
        self._address, self._topic, self._partition = address, topic, partition
        self._kafka = client_library()
        self._consumer: Any = self._kafka.Consumer(reader_settings(address, group=_READERS))
        self._position = -1
        self._held: Any = None  # a message that did not fit into the last read

    def read(self, start: int, *, until: int, max_bytes: int) -> list[tuple[int, bytes]]:
        """Messages from offset `start` to before `until`, which the partition has reached.

        Raises
        ------
        Unavailable
            If none comes in time.
        """
        with translated(self._address):
            self._stand_at(start)
            return self._messages(until, max_bytes)

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def _stand_at(self, start: int) -> None:
        if start != self._position:
            self._held, self._position = None, -1
            self._consumer.assign([self._kafka.TopicPartition(self._topic, self._partition, start)])
            self._position = start

    def _messages(self, until: int, max_bytes: int) -> list[tuple[int, bytes]]:
        found: list[tuple[int, bytes]] = []
        size, deadline_s = 0, time.monotonic() + self._address.timeout_s
        while self._position < until:
            message = self._next(until, deadline_s, is_first=not found)
            if message is None:
                break
            size += len(message.value() or b"")
            if found and size > max_bytes:
                self._held = message
                break
            found.append((message.offset(), message.value() or b""))
            self._position = message.offset() + 1
        return found

    def _next(self, until: int, deadline_s: float, *, is_first: bool) -> Any:
        """The next message; None where nothing but gaps is left."""
        while True:
            held, self._held = self._held, None
            message = held or self._consumer.poll(max(deadline_s - time.monotonic(), 0.0))
            if message is None:
                if is_first:
                    raise Unavailable(
                        f"the Kafka at {self._address} has sent nothing of {self._topic}, partition {self._partition}, "
                        f"within {self._address.timeout_s:g} s; see that its brokers run, then try again"
                    )
                return None
            error = message.error()
            if error is None:
                return message
            if error.code() != self._kafka.KafkaError._PARTITION_EOF:
                self._position = -1
                raise self._kafka.KafkaException(error)
            if message.offset() >= until:
                return None
