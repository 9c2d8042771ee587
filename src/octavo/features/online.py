"""Feature values in the request: one batched read for all rows and views."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
import numpy.typing as npt

from octavo.definitions.aggregates import Operation
from octavo.definitions.features import Feature
from octavo.definitions.plans import PlannedView
from octavo.features.keys import decode_generation, entity_key, pointer_key
from octavo.features.layout import Layout
from octavo.features.quantiles import rounded
from octavo.features.state import NEVER, ROW_HEAD, StateCodec, Tiles, counted_values, last_known
from octavo.features.values import FeatureStatus
from octavo.stores.ports import OnlineStore

_SECOND_US = 1_000_000
_NAN = float("nan")
_PRESENT, _STALE, _MISSING, _DEFAULT = (int(status) for status in FeatureStatus)
_MISSING_VALUE = (_NAN, _MISSING, _NAN)

Floats = npt.NDArray[np.float64]
Value = tuple[float, int, float]
"""Value, status and age in seconds of one feature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineValues:
    """Feature values of some rows, with what is known about each.

    Attributes
    ----------
    values : ndarray, shape (n_rows, n_features), float32
        NaN where a value is missing or stale.
    status : ndarray, shape (n_rows, n_features), uint8
        `FeatureStatus`.
    ages_s : ndarray, shape (n_rows, n_features), float32
        Seconds since the newest event that the value rests on; NaN where it rests on none.
    """

    values: npt.NDArray[np.float32]
    status: npt.NDArray[np.uint8]
    ages_s: npt.NDArray[np.float32]


class OnlineReader:
    """Looks up the features of one model's views.

    Parameters
    ----------
    store : OnlineStore
    views : tuple of PlannedView
        From the model's lookup plan; columns of the answer are their features, in order.
    """

    def __init__(self, store: OnlineStore, views: tuple[PlannedView, ...]) -> None:
        self._store = store
        self._views = views
        self._pointers = [pointer_key(view.name) for view in views]
        self._known: list[bytes | None] = [None] * len(views)
        self._lookups: list[_Lookup | None] = [None] * len(views)
        self._widths = [len(view.features) for view in views]
        self._n_features = sum(self._widths)

    def read(self, rows: Sequence[Mapping[str, object]], *, at_us: int) -> OnlineValues:
        """The values as known at a moment: the present, or a few seconds before at most.

        Parameters
        ----------
        rows : sequence of mapping
            Each holds the entity keys by column; a row without one gets that view's features as missing.
        at_us : int
            Microseconds since 1970; only events known before it count.

        Raises
        ------
        Unavailable
            If the store cannot be read.
        """
        if not self._views:
            return self.unread(len(rows))
        keys, places = self._keys(rows)
        found = self._store.read(keys)
        while self._renew(found):
            keys, places = self._keys(rows)
            found = self._store.read(keys)
        columns = []
        for view, lookup in enumerate(self._lookups):
            seen: dict[int, list[Value]] = {-1: [_MISSING_VALUE] * self._widths[view]}
            for place in places[view]:
                if place not in seen:
                    assert lookup is not None  # places of a view without states are all -1
                    seen[place] = lookup.values(found[place], at_us)
            columns.append([seen[place] for place in places[view]])
        return self._answer(columns, len(rows))

    def unread(self, n_rows: int) -> OnlineValues:
        """What stands in for the values when the store cannot be read: NaN, marked as default."""
        shape = (n_rows, self._n_features)
        return OnlineValues(
            values=np.full(shape, _NAN, np.float32),
            status=np.full(shape, _DEFAULT, np.uint8),
            ages_s=np.full(shape, _NAN, np.float32),
        )

    def _keys(self, rows: Sequence[Mapping[str, object]]) -> tuple[list[bytes], list[list[int]]]:
        """Keys to read, the views' pointers first, and per view and row the place of its state; -1 for none."""
        keys, places = list(self._pointers), []
        for view, lookup in zip(self._views, self._lookups, strict=True):
            of_rows: list[int] = []
            known: dict[object, int] = {}
            for row in rows:
                key = row.get(view.entity_key)
                if lookup is None or not isinstance(key, str | int):
                    of_rows.append(-1)
                    continue
                if key not in known:
                    known[key] = len(keys)
                    keys.append(lookup.prefix + entity_key(key))
                of_rows.append(known[key])
            places.append(of_rows)
        return keys, places

    def _renew(self, found: Sequence[bytes | None]) -> bool:
        """Take over pointers that have changed; whether any has."""
        changed = False
        for view, (pointer, known) in enumerate(zip(found, self._known, strict=False)):
            if pointer != known:
                self._known[view] = pointer
                self._lookups[view] = None if pointer is None else _Lookup(pointer, self._views[view].features)
                changed = True
        return changed

    def _answer(self, columns: list[list[list[Value]]], n_rows: int) -> OnlineValues:
        flat = [value for row in range(n_rows) for column in columns for value in column[row]]
        with np.errstate(over="ignore"):
            cells = np.array(flat, np.float32).reshape(n_rows, self._n_features, 3)
        return OnlineValues(
            values=np.ascontiguousarray(cells[:, :, 0]),
            status=cells[:, :, 1].astype(np.uint8),
            ages_s=np.ascontiguousarray(cells[:, :, 2]),
        )


