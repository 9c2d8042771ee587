"""The points and events of windows that share a tile size, as steps of a query.

A window at T covers event times from its far edge on, and uses events that became available before T. Both the far edge
and T's *near line* (T rounded down to the tile) lie on the tile grid, which splits the window's events in two:

- *settled*, available before the near line. They depend only on the entity and on the tile that T lies in (the
  *anchor*), so they are merged once for all points of an anchor.
- *fresh*, available from the near line to T: few, read row by row.

The two are disjoint and complete however late events are. The work is one settled merge per anchor, and for each point
a part of one tile, instead of one scan of the window per point.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from octavo.features.offline.sql import floored, step


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Lines at multiples of a tile, and the steps that they give.

    The steps read ``points`` (point, key, t) and ``happenings`` (key, happened, known and the columns used).

    Attributes
    ----------
    windows_s : tuple of int
        Lengths of the windows, the longest first.
    """

    tile_s: int
    windows_s: tuple[int, ...]

    def named(self, name: str) -> str:
        """The name of a step of this grid."""
        return f"{name}_{self.tile_s}"

    def spots(self) -> str:
        """Points with their near line, each window's far edge (``edge_<seconds>``) and the number of their anchor."""
        edges = ", ".join(f"{floored(f'(t - {w * 1_000_000})', self.tile_s)} AS edge_{w}" for w in self.windows_s)
        lines = f"SELECT *, {floored('t', self.tile_s)} AS near, {edges} FROM points"
        anchor = f"min(point) OVER (PARTITION BY key, near, {self._edges}) AS anchor"
        return step(self.named("spots"), f"SELECT *, {anchor} FROM ({lines})")

    def settled(self, name: str, *, parts: Iterable[str], source: str, tile: str) -> str:
        """A step of one row per anchor, over its settled events.

        Parameters
        ----------
        parts : iterable of str
            Aggregates over the rows of `source`; they take their window by ``edge_<seconds>``.
        source : str
            A step of events or of tiles, with ``key`` and ``known``.
        tile : str
            The tile of the event time of its rows.
        """
        anchors = f"SELECT DISTINCT anchor, key, near, {self._edges} FROM {self.named('spots')}"
        cells = f"SELECT *, unnest(range(edge_{self.windows_s[0]}, near, {self.tile_s * 1_000_000})) AS cell"
        return step(
            self.named(name),
            f"SELECT anchor, {', '.join(parts)}\n"
            f"  FROM ({cells} FROM ({anchors})) AS cells\n"
            f"  JOIN {source} AS source ON source.key = cells.key AND {tile} = cells.cell\n"
            "  WHERE source.known < cells.near\n  GROUP BY anchor",
        )

    def fresh(self, name: str, *, parts: Iterable[str], beside: str = "") -> str:
        """A step of one row per point, over its fresh events.

        Parameters
        ----------
        parts : iterable of str
            Aggregates over events.
        beside : str
            A step of one row per anchor that `parts` read too.
        """
        joined = f"\n  LEFT JOIN {beside} AS beside ON beside.anchor = spots.anchor" if beside else ""
        return step(
            self.named(name),
            f"SELECT point, {', '.join(parts)}\n"
            f"  FROM {self.named('spots')} AS spots\n"
            f"  JOIN happenings AS h ON h.key = spots.key AND {floored('h.known', self.tile_s)} = spots.near{joined}\n"
            f"  WHERE h.known < spots.t AND h.happened >= spots.edge_{self.windows_s[0]}\n  GROUP BY point",
        )

    def join_by_point(self, name: str) -> str:
        """Join a step of one row per point to ``points``."""
        return f"LEFT JOIN {self.named(name)} ON {self.named(name)}.point = points.point"

    def join_by_anchor(self, name: str) -> str:
        """Join a step of one row per anchor to ``points``, after ``spots``."""
        return f"LEFT JOIN {self.named(name)} ON {self.named(name)}.anchor = {self.named('spots')}.anchor"

    @property
    def _edges(self) -> str:
        return ", ".join(f"edge_{window_s}" for window_s in self.windows_s)
