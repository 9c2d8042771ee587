"""Events on their way from the stream: stretches of a partition, and those that wait to be shipped."""

from dataclasses import dataclass

import pyarrow as pa

from octavo.features.events.refusals import Refused


@dataclass(frozen=True, slots=True)
class Payload:
    """Some events of one payload.

    Attributes
    ----------
    place : int
        Where it stands in the stream (`octavo.features.events.places`).
    ids : list of bytes
        The events' ids.
    refused : tuple of Refused
        What could not be taken of it.
    """

    place: int
    events: pa.RecordBatch
    ids: list[bytes]
    refused: tuple[Refused, ...] = ()

    def only(self, rows: list[int]) -> "Payload":
        """The same payload with some of its events."""
        return Payload(self.place, self.events.take(pa.array(rows, pa.int64())), [self.ids[row] for row in rows])


@dataclass(frozen=True, slots=True)
class Stretch:
    """Payloads of a partition in their order, from offset `start` to before `reached`."""

    start: int
    payloads: list[Payload]
    reached: int

    @property
    def rows(self) -> int:
        """Events and refusals; at least one per payload, so that none means the end."""
        return sum(max(len(payload.ids) + len(payload.refused), 1) for payload in self.payloads)

    @property
    def nbytes(self) -> int:
        return sum(payload.events.nbytes for payload in self.payloads)


class Waiting:
    """Stretches that were applied and wait to be shipped, so that they need not be read again.

    Parameters
    ----------
    max_bytes : int
        Where they come to more, they are dropped, and read again after all.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._stretches: dict[str, list[Stretch]] = {}

    def keep(self, log: str, stretch: Stretch) -> None:
        """Add the next stretch of a partition."""
        self._bytes += stretch.nbytes
        self._stretches.setdefault(log, []).append(stretch)
        if self._bytes > self._max_bytes:
            self._stretches.clear()
            self._bytes = 0

    def take(self, log: str, *, start: int, max_bytes: int) -> Stretch | None:
        """What waits from an offset on, some `max_bytes` of it; None where that must be read."""
        waiting = self._stretches.pop(log, [])
        self._bytes -= sum(stretch.nbytes for stretch in waiting)
        waiting = [stretch for stretch in waiting if stretch.start >= start]
        if not waiting or waiting[0].start != start:
            return None
        n, size = 1, waiting[0].nbytes
        while n < len(waiting) and size + waiting[n].nbytes <= max_bytes:
            size += waiting[n].nbytes
            n += 1
        for stretch in waiting[n:]:
            self.keep(log, stretch)
        return Stretch(
            start, [payload for stretch in waiting[:n] for payload in stretch.payloads], waiting[n - 1].reached
        )