@dataclass(frozen=True, slots=True)
class _Window:
    """One window over one group of tiles, and the features read from it by their place in the view."""

    group: int
    window_us: int
    tile_us: int
    counts: list[tuple[int, int]]
    sums: list[tuple[int, int, int, bool]]
    deviations: list[tuple[int, int, int, int]]
    extremes: list[tuple[int, int, int, bool]]
    quantiles: list[tuple[int, int, int, int, float]]


class _Lookup:
    """Computes one view's features from the states of its live generation."""

    def __init__(self, pointer: bytes, features: tuple[Feature, ...]) -> None:
        generation = decode_generation(pointer)
        layout = generation.layout
        self.prefix = generation.prefix
        self._codec = StateCodec(layout)
        self._n_counts = 1 + len(layout.columns)
        self._n_additive = 1 + 2 * len(layout.columns)
        held = [(place, f) for place, f in enumerate(features) if layout.holds(f)]
        self._latest = [
            (place, layout.latest.index(f.column), layout.count_field(f.column), layout.sum_field(f.column), f.ttl_s)
            for place, f in held
            if f.operation is Operation.LATEST and f.column is not None and f.ttl_s is not None
        ]
        self._windows = _windows([(place, f) for place, f in held if f.operation is not Operation.LATEST], layout)
        self._empty = [_MISSING_VALUE] * len(features)
        for place, f in held:
            if f.operation is Operation.COUNT:
                self._empty[place] = (0.0, _PRESENT, _NAN)

    def values(self, data: bytes | None, at_us: int) -> list[Value]:
        """The features of one entity; `data` is its state."""
        values = self._empty.copy()
        if data is None:
            return values
        state = self._codec.decode(data)
        tail = state.tail
        if len(tail):
            known = tail[:, 1] < at_us
            if not known.all():
                tail = tail[known]
        fields = tail.view(np.float64)[:, ROW_HEAD:]
        newest = state.newest.tolist()
        last = [-1] * self._n_counts
        if len(tail):
            last = last_known(fields[:, : self._n_counts] > 0)
            newest = [max(old, int(tail[row, 0])) if row >= 0 else old for old, row in zip(newest, last, strict=True)]
        for window in self._windows:
            self._read_window(window, state.groups[window.group], tail[:, 0], fields, newest, at_us, values)
        for place, slot, n, total, ttl_s in self._latest:
            best = state.latest[slot, :ROW_HEAD].tolist()
            value = state.latest[slot, ROW_HEAD:].view(np.float64)
            if last[n] >= 0 and (mine := tail[last[n], :ROW_HEAD].tolist()) > best:
                best, value = mine, fields[last[n], total : total + 1]
            if best[0] != NEVER:
                age = (at_us - best[0]) / _SECOND_US
                stale = at_us - best[0] >= ttl_s * _SECOND_US
                values[place] = (_NAN, _STALE, age) if stale else (float(value[0]), _PRESENT, age)
        return values

    def _read_window(
        self,
        window: _Window,
        tiles: Tiles,
        tail_us: npt.NDArray[np.int64],
        tail: Floats,
        newest: list[int],
        at_us: int,
        values: list[Value],
    ) -> None:
        edge = (at_us - window.window_us) // window.tile_us
        first = int(tiles.numbers.searchsorted(edge))
        rows = tiles.fields[first:]
        if len(tail):
            tail = tail[int(tail_us.searchsorted(edge * window.tile_us)) :]
            rows = np.concatenate((rows, tail)) if len(rows) else tail
        if not len(rows):
            return
        totals = np.add.reduce(rows[:, : self._n_additive], axis=0).tolist()
        ages = [(at_us - us) / _SECOND_US for us in newest]
        for place, n in window.counts:
            if totals[n]:
                values[place] = (totals[n], _PRESENT, ages[n])
        for place, n, total, averaged in window.sums:
            if totals[n]:
                values[place] = (totals[total] / totals[n] if averaged else totals[total], _PRESENT, ages[n])
        for place, n, total, deviation in window.deviations:
            if totals[n]:
                values[place] = (_deviation(rows, n, total, deviation), _PRESENT, ages[n])
        for place, n, field, largest in window.extremes:
            if totals[n]:
                extreme = rows[:, field].max() if largest else rows[:, field].min()
                values[place] = (float(extreme), _PRESENT, ages[n])
        for place, n, total, slot, q in window.quantiles:
            if totals[n]:
                rank = max(ceil(q * totals[n]), 1)
                values[place] = (_quantile(tiles.counts[slot], first, tail, n, total, rank), _PRESENT, ages[n])


