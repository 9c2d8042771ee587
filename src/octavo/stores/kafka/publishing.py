"""Publishing to Kafka: acknowledged by all replicas, or an error within a bounded time."""

import threading
from collections.abc import Sequence
from typing import Any

from octavo.errors import OctavoError, Unavailable
from octavo.stores.kafka.address import KafkaAddress
from octavo.stores.kafka.client import client_library, settings, unavailable

OVERHEAD_BYTES = 40_000
"""What Kafka adds to a message, generously."""


class Publisher:
    """A producer that numbers what it sends, so that its own repetitions count once; shared by threads."""

    def __init__(self, address: KafkaAddress) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._producer: Any = None
        self._closed = threading.Event()

    def publish(self, topic: str, partition: int, payloads: Sequence[bytes]) -> int:
        """Send payloads in order; the offset after the last, once all are acknowledged.

        Raises
        ------
        Unavailable
            If not all are within the address's time; some may be there.
        """
        producer = self._open()
        deliveries = _Deliveries(self._address, len(payloads))
        try:
            for payload in payloads:
                producer.produce(topic, payload, partition=partition, on_delivery=deliveries.note)
            return deliveries.wait()
        except client_library().KafkaException as error:
            raise self._failed(error.args[0]) from error
        except BufferError as error:
            raise self._failed("too much waits to be sent already") from error

    def close(self) -> None:
        """Stop; nothing is under way any more."""
        self._closed.set()
        with self._lock:
            self._producer = None

    def _open(self) -> Any:
        with self._lock:
            if self._producer is None:
                timeout_ms = round(self._address.timeout_s * 1000)
                self._producer = client_library().Producer(
                    settings(
                        self._address,
                        **{
                            "enable.idempotence": True,
                            "acks": "all",
                            "linger.ms": 0,
                            "compression.type": "lz4",
                            "delivery.timeout.ms": timeout_ms,
                            "message.max.bytes": self._address.payload_bytes + OVERHEAD_BYTES,
                        },
                    )
                )
                threading.Thread(target=self._serve, args=(self._producer,), name="kafka", daemon=True).start()
            return self._producer

    def _serve(self, producer: Any) -> None:
        """Take in acknowledgements, for whichever thread waits for them, as long as this is the producer."""
        while not self._closed.is_set() and producer is self._producer:
            producer.poll(0.1)

    def _failed(self, error: Any) -> OctavoError:
        if getattr(error, "fatal", bool)():
            with self._lock:
                self._producer = None  # the library gives up on it for good; the next publication makes another
        return unavailable(self._address, error)


class _Deliveries:
    """The acknowledgements of one publication."""

    def __init__(self, address: KafkaAddress, count: int) -> None:
        self._address = address
        self._missing = count
        self._end = 0
        self._error: Any = None
        self._all = threading.Event()

    def note(self, error: Any, message: Any) -> None:
        if error is None:
            self._end = max(self._end, message.offset() + 1)
        else:
            self._error = error
        self._missing -= 1
        if not self._missing:
            self._all.set()

    def wait(self) -> int:
        if not self._all.wait(self._address.timeout_s * 1.5 + 1.0):
            raise Unavailable(f"the Kafka at {self._address} has not acknowledged what was sent to it; send it again")
        if self._error is not None:
            raise client_library().KafkaException(self._error)
        return self._end
