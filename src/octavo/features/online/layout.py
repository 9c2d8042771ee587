"""What the online state of one entity in one feature view holds, derived from the view's features."""

from collections.abc import Iterable
from dataclasses import dataclass

from octavo.definitions.aggregates import Operation
from octavo.definitions.features import Feature


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Decay:
    """A decayed sum of a column, or number of events for the column ""."""

    column: str
    half_life_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptVector:
    """A column of vectors of which the newest is kept."""

    column: str
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TileGroup:
    """The tiles of one size; all windows cut by that size share them.

    Attributes
    ----------
    tile_s, retention_s : int
        Seconds of a tile, and of the longest window read from these tiles.
    quantiles : tuple of str
        Columns whose values are counted per tile.
    distincts : tuple of str
        Columns of hashes of which the smallest are kept per tile.
    decays : tuple of Decay
    oldest : tuple of str
        Columns of which the oldest value is kept per tile.
    """

    tile_s: int
    retention_s: int
    quantiles: tuple[str, ...]
    distincts: tuple[str, ...] = ()
    decays: tuple[Decay, ...] = ()
    oldest: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which numbers are kept; equal for equal features in any order.

    Every tile holds the same row of fields, in this order: number of events, number of values per column, sum per
    column, then squared deviations, minima and maxima of the columns that need them.

    Attributes
    ----------
    columns : tuple of str
        What any feature takes of events, sorted: columns of the source and other measures (`Feature.measure`).
    deviations, minima, maxima : tuple of str
        Columns for which the sum of squared deviations, the smallest or the largest value is kept.
    latest : tuple of str
        Columns whose newest value is kept.
    groups : tuple of TileGroup
        By size of tile, ascending.
    depths : tuple of int
        How many of the newest values are kept, by column of `latest`; one of each if empty.
    vectors : tuple of KeptVector
        By column.
    """

    columns: tuple[str, ...]
    deviations: tuple[str, ...]
    minima: tuple[str, ...]
    maxima: tuple[str, ...]
    latest: tuple[str, ...]
    groups: tuple[TileGroup, ...]
    depths: tuple[int, ...] = ()
    vectors: tuple[KeptVector, ...] = ()

    @property
    def quantiles(self) -> tuple[str, ...]:
        """Columns whose values are counted in any group, sorted."""
        return tuple(sorted({column for group in self.groups for column in group.quantiles}))

    @property
    def distincts(self) -> tuple[str, ...]:
        """Columns of hashes that any group keeps, sorted."""
        return tuple(sorted({column for group in self.groups for column in group.distincts}))

    @property
    def n_fields(self) -> int:
        return 1 + 2 * len(self.columns) + len(self.deviations) + len(self.minima) + len(self.maxima)

    def count_field(self, column: str | None) -> int:
        """Place of the number of events (None) or of the values of a column."""
        return 0 if column is None else 1 + self.columns.index(column)

    def sum_field(self, column: str) -> int:
        return 1 + len(self.columns) + self.columns.index(column)

    def deviation_field(self, column: str) -> int:
        return 1 + 2 * len(self.columns) + self.deviations.index(column)

    def minimum_field(self, column: str) -> int:
        return 1 + 2 * len(self.columns) + len(self.deviations) + self.minima.index(column)

    def maximum_field(self, column: str) -> int:
        return 1 + 2 * len(self.columns) + len(self.deviations) + len(self.minima) + self.maxima.index(column)

    @property
    def n_newest(self) -> int:
        """How many newest values are kept of all columns."""
        return sum(self.depths) or len(self.latest)

    def depth(self, column: str) -> int:
        """How many of a column's newest values are kept."""
        return self.depths[self.latest.index(column)] if self.depths else 1

    def newest_slot(self, column: str) -> int:
        """Place of a column's newest value among all that are kept."""
        place = self.latest.index(column)
        return sum(self.depths[:place]) if self.depths else place

    def holds(self, feature: Feature) -> bool:
        """Whether the feature can be computed from what is kept."""
        column = feature.measure
        if column is not None and column not in self.columns:
            return False
        if feature.index is not None:
            return any(v.column == column and feature.index < v.length for v in self.vectors)
        if feature.operation.is_of_newest:
            return column in self.latest and (feature.nth or 1) <= self.depth(column)
        group = next((g for g in self.groups if g.tile_s == feature.tile_s), None)
        if group is None or feature.window_s is None or feature.window_s > group.retention_s:
            return False
        needed = {
            Operation.STD: self.deviations,
            Operation.MIN: self.minima,
            Operation.MAX: self.maxima,
            Operation.QUANTILE: group.quantiles,
            Operation.DISTINCT: group.distincts,
            Operation.FIRST: group.oldest,
        }.get(feature.operation)
        if feature.half_life_s is not None:
            return decay_of(feature) in group.decays
        return needed is None or column in needed


def decay_of(feature: Feature) -> Decay:
    """What is kept for a feature that decays."""
    return Decay(column=feature.measure or "", half_life_s=feature.half_life_s or 0)


def layout_of(features: Iterable[Feature]) -> Layout:
    """The layout that serves all of `features`."""
    features = tuple(features)
    tiled = [f for f in features if f.tile_s is not None and not f.operation.is_of_newest]
    tiles = sorted({f.tile_s for f in tiled if f.tile_s is not None})
    of_vectors = [f for f in features if f.index is not None]
    single = [f for f in features if f.index is None]
    latest = _columns(single, Operation.LAST, Operation.LAST_K, Operation.LATEST)
    depths = tuple(max(f.nth or 1 for f in features if f.measure == column) for column in latest)
    return Layout(
        columns=_columns(features, *Operation),
        deviations=_columns(features, Operation.STD),
        minima=_columns(features, Operation.MIN),
        maxima=_columns(features, Operation.MAX),
        latest=latest,
        groups=tuple(_group(tile, [f for f in tiled if f.tile_s == tile]) for tile in tiles),
        depths=depths if any(depth > 1 for depth in depths) else (),
        vectors=tuple(_kept_vector(column, of_vectors) for column in _columns(of_vectors, *Operation)),
    )


def _columns(features: Iterable[Feature], *operations: Operation) -> tuple[str, ...]:
    return tuple(sorted({f.measure for f in features if f.measure is not None and f.operation in operations}))


def _kept_vector(column: str, features: Iterable[Feature]) -> KeptVector:
    return KeptVector(column=column, length=1 + max(f.index or 0 for f in features if f.measure == column))


def _group(tile: int, features: list[Feature]) -> TileGroup:
    return TileGroup(
        tile_s=tile,
        retention_s=max(f.window_s or 0 for f in features),
        quantiles=_columns(features, Operation.QUANTILE),
        distincts=_columns(features, Operation.DISTINCT),
        decays=tuple(sorted({decay_of(f) for f in features if f.half_life_s is not None})),
        oldest=_columns(features, Operation.FIRST),
    )
