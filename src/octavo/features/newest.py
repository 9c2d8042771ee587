"""Values of the newest event that has one: the latest value, and the last one in a window."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from struct import Struct

from octavo.definitions.features import Feature
from octavo.features.layout import Layout
from octavo.features.opened import Opened
from octavo.features.state import LATEST_WORDS, ROW_HEAD

_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Newest:
    """A value of the newest event that has one.

    Attributes
    ----------
    place : int
        In the view.
    slot : int
        Among the state's latest values.
    n, total : int
        Fields with the number and the sum of its column's values.
    span_us, tile_us : int
        Time to live, and 0; or the length of its window, and of the window's tile.
    """

    place: int
    slot: int
    n: int
    total: int
    span_us: int
    tile_us: int

    def until_us(self, event_us: int) -> int:
        """Up to when an event that happened then gives the value."""
        start_us = (event_us // self.tile_us + 1) * self.tile_us if self.tile_us else event_us
        return start_us + self.span_us


class NewestReader:
    """Reads them from the states of one layout.

    Parameters
    ----------
    wanted : sequence of Newest
    layout : Layout
    """

    def __init__(self, wanted: Sequence[Newest], layout: Layout) -> None:
        self._wanted = wanted
        self._words = Struct("=" + "qqqqd" * len(layout.latest))

    def read(self, state: Opened) -> Iterator[tuple[Newest, int, float]]:
        """Time and value of the newest event that has each column; `NEVER` if there is none."""
        words, tail = self._words.unpack_from(state.data, 8 * state.places.latest), state.tail
        for newest in self._wanted:
            at = LATEST_WORDS * newest.slot
            event_us, value = words[at], words[at + ROW_HEAD]
            if tail is not None and (row := tail.last[newest.n]) >= 0:
                head, fields = tail.row(row)
                if head > words[at : at + ROW_HEAD]:
                    event_us, value = head[0], fields[newest.total]
            yield newest, event_us, value


def newest_of(f: Feature, layout: Layout, *, place: int) -> Newest:
    """How a feature, at its place in a view, is read."""
    assert f.measure is not None, "a newest value is of something"
    return Newest(
        place=place,
        slot=layout.latest.index(f.measure),
        n=layout.count_field(f.measure),
        total=layout.sum_field(f.measure),
        span_us=(f.ttl_s or f.window_s or 0) * _SECOND_US,
        tile_us=(f.tile_s or 0) * _SECOND_US,
    )
