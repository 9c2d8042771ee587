"""A view's features at a moment, computed from the state of one entity.

This runs in every prediction, so it reads only the words that it needs: one row of fields per window, and the few
events of the tail.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, sqrt
from operator import add
from struct import Struct

import numpy as np
import numpy.typing as npt

from octavo.definitions.aggregates import Operation
from octavo.definitions.features import Feature
from octavo.features.keys import decode_generation
from octavo.features.quantiles import ranked
from octavo.features.readings import FOREVER, LONG_AGO, Reading, float32
from octavo.features.state import (
    LATEST_WORDS,
    NEVER,
    ROW_HEAD,
    GroupPlaces,
    Places,
    StateCodec,
    last_known,
)
from octavo.features.values import FeatureStatus

_SECOND_US = 1_000_000
_NAN = float("nan")
_PRESENT, _STALE, _MISSING = int(FeatureStatus.PRESENT), int(FeatureStatus.STALE), int(FeatureStatus.MISSING)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Aggregate:
    """A windowed feature.

    Attributes
    ----------
    place : int
        In the view.
    n, total : int
        Fields with the number and the sum of its column's values.
    field : int
        The field that is its own; for a quantile, the word of a tail's row with the count of its value.
    slot : int
        Of its column among the quantile columns of its group.
    """

    place: int
    operation: Operation
    n: int
    field: int
    total: int
    slot: int
    q: float


@dataclass(frozen=True, slots=True)
class _Window:
    """One window over one group of tiles, and the features read from it."""

    group: int
    window_us: int
    tile_us: int
    aggregates: list[_Aggregate] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Latest:
    """A latest value: its place in the view and among the state's latest values, and its fields."""

    place: int
    slot: int
    n: int
    total: int
    ttl_us: int


class _Tail:
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
class _Opened:
    """The state of one entity at one moment.

    Attributes
    ----------
    next_known_us : int
        When more of its events count.
    """

    data: bytes
    words: memoryview
    places: Places
    tail: _Tail | None
    at_us: int
    newest: list[int]
    next_known_us: int


@dataclass(slots=True)
class _Cut:
    """The part of a state that lies in a window; not empty.

    Attributes
    ----------
    at : GroupPlaces
    first : int
        The first tile.
    tiles : sequence of float or None
        Fields of all its tiles merged; None if it has none.
    totals : sequence of float
        Counts and sums of tiles and tail together.
    rows, fields : ndarray or None
        Its part of the tail; None if it has none.
    """

    at: GroupPlaces
    first: int
    tiles: Sequence[float] | None
    totals: Sequence[float]
    rows: npt.NDArray[np.int64] | None
    fields: Floats | None


