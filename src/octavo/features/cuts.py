"""Windows over the state of one entity: what of it lies in a window, and the aggregates of that."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, sqrt
from operator import add
from struct import Struct

import numpy as np
import numpy.typing as npt

from octavo.definitions.aggregates import Operation
from octavo.definitions.features import Feature
from octavo.features.distinct import count_of
from octavo.features.layout import TileGroup
from octavo.features.opened import Floats, Opened
from octavo.features.quantiles import ranked
from octavo.features.state import GroupPlaces, StateCodec

_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A windowed feature.

    Attributes
    ----------
    place : int
        In the view.
    n, total : int
        Fields with the number and the sum of its column's values.
    field : int
        The field that is its own; for a quantile and a distinct count, the word of a tail's row that is.
    slot : int
        Of its column among the quantile and distinct columns of its group.
    """

    place: int
    operation: Operation
    n: int
    field: int
    total: int
    slot: int
    q: float


@dataclass(frozen=True, slots=True)
class Window:
    """One window over one group of tiles, and the features read from it."""

    group: int
    window_us: int
    tile_us: int
    aggregates: list[Aggregate] = field(default_factory=list)

    def edge(self, at_us: int) -> int:
        """Its far edge at a moment, in tiles since 1970."""
        return (at_us - self.window_us) // self.tile_us

    def until_us(self, edge: int) -> int:
        """Up to when its far edge stays there."""
        return (edge + 1) * self.tile_us + self.window_us


@dataclass(slots=True)
class Cut:
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


class Cutter:
    """Cuts windows out of the states of one layout.

    Parameters
    ----------
    codec : StateCodec
    """

    def __init__(self, codec: StateCodec) -> None:
        self._n_fields = codec.n_fields
        self._row = Struct(f"={codec.n_fields}d")

    def cut(self, window: Window, state: Opened, edge: int) -> Cut | None:
        """What of a state lies in a window, from its far edge on, counted in tiles; None if nothing does."""
        at, tail = state.places.groups[window.group], state.tail
        first = bisect_left(state.words, edge, at.numbers, at.fields) - at.numbers
        tiles = None
        if first < at.n_tiles:
            tiles = self._row.unpack_from(state.data, 8 * (at.fields + first * self._n_fields))
        if tail is not None:
            start = int(tail.event_us.searchsorted(edge * window.tile_us))
            if start < len(tail.event_us):
                totals = tail.totals[start].tolist()
                if tiles is not None:
                    totals = list(map(add, tiles, totals))
                return Cut(at, first, tiles, totals, tail.rows[start:], tail.fields[start:])
        return None if tiles is None else Cut(at, first, tiles, tiles, None, None)


def value_of(aggregate: Aggregate, cut: Cut, state: Opened) -> float:
    """An aggregate of what lies in its window, which holds a value at least."""
    return _VALUES[aggregate.operation](aggregate, cut, state)


def windows_of(features: Iterable[tuple[int, Feature]], codec: StateCodec) -> list[Window]:
    """The windows of a view's features, which are given with their places in it."""
    tiles = [group.tile_s for group in codec.layout.groups]
    windows: dict[int, Window] = {}
    for place, f in features:
        assert f.window_s is not None, "only a latest value has no window"
        assert f.tile_s is not None, "a window has a tile"
        group = tiles.index(f.tile_s)
        window = windows.setdefault(f.window_s, Window(group, f.window_s * _SECOND_US, f.tile_s * _SECOND_US))
        window.aggregates.append(_aggregate(f, codec, place=place, group=group))
    return list(windows.values())


def _aggregate(f: Feature, codec: StateCodec, *, place: int, group: int) -> Aggregate:
    layout = codec.layout
    n = layout.count_field(f.measure)
    total = layout.sum_field(f.measure) if f.measure else n
    own = {
        Operation.STD: layout.deviation_field,
        Operation.MIN: layout.minimum_field,
        Operation.MAX: layout.maximum_field,
        Operation.QUANTILE: codec.count_word,
        Operation.DISTINCT: codec.seen_word,
    }.get(f.operation)
    return Aggregate(
        place=place,
        operation=f.operation,
        n=n,
        total=total,
        field=own(f.measure) if own and f.measure else n,
        slot=_slot(f, layout.groups[group]),
        q=f.q or 0.0,
    )


def _slot(f: Feature, group: TileGroup) -> int:
    counted = [*group.quantiles, *group.distincts] if f.operation in (Operation.QUANTILE, Operation.DISTINCT) else []
    return counted.index(f.measure) if f.measure in counted else 0


def _deviation(aggregate: Aggregate, cut: Cut, _: Opened) -> float:
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


def _extreme(aggregate: Aggregate, cut: Cut, _: Opened) -> float:
    candidates = [] if cut.tiles is None else [cut.tiles[aggregate.field]]
    if cut.fields is not None:
        candidates += cut.fields[:, aggregate.field].tolist()
    return min(candidates) if aggregate.operation is Operation.MIN else max(candidates)


def _quantile(aggregate: Aggregate, cut: Cut, state: Opened) -> float:
    """The value of rank ``ceil(q * n)`` among counts of the tiles and of the tail."""
    return ranked(_words(aggregate, cut, state), max(ceil(aggregate.q * cut.totals[aggregate.n]), 1))


def _distinct(aggregate: Aggregate, cut: Cut, state: Opened) -> float:
    return count_of(_words(aggregate, cut, state))


def _words(aggregate: Aggregate, cut: Cut, state: Opened) -> npt.NDArray[np.int64]:
    """The words of an aggregate's column in the tiles and in the tail."""
    starts, words, n_words = cut.at.counts[aggregate.slot]
    begin = n_words if cut.tiles is None else state.words[starts + cut.first]
    found = np.frombuffer(state.data, np.int64, count=n_words - begin, offset=8 * (words + begin))
    return found if cut.rows is None else np.concatenate((found, cut.rows[:, aggregate.field]))


_VALUES: Mapping[Operation, Callable[[Aggregate, Cut, Opened], float]] = {
    Operation.COUNT: lambda aggregate, cut, _: cut.totals[aggregate.n],
    Operation.SUM: lambda aggregate, cut, _: cut.totals[aggregate.total],
    Operation.MEAN: lambda aggregate, cut, _: cut.totals[aggregate.total] / cut.totals[aggregate.n],
    Operation.RATE: lambda aggregate, cut, _: cut.totals[aggregate.total] / cut.totals[aggregate.n],
    Operation.MIN: _extreme,
    Operation.MAX: _extreme,
    Operation.STD: _deviation,
    Operation.QUANTILE: _quantile,
    Operation.DISTINCT: _distinct,
}
