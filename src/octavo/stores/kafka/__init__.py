"""The event stream in Kafka, and topics for others to read."""

from octavo.stores.kafka.address import SCHEME, KafkaAddress
from octavo.stores.kafka.group import KafkaGroup
from octavo.stores.kafka.stream import KafkaStream
from octavo.stores.kafka.topic import KafkaTopic

__all__ = ["SCHEME", "KafkaAddress", "KafkaGroup", "KafkaStream", "KafkaTopic"]
