"""The event stream in Kafka."""

from octavo.stores.kafka.address import SCHEME, KafkaAddress
from octavo.stores.kafka.group import KafkaGroup
from octavo.stores.kafka.stream import KafkaStream

__all__ = ["SCHEME", "KafkaAddress", "KafkaGroup", "KafkaStream"]
