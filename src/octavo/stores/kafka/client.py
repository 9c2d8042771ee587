"""What all that speaks to Kafka shares: the library, its settings, its errors."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from octavo.errors import MissingExtra, Unavailable
from octavo.stores.kafka.address import KafkaAddress
from octavo.stores.urls import secret

log = logging.getLogger(__name__)

_CRITICAL = 2
"""What else goes wrong is raised where it matters, and told once."""


def client_library() -> ModuleType:
    """The client library.

    Raises
    ------
    MissingExtra
        If it is not installed.
    """
    try:
        import confluent_kafka
    except ImportError as error:
        raise MissingExtra("kafka", "a stream of events in Kafka") from error
    return confluent_kafka


def settings(address: KafkaAddress, **further: object) -> dict[str, Any]:
    """A client's settings.

    Raises
    ------
    ConfigurationError
        If the password is not where its reference says.
    """
    given: dict[str, Any] = {
        "bootstrap.servers": address.servers,
        "client.id": "octavo",
        "socket.timeout.ms": _ms(max(address.timeout_s, 1.0)),
        "socket.connection.setup.timeout.ms": _ms(max(address.timeout_s, 1.0)),
        "reconnect.backoff.max.ms": 1_000,
        "security.protocol": _protocol(address),
        "log_level": _CRITICAL,
        "logger": log,
    }
    if address.ca_file:
        given["ssl.ca.location"] = address.ca_file
    if address.user:
        given |= {
            "sasl.mechanism": address.mechanism,
            "sasl.username": address.user,
            "sasl.password": secret(address.password),
        }
    return given | further


def reader_settings(address: KafkaAddress, *, group: str) -> dict[str, Any]:
    """Settings of a client that reads where it is told to, and sees no part of what others have not committed."""
    return settings(
        address,
        **{
            "group.id": f"{address.prefix}.{group}",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 100,
            "fetch.error.backoff.ms": 50,
            "queued.max.messages.kbytes": 16_384,
        },
    )


@contextmanager
def translated(address: KafkaAddress) -> Iterator[None]:
    """Every error of the library as Unavailable."""
    try:
        yield
    except client_library().KafkaException as error:
        raise unavailable(address, error.args[0]) from error


def unavailable(address: KafkaAddress, error: object) -> Unavailable:
    """That Kafka cannot be used now, and why."""
    reason = error.str() if hasattr(error, "str") else error
    return Unavailable(
        f"the Kafka at {address} cannot be used now: {reason}; see that its brokers run and that this user may use "
        f"the topics {address.prefix}.*, then try again"
    )


def _protocol(address: KafkaAddress) -> str:
    return f"{'SASL_' if address.user else ''}{'SSL' if address.tls else 'PLAINTEXT'}"


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