class Lookup:
    """Computes one view's features from the states of its live generation.

    Parameters
    ----------
    pointer : bytes
        The generation, encoded.
    features : tuple of Feature
        What to compute; one that the states do not hold is missing.
    """

    def __init__(self, pointer: bytes, features: tuple[Feature, ...]) -> None:
        generation = decode_generation(pointer)
        layout = generation.layout
        self.prefix = generation.prefix
        self._codec = StateCodec(layout)
        self._n_additive = 1 + 2 * len(layout.columns)
        self._row = Struct(f"={layout.n_fields}d")
        held = [(place, f) for place, f in enumerate(features) if layout.holds(f)]
        self._windows = _windows([(place, f) for place, f in held if f.operation is not Operation.LATEST], self._codec)
        self._unknown = [_NAN] * len(features)
        self._latest = [
            _Latest(
                place, layout.latest.index(f.measure), layout.count_field(f.measure), layout.sum_field(f.measure), ttl
            )
            for place, f in held
            if f.operation is Operation.LATEST and f.measure is not None and (ttl := (f.ttl_s or 0) * _SECOND_US)
        ]
        self._latest_words = Struct("=" + "qqqqd" * len(layout.latest))
        self._values = [_NAN] * len(features)
        self._status = [_MISSING] * len(features)
        for place, f in held:
            if f.operation is Operation.COUNT:
                self._values[place], self._status[place] = 0.0, _PRESENT
        self._nothing = _reading(None, self._values, self._status, self._unknown, since_us=LONG_AGO, until_us=FOREVER)

    def read(self, data: bytes | None, at_us: int) -> Reading:
        """The features of one entity.

        Parameters
        ----------
        data : bytes or None
            Its state; None if it has none.
        at_us : int
            Only events known before it count; microseconds since 1970.
        """
        if data is None:
            return self._nothing
        values, status, newest_us = self._values.copy(), self._status.copy(), self._unknown.copy()
        state = self._open(data, at_us)
        until_us = state.next_known_us
        for window in self._windows:
            edge = (at_us - window.window_us) // window.tile_us
            until_us = min(until_us, (edge + 1) * window.tile_us + window.window_us)
            cut = self._cut(window, state, edge)
            if cut is None:
                continue
            for aggregate in window.aggregates:
                if cut.totals[aggregate.n]:
                    values[aggregate.place] = _VALUES[aggregate.operation](aggregate, cut, state)
                    status[aggregate.place] = _PRESENT
                    newest_us[aggregate.place] = state.newest[aggregate.n]
        for latest, event_us, value in self._read_latest(state):
            if event_us == NEVER:
                continue
            newest_us[latest.place], stale_us = event_us, event_us + latest.ttl_us
            if at_us >= stale_us:
                status[latest.place] = _STALE
            else:
                values[latest.place], status[latest.place] = value, _PRESENT
                until_us = min(until_us, stale_us)
        return _reading(data, values, status, newest_us, since_us=at_us, until_us=until_us)

    def _open(self, data: bytes, at_us: int) -> _Opened:
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
                tail = _Tail(rows, self._codec.fields(rows), n_counts=self._codec.n_counts, n_additive=self._n_additive)
                times = tail.event_us.tolist()
                newest = [us if row < 0 else max(us, times[row]) for us, row in zip(newest, tail.last, strict=True)]
        return _Opened(data, words, places, tail, at_us, newest, next_known_us)

    def _cut(self, window: _Window, state: _Opened, edge: int) -> _Cut | None:
        """What of a state lies in a window, from its far edge on, counted in tiles; None if nothing does."""
        at, tail = state.places.groups[window.group], state.tail
        first = bisect_left(state.words, edge, at.numbers, at.fields) - at.numbers
        tiles = None
        if first < at.n_tiles:
            tiles = self._row.unpack_from(state.data, 8 * (at.fields + first * self._codec.n_fields))
        if tail is not None:
            start = int(tail.event_us.searchsorted(edge * window.tile_us))
            if start < len(tail.event_us):
                totals = tail.totals[start].tolist()
                if tiles is not None:
                    totals = list(map(add, tiles, totals))
                return _Cut(at, first, tiles, totals, tail.rows[start:], tail.fields[start:])
        return None if tiles is None else _Cut(at, first, tiles, tiles, None, None)

    def _read_latest(self, state: _Opened) -> Iterator[tuple[_Latest, int, float]]:
        """Time and value of the newest event that has each column; `NEVER` if there is none."""
        words, tail = self._latest_words.unpack_from(state.data, 8 * state.places.latest), state.tail
        for latest in self._latest:
            at = LATEST_WORDS * latest.slot
            event_us, value = words[at], words[at + ROW_HEAD]
            if tail is not None and (row := tail.last[latest.n]) >= 0:
                head, fields = tail.row(row)
                if head > words[at : at + ROW_HEAD]:
                    event_us, value = head[0], fields[latest.total]
            yield latest, event_us, value


def _reading(
    data: bytes | None,
    values: list[float],
    status: list[int],
    newest_us: list[float],
    *,
    since_us: int,
    until_us: int,
) -> Reading:
    return Reading(
        data=data,
        since_us=since_us,
        until_us=until_us,
        values=float32(values),
        status=np.array(status, np.uint8),
        newest_us=np.array(newest_us, np.float64),
    )


