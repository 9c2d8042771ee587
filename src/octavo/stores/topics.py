"""A seam as those in `octavo.stores.ports`: topics of the user's own, which others read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is sent to a topic that others read.

    Attributes
    ----------
    key : str
        Messages of one key come into one partition.
    place : str
        Which message it is, ``SENDER/...``: none of a sender's others has it.
    """

    key: str
    place: str
    value: bytes


class MessageTopic(Protocol):
    """A topic of messages that others read, with partitions. All methods but `wait` and `close` raise Unavailable.

    Attributes
    ----------
    payload_bytes : int
        How large a message may be.
    """

    @property
    def payload_bytes(self) -> int: ...

    def identity(self) -> str:
        """What tells it from all other topics, those of the same name elsewhere included."""

    def ends(self) -> Mapping[int, int]:
        """The offset after the last message of each partition."""

    def places(self, since: Mapping[int, int], *, sender: str) -> set[str]:
        """The places of a sender's messages that stand there, from an offset of each partition on.

        A partition that `since` does not name is read whole.
        """

    def send(self, messages: Sequence[Message]) -> None:
        """Hand messages over, to be delivered once each however long it takes; one lot at a time.

        Raises
        ------
        Unavailable
            If they are not taken. Some may come to be there: ask `places` before they are sent again.
        """

    def wait(self, timeout_s: float) -> Mapping[int, int] | None:
        """Once all that was handed over is there, the offset after the last of each partition; None if not in time.

        Raises
        ------
        Unavailable
            If some are refused. Others may be there: ask `places` before they are sent again.
        """

    def trouble(self) -> str:
        """Why what was handed over is not there yet, as far as it is known."""

    def close(self) -> None:
        """Release what is held; what is not acknowledged may be there or not."""