def _windows(features: list[tuple[int, Feature]], layout: Layout) -> list[_Window]:
    tiles = [group.tile_s for group in layout.groups]
    windows: dict[int, _Window] = {}
    for place, f in features:
        assert f.window_s is not None, "only a latest value has no window"
        assert f.tile_s is not None, "a window has a tile"
        group = tiles.index(f.tile_s)
        window = windows.setdefault(
            f.window_s, _Window(group, f.window_s * _SECOND_US, f.tile_s * _SECOND_US, [], [], [], [], [])
        )
        n = layout.count_field(f.column)
        if f.operation is Operation.COUNT or f.column is None:
            window.counts.append((place, n))
        elif f.operation is Operation.STD:
            window.deviations.append((place, n, layout.sum_field(f.column), layout.deviation_field(f.column)))
        elif f.operation is Operation.MIN:
            window.extremes.append((place, n, layout.minimum_field(f.column), False))
        elif f.operation is Operation.MAX:
            window.extremes.append((place, n, layout.maximum_field(f.column), True))
        elif f.operation is Operation.QUANTILE and f.q is not None:
            slot = layout.groups[group].quantiles.index(f.column)
            window.quantiles.append((place, n, layout.sum_field(f.column), slot, f.q))
        else:
            window.sums.append((place, n, layout.sum_field(f.column), f.operation is Operation.MEAN))
    return list(windows.values())


def _deviation(rows: Floats, n: int, total: int, deviation: int) -> float:
    """Population standard deviation from tiles, merged about the common mean (Chan, Golub and LeVeque, 1979)."""
    rows = rows[rows[:, n] > 0]
    counts, sums = rows[:, n], rows[:, total]
    size = counts.sum()
    apart = sums / counts - sums.sum() / size
    return sqrt(float(rows[:, deviation].sum() + (counts * apart * apart).sum()) / size)


def _quantile(
    counts: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], first: int, tail: Floats, n: int, total: int, rank: int
) -> float:
    """The value of a rank (from 1) among counted values from tile `first` on, and those of the tail."""
    starts, words = counts
    values, often = counted_values(words[int(starts[first]) :] if first < len(starts) else words[:0])
    if len(tail):
        added = rounded(tail[tail[:, n] > 0, total])
        values = np.concatenate((values, added))
        often = np.concatenate((often, np.ones(len(added), np.int64)))
    order = values.argsort()
    place = int(often[order].cumsum().searchsorted(rank))
    return float(values[order[place]])
