"""The state of one entity, opened at a moment: its tail without the events that were not known yet."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from octavo.features.readings import FOREVER
from octavo.features.state import ROW_HEAD, Places, StateCodec, last_known

Floats = npt.NDArray[np.float64]


class Tail:
    """The events of a tail that were known at a moment.

    Attributes
    ----------
    rows : ndarray, shape (n, row_words), int64
    event_us : ndarray, shape (n,), int64, ascending
    fields : ndarray, shape (n, n_fields), float64
    totals : ndarray, shape (n, n_additive), float64
        Counts and sums of each event and all later ones.
    last : list of int
        Per count field, the last event that has a value; -1 if none.
    """

    __slots__ = ("_rows", "event_us", "fields", "last", "rows", "totals")

    def __init__(self, rows: npt.NDArray[np.int64], fields: Floats, *, n_counts: int, n_additive: int) -> None:
        self.rows = rows
        self.event_us = rows[:, 0]
        self.fields = fields
        self.totals: Floats = np.add.accumulate(self.fields[::-1, :n_additive], axis=0)[::-1]
        self.last = last_known(self.fields[:, :n_counts])
        self._rows: dict[int, tuple[tuple[int, ...], list[float]]] = {}

    def row(self, number: int) -> tuple[tuple[int, ...], list[float]]:
        """What orders an event among others, its time first, and its fields."""
        if number not in self._rows:
            self._rows[number] = tuple(self.rows[number, :ROW_HEAD].tolist()), self.fields[number].tolist()
        return self._rows[number]


@dataclass(slots=True)
class Opened:
    """The state of one entity at one moment.

    Attributes
    ----------
    next_known_us : int
        When more of its events count.
    """

    data: bytes
    words: memoryview
    places: Places
    tail: Tail | None
    at_us: int
    newest: list[int]
    next_known_us: int


class StateOpener:
    """Opens the states of one layout.

    Parameters
    ----------
    codec : StateCodec
    """

    def __init__(self, codec: StateCodec) -> None:
        self._codec = codec
        self._n_additive = 1 + 2 * len(codec.layout.columns)

    def open(self, data: bytes, at_us: int) -> Opened:
        """A state as it is at a moment."""
        words = memoryview(data).cast("q")
        places = self._codec.places(words)
        newest = words[places.newest : places.latest].tolist()
        tail, next_known_us = None, FOREVER
        if places.n_tail:
            rows = np.frombuffer(data, np.int64, offset=8 * places.tail).reshape(places.n_tail, self._codec.row_words)
            known = rows[:, 1] < at_us
            if not known.all():
                next_known_us = int(rows[~known, 1].min()) + 1
                rows = rows[known]
            if len(rows):
                tail = Tail(rows, self._codec.fields(rows), n_counts=self._codec.n_counts, n_additive=self._n_additive)
                times = tail.event_us.tolist()
                newest = [us if row < 0 else max(us, times[row]) for us, row in zip(newest, tail.last, strict=True)]
        return Opened(data, words, places, tail, at_us, newest, next_known_us)
