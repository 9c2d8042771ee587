"""The query that computes a feature view at many points in time, generated from the view's definition.

A window at T covers event times from its far edge on, and uses events that became available before T. Both the far edge
and T's *near line* (T rounded down to the window's tile) lie on the tile grid, which splits the window's events in two:

- *settled*, available before the near line. They depend only on the entity and the tile that T lies in (its *anchor*), so
  they are merged once for all points of an anchor. Tiles hold the events of one entity that share the tile of their event
  time and the tile in which they became available; far edge and near line never cut one.
- *fresh*, available from the near line to T: few, read row by row.

The two are disjoint and complete however late events are. The work is one settled merge per anchor, and per point a part
of a tile; not one scan of the window per point.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from octavo.definitions.features import Feature, FeatureView
from octavo.features.sql import PARTS, PARTS_OF, floored, quoted, rounded, value_sql

_MICROS = 1_000_000


def view_query(view: FeatureView) -> str:
    """The SELECT that computes a view's features.

    It reads ``events`` (the source's table) and ``spine`` (columns ``place``, ``key``, ``at``), with the parameters
    ``$earliest`` and ``$latest`` between which event times and availability can matter. It returns one row per row of the
    spine, ordered by ``place``, with one DOUBLE column per feature, by its name.
    """
    windows = [f for f in view.features if f.window_s is not None]
    groups = [_Group(tile_s=t, features=tuple(f for f in windows if f.tile_s == t)) for t in _tiles(windows)]
    lasts = [f for f in view.features if f.window_s is None]
    steps = [_points(), _events(view)]
    joins: list[str] = []
    for group in groups:
        steps += group.steps()
        joins += group.joins()
    if lasts:
        steps += _latest_steps(lasts)
        joins.append("LEFT JOIN latest ON latest.point = points.point")
    values = {f.name: group.value(f) for group in groups for f in group.features}
    values |= {f.name: f"latest.{quoted(f.name)}" for f in lasts}
    selected = ",\n  ".join(f"{values[f.name]} AS {quoted(f.name)}" for f in view.features)
    return (
        "WITH " + ",\n".join(steps) + f"\nSELECT {selected}\nFROM spine\n"
        "LEFT JOIN points ON points.key = spine.key AND points.t = epoch_us(spine.at)\n"
        + "\n".join(joins)
        + "\nORDER BY spine.place"
    )


def reach_s(view: FeatureView) -> int:
    """How far before T an event can have happened and still count, in seconds."""
    return max((f.window_s or 0) + (f.tile_s or 0) + (f.ttl_s or 0) for f in view.features)


def _tiles(windows: Iterable[Feature]) -> list[int]:
    return sorted({f.tile_s for f in windows if f.tile_s is not None})


def _step(name: str, select: str) -> str:
    return f"{name} AS MATERIALIZED (\n  {select}\n)"


def _points() -> str:
    distinct = "SELECT DISTINCT key, epoch_us(at) AS t FROM spine WHERE key IS NOT NULL"
    return _step("points", f"SELECT row_number() OVER () AS point, key, t FROM ({distinct})")


def _events(view: FeatureView) -> str:
    """The source's events that can matter, with each used column as ``x_<column>``."""
    source = view.source
    columns = [f"{quoted(view.key)} AS key", f"epoch_us({quoted(source.event_time)}) AS happened"]
    columns += [f"epoch_us({quoted(source.available_at)}) AS known", '"_event_id" AS id']
    for column in sorted({f.column for f in view.features if f.column}):
        numeric = source.dtype(column).is_numeric
        columns.append(f"{quoted(column)}{'::DOUBLE' if numeric else ''} AS {_x(column)}")
    for column in sorted({f.column for f in view.features if f.column and f.q is not None}):
        columns.append(f"{rounded(f'{quoted(column)}::DOUBLE')} AS {_x(column, is_rounded=True)}")
    return _step(
        "happenings",
        f"SELECT {', '.join(columns)}\n  FROM events WHERE {quoted(view.key)} IN (SELECT key FROM points)\n"
        f"    AND {quoted(source.event_time)} >= $earliest AND {quoted(source.available_at)} < $latest",
    )


def _x(column: str | None, *, is_rounded: bool = False) -> str:
    """A column of events inside the query; that of a count of events is their time, which is never null."""
    if column is None:
        return "happened"
    return quoted(f"{'r' if is_rounded else 'x'}_{column}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """One part of the state of a column's window."""

    column: str | None
    window_s: int
    part: str

    @property
    def name(self) -> str:
        return quoted(f"{self.stem}{self.part}")

    @property
    def stem(self) -> str:
        return f"{self.column or ''}@{self.window_s}:"

    @property
    def tile_column(self) -> str:
        return quoted(f"{self.column or ''}:{self.part}")

    def of_rows(self) -> str:
        """The part over rows of events."""
        kind = PARTS[self.part]
        x = _x(self.column, is_rounded=kind.rounded)
        return f"{kind.of_rows}({x}) FILTER (happened >= {_edge(self.window_s)} AND {x} IS NOT NULL)"

    def of_tiles(self) -> str:
        """The part over tiles."""
        return f"{PARTS[self.part].of_tiles}({self.tile_column}) FILTER (happened >= {_edge(self.window_s)})"


def _edge(window_s: int) -> str:
    """The column that holds a window's far edge."""
    return f"edge_{window_s}"