def _windows(features: list[tuple[int, Feature]], codec: StateCodec) -> list[_Window]:
    tiles = [group.tile_s for group in codec.layout.groups]
    windows: dict[int, _Window] = {}
    for place, f in features:
        assert f.window_s is not None, "only a latest value has no window"
        assert f.tile_s is not None, "a window has a tile"
        group = tiles.index(f.tile_s)
        window = windows.setdefault(f.window_s, _Window(group, f.window_s * _SECOND_US, f.tile_s * _SECOND_US))
        window.aggregates.append(_aggregate(f, codec, place=place, group=group))
    return list(windows.values())


def _aggregate(f: Feature, codec: StateCodec, *, place: int, group: int) -> _Aggregate:
    layout = codec.layout
    n = layout.count_field(f.measure)
    total = layout.sum_field(f.measure) if f.measure else n
    own = {
        Operation.STD: layout.deviation_field,
        Operation.MIN: layout.minimum_field,
        Operation.MAX: layout.maximum_field,
        Operation.QUANTILE: codec.count_word,
    }.get(f.operation)
    return _Aggregate(
        place=place,
        operation=f.operation,
        n=n,
        total=total,
        field=own(f.measure) if own and f.measure else n,
        slot=layout.groups[group].quantiles.index(f.measure) if f.q and f.measure else 0,
        q=f.q or 0.0,
    )


def _deviation(aggregate: _Aggregate, cut: _Cut, _: _Opened) -> float:
    """Population standard deviation; tiles merge about the common mean (Chan, Golub and LeVeque, 1979)."""
    n, mean, squared = 0.0, 0.0, 0.0
    if cut.tiles is not None and cut.tiles[aggregate.n]:
        n = cut.tiles[aggregate.n]
        mean, squared = cut.tiles[aggregate.total] / n, cut.tiles[aggregate.field]
    if cut.fields is not None:
        for value in cut.fields[cut.fields[:, aggregate.n] > 0, aggregate.total].tolist():
            n += 1
            apart = value - mean
            mean += apart / n
            squared += apart * (value - mean)
    return sqrt(squared / n)


def _extreme(aggregate: _Aggregate, cut: _Cut, _: _Opened) -> float:
    candidates = [] if cut.tiles is None else [cut.tiles[aggregate.field]]
    if cut.fields is not None:
        candidates += cut.fields[:, aggregate.field].tolist()
    return min(candidates) if aggregate.operation is Operation.MIN else max(candidates)


def _quantile(aggregate: _Aggregate, cut: _Cut, state: _Opened) -> float:
    """The value of rank ``ceil(q * n)`` among counts of the tiles and of the tail."""
    starts, counts, n_counts = cut.at.counts[aggregate.slot]
    begin = n_counts if cut.tiles is None else state.words[starts + cut.first]
    words = np.frombuffer(state.data, np.int64, count=n_counts - begin, offset=8 * (counts + begin))
    if cut.rows is not None:
        words = np.concatenate((words, cut.rows[:, aggregate.field]))
    return ranked(words, max(ceil(aggregate.q * cut.totals[aggregate.n]), 1))


_VALUES: Mapping[Operation, Callable[[_Aggregate, _Cut, _Opened], float]] = {
    Operation.COUNT: lambda aggregate, cut, _: cut.totals[aggregate.n],
    Operation.SUM: lambda aggregate, cut, _: cut.totals[aggregate.total],
    Operation.MEAN: lambda aggregate, cut, _: cut.totals[aggregate.total] / cut.totals[aggregate.n],
    Operation.RATE: lambda aggregate, cut, _: cut.totals[aggregate.total] / cut.totals[aggregate.n],
    Operation.MIN: _extreme,
    Operation.MAX: _extreme,
    Operation.STD: _deviation,
    Operation.QUANTILE: _quantile,
}
