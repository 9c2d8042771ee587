"""The partitions of a topic: each is a log of its own, in the order of a stream's `EventStream.partitions`.

The first has the name of its topic, so a topic of one partition is simply a log; the third is ``events.trips@2``.
"""

from collections.abc import Sequence

from octavo.errors import InvalidRequest, LimitExceeded
from octavo.stores.names import check_topic
from octavo.stores.ports import EventStream


def partition_names(topic: str, count: int) -> tuple[str, ...]:
    """The names of a topic's partitions."""
    return tuple(partition_name(topic, number) for number in range(count))


def partition_name(name: str, number: int) -> str:
    """The name of what belongs to one partition: its log, a mark, a table's writer."""
    return f"{name}@{number}" if number else name


def split_partition(log: str) -> tuple[str, int]:
    """The topic and number that a log's name consists of.

    Raises
    ------
    InvalidRequest
        If it is no name of a log.
    """
    topic, at, number = log.partition("@")
    if at and not (number.isdecimal() and number[0] != "0"):
        raise InvalidRequest(f"{log[:80]!r} cannot name a partition", fix="use a topic, or topic@1, topic@2 and so on")
    return check_topic(topic), int(number or 0)


def check_sizes(payloads: Sequence[bytes], *, most: int) -> None:
    """Refuse payloads of which one is too large.

    Raises
    ------
    LimitExceeded
    """
    largest = max(map(len, payloads), default=0)
    if largest > most:
        raise LimitExceeded(
            f"a payload of {largest:,} bytes is too large for the stream, which takes {most:,}",
            fix="send less at once",
        )


def ends(stream: EventStream, topic: str) -> tuple[int, ...]:
    """The end of each partition of a topic."""
    return tuple(stream.end(log) for log in stream.partitions(topic))
