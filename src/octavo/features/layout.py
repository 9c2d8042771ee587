"""What the online state of one entity in one feature view holds, derived from the view's features."""

from collections.abc import Iterable
from dataclasses import dataclass

from octavo.definitions.aggregates import Operation
from octavo.definitions.features import Feature


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
    """

    tile_s: int
    retention_s: int
    quantiles: tuple[str, ...]
    distincts: tuple[str, ...] = ()


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
    """

    columns: tuple[str, ...]
    deviations: tuple[str, ...]
    minima: tuple[str, ...]
    maxima: tuple[str, ...]
    latest: tuple[str, ...]
    groups: tuple[TileGroup, ...]

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

    def holds(self, feature: Feature) -> bool:
        """Whether the feature can be computed from what is kept."""
        column = feature.measure
        if column is not None and column not in self.columns:
            return False
        if feature.operation.is_of_newest:
            return column in self.latest
        group = next((g for g in self.groups if g.tile_s == feature.tile_s), None)
        if group is None or feature.window_s is None or feature.window_s > group.retention_s:
            return False
        needed = {
            Operation.STD: self.deviations,
            Operation.MIN: self.minima,
            Operation.MAX: self.maxima,
            Operation.QUANTILE: group.quantiles,
            Operation.DISTINCT: group.distincts,
        }.get(feature.operation)
        return needed is None or column in needed


def layout_of(features: Iterable[Feature]) -> Layout:
    """The layout that serves all of `features`."""
    features = tuple(features)
    tiled = [f for f in features if f.tile_s is not None and not f.operation.is_of_newest]
    tiles = sorted({f.tile_s for f in tiled if f.tile_s is not None})
    return Layout(
        columns=_columns(features, *Operation),
        deviations=_columns(features, Operation.STD),
        minima=_columns(features, Operation.MIN),
        maxima=_columns(features, Operation.MAX),
        latest=_columns(features, Operation.LAST, Operation.LATEST),
        groups=tuple(_group(tile, [f for f in tiled if f.tile_s == tile]) for tile in tiles),
    )


def _columns(features: Iterable[Feature], *operations: Operation) -> tuple[str, ...]:
    return tuple(sorted({f.measure for f in features if f.measure is not None and f.operation in operations}))


def _group(tile: int, features: list[Feature]) -> TileGroup:
    return TileGroup(
        tile_s=tile,
        retention_s=max(f.window_s or 0 for f in features),
        quantiles=_columns(features, Operation.QUANTILE),
        distincts=_columns(features, Operation.DISTINCT),
    )
