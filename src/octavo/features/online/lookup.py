"""What is to be read from the online states for one model, as tables for the compiled reading of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from octavo.definitions.aggregates import Operation
from octavo.definitions.features import Feature
from octavo.definitions.plans import PlannedView
from octavo.features.defaults import Defaults
from octavo.features.offline.sql import half_life_us
from octavo.features.online.compiled import Table
from octavo.features.online.keys import StateKeys, decode_generation
from octavo.features.online.layout import Layout, TileGroup, decay_of
from octavo.features.online.reading import (
    COUNT,
    DECAYED,
    DISTINCT,
    ELEMENT,
    FEATURE,
    GREATEST_OF,
    LEAST_OF,
    MEAN,
    NEWEST,
    OLDEST,
    QUANTILE,
    STD,
    SUM,
    VIEW,
    WINDOW,
)
from octavo.features.online.rows import RowsReader, pack_tables
from octavo.features.online.shapes import GROUP, SHAPE, count_word, kept_vector, seen_word, shape_of, vector_word
from octavo.features.values import FeatureStatus, OnlineValues

_OPERATIONS = {
    Operation.COUNT: COUNT,
    Operation.SUM: SUM,
    Operation.MEAN: MEAN,
    Operation.RATE: MEAN,
    Operation.STD: STD,
    Operation.MIN: LEAST_OF,
    Operation.MAX: GREATEST_OF,
    Operation.QUANTILE: QUANTILE,
    Operation.DISTINCT: DISTINCT,
    Operation.FIRST: OLDEST,
    Operation.DECAYED_SUM: DECAYED,
    Operation.DECAYED_COUNT: DECAYED,
    Operation.LAST: NEWEST,
    Operation.LAST_K: NEWEST,
    Operation.LATEST: NEWEST,
}
_SECOND_US = 1_000_000


class Lookup:
    """Computes the features of some views from the states of their live generations.

    Parameters
    ----------
    pointers : sequence of bytes or None
        The views' generations, encoded; the features of a view without one are missing.
    views : sequence of PlannedView
        What to compute; a feature that the states do not hold is missing. Defaults stand in for what is not known.
    room : int
        How many columns, of NaN, follow those of the features.
    """

    def __init__(self, pointers: Sequence[bytes | None], views: Sequence[PlannedView], *, room: int = 0) -> None:
        self.pointers = list(pointers)
        self.is_complete = None not in self.pointers
        """Whether all views have states, be they of entities that nothing is known about."""
        generations = [None if pointer is None else decode_generation(pointer) for pointer in pointers]
        self.state_keys = [None if generation is None else StateKeys(generation.prefix) for generation in generations]
        """Of each view, where it has states."""
        program, first = _Program(), 0
        unknown: list[tuple[float, int]] = []
        for generation, view in zip(generations, views, strict=True):
            held = [generation is not None and generation.layout.holds(f) for f in view.features]
            unknown += [_without_events(f, is_held=is_held) for f, is_held in zip(view.features, held, strict=True)]
            placed = [(first + n, f) for n, (f, is_held) in enumerate(zip(view.features, held, strict=True)) if is_held]
            program.add(generation.layout if generation else None, placed)
            first += len(view.features)
        declared = [*(f.default for view in views for f in view.features), *[None] * room]
        unknown += [(np.nan, FeatureStatus.PRESENT)] * room
        tables = pack_tables(
            program.tables(),
            ranks=np.array(program.ranks, np.float64),
            unknown=np.array(unknown, np.float64).reshape(-1, 2).T,
            defaults=Defaults(declared).values.astype(np.float64),
        )
        self._reader = RowsReader(tables)

    def read(self, states: Sequence[bytes | None], places: Sequence[int], *, n_rows: int, at_us: int) -> OnlineValues:
        """The features of some rows.

        Parameters
        ----------
        states : sequence of bytes or None
            The states of entities; None for one that has none.
        places : sequence of int
            Which of the states each row is about, view by view; -1 for none.
        at_us : int
            Only events known before it count; microseconds since 1970.

        Raises
        ------
        IntegrityError
            If a state is damaged.
        """
        return self._reader.read([state or b"" for state in states], places, n_rows=n_rows, at_us=at_us)


def _without_events(f: Feature, *, is_held: bool) -> tuple[float, int]:
    """Value and status of a feature of an entity without events."""
    return (0.0, FeatureStatus.PRESENT) if is_held and f.operation.counts else (np.nan, FeatureStatus.MISSING)


@dataclass(slots=True)
class _Program:
    """The rows of the tables that the reading takes, view by view."""

    views: list[tuple[int, ...]] = field(default_factory=list)
    shapes: list[npt.NDArray[np.void]] = field(default_factory=list)
    groups: list[npt.NDArray[np.void]] = field(default_factory=list)
    windows: list[tuple[int, ...]] = field(default_factory=list)
    features: list[tuple[int, ...]] = field(default_factory=list)
    ranks: list[float] = field(default_factory=list)

    def add(self, layout: Layout | None, placed: Sequence[tuple[int, Feature]]) -> None:
        """Add a view, whose features are given with their places in the answer; none are read without a layout."""
        window = len(self.windows)
        if layout is None:
            self.views.append((0, window, 0, len(self.features), 0))
            return
        shape = shape_of(layout)
        shape.shape["group"] = sum(map(len, self.groups))
        self.shapes.append(shape.shape)
        self.groups.append(shape.groups)
        for window_s in dict.fromkeys(f.window_s for _, f in placed if not f.operation.is_of_newest):
            self._add_window(layout, [(at, f) for at, f in placed if f.window_s == window_s])
        newest = len(self.features)
        for place, f in placed:
            if f.operation.is_of_newest:
                self._add_newest(layout, place, f)
        of_newest = newest, len(self.features) - newest
        self.views.append((len(self.shapes) - 1, window, len(self.windows) - window, *of_newest))

    def tables(self) -> tuple[Table, ...]:
        """Views, shapes, groups, windows and features, as `read_states` takes them."""
        shapes, groups = np.concatenate([np.empty(0, SHAPE), *self.shapes]), [np.empty(0, GROUP), *self.groups]
        of_views = np.array(self.views, VIEW), shapes, np.concatenate(groups)
        return *of_views, np.array(self.windows, WINDOW), np.array(self.features, FEATURE)

    def _add_window(self, layout: Layout, placed: Sequence[tuple[int, Feature]]) -> None:
        placed = [(place, f) for place, f in placed if not f.operation.is_of_newest]
        _, f = placed[0]
        assert f.window_s is not None, "only a latest value has no window"
        assert f.tile_s is not None, "a window has a tile"
        group = [group.tile_s for group in layout.groups].index(f.tile_s)
        span_us, tile_us = f.window_s * _SECOND_US, f.tile_s * _SECOND_US
        self.windows.append((group, span_us, tile_us, len(self.features), len(placed)))
        for place, f in placed:
            n = layout.count_field(f.measure)
            total = layout.sum_field(f.measure) if f.measure else n
            own, slot = _own(layout, layout.groups[group], f)
            self.features.append((_OPERATIONS[f.operation], place, n, own, total, slot, half_life_us(f), 0))
            self.ranks.append(f.q or 0.0)

    def _add_newest(self, layout: Layout, place: int, f: Feature) -> None:
        assert f.measure is not None, "a newest value is of something"
        if f.index is not None:
            self._add_element(layout, place, f)
            return
        n, total, slot = layout.count_field(f.measure), layout.sum_field(f.measure), layout.newest_slot(f.measure)
        span_us, tile_us = (f.ttl_s or f.window_s or 0) * _SECOND_US, (f.tile_s or 0) * _SECOND_US
        self.features.append((NEWEST, place, n, (f.nth or 1) - 1, total, slot, span_us, tile_us))
        self.ranks.append(0.0)

    def _add_element(self, layout: Layout, place: int, f: Feature) -> None:
        number = [vector.column for vector in layout.vectors].index(f.measure or "")
        n, word, at = layout.count_field(f.measure), vector_word(layout, number), kept_vector(layout, number)
        span_us, tile_us = (f.ttl_s or f.window_s or 0) * _SECOND_US, (f.tile_s or 0) * _SECOND_US
        self.features.append((ELEMENT, place, n, f.index or 0, word, at, span_us, tile_us))
        self.ranks.append(0.0)


def _own(layout: Layout, group: TileGroup, f: Feature) -> tuple[int, int]:
    """The field that is a feature's own, or its word in rows, and the slot of its words in the group."""
    match f.operation, f.measure:
        case Operation.STD, str(measure):
            return layout.deviation_field(measure), 0
        case Operation.MIN, str(measure):
            return layout.minimum_field(measure), 0
        case Operation.MAX, str(measure):
            return layout.maximum_field(measure), 0
        case Operation.QUANTILE, str(measure):
            return count_word(layout, measure), group.quantiles.index(measure)
        case Operation.DISTINCT, str(measure):
            return seen_word(layout, measure), len(group.quantiles) + group.distincts.index(measure)
        case Operation.FIRST, str(measure):
            return 0, group.oldest.index(measure)
        case _ if f.operation.decays:
            return 0, group.decays.index(decay_of(f))
        case _:
            return 0, 0
