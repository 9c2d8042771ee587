"""Aggregates over windows that share a tile size, as steps of a query; how events reach them is told in `Grid`.

A tile holds partial states of the events of one entity that share the tile of their event time and the tile in which
they became available. Neither a far edge nor a near line ever cuts one, however late its events are, so it serves every
window.
"""

from dataclasses import dataclass

from octavo.definitions.aggregates import Operation
from octavo.definitions.features import Feature
from octavo.features.offline.grid import Grid
from octavo.features.offline.ranks import Ranks
from octavo.features.offline.sql import PARTS, PARTS_OF, floored, half_life_us, step, total_count, used, value_sql


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """One part of the state of one measure in one window; `name` is its column in every step that has it."""

    measure: str | None
    window_s: int
    part: str
    half_life_us: int = 0
    k: int = 0

    @property
    def name(self) -> str:
        return f"{used(self.measure)}_{self.window_s}_{self._part}"

    @property
    def in_tiles(self) -> bool:
        return PARTS[self.part].of_tiles is not None

    @property
    def tile_column(self) -> str:
        """What tiles, which know no windows, call the part."""
        return f"{used(self.measure)}_{self._part}"

    @property
    def settled_in(self) -> str:
        """The step that holds it over settled events."""
        return "tiled" if self.in_tiles else "rowwise"

    def into_tiles(self, tile: str) -> str:
        part = PARTS[self.part]
        return f"{self._taken(part.into_tiles or part.of_rows, x=self._x, tile=tile)} AS {self.tile_column}"

    def of_tiles(self) -> str:
        merged = self._taken(PARTS[self.part].of_tiles or "", x=self.tile_column)
        return f"{merged} FILTER (tile >= edge_{self.window_s}) AS {self.name}"

    def of_rows(self) -> str:
        taken = self._taken(PARTS[self.part].of_rows, x=self._x)
        return f"{taken} FILTER (happened >= edge_{self.window_s}) AS {self.name}"

    @property
    def _part(self) -> str:
        return f"{self.part}_{self.half_life_us}" if self.half_life_us else self.part

    @property
    def _x(self) -> str:
        """What is taken of an event; events themselves decay as a 1 each."""
        return "1" if self.measure is None and self.half_life_us else used(self.measure)

    def _taken(self, aggregate: str, *, x: str, tile: str = "") -> str:
        return aggregate.format(x=x, tile=tile, half_life=self.half_life_us, k=self.k)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowGroup:
    """The windows of a view that share a tile size."""

    tile_s: int
    features: tuple[Feature, ...]

    def steps(self) -> list[str]:
        """The steps of the query that compute what the values are put together from."""
        states, grid = self._states(), self._grid
        steps = [grid.spots(), grid.fresh("fresh", parts=[state.of_rows() for state in states])]
        if in_tiles := [state for state in states if state.in_tiles]:
            merged = [state.of_tiles() for state in in_tiles]
            steps += [
                self._tiles(in_tiles),
                grid.settled("tiled", parts=merged, source=grid.named("tiles"), tile="tile"),
            ]
        if others := [state.of_rows() for state in states if not state.in_tiles]:
            tile = floored("happened", self.tile_s)
            steps.append(grid.settled("rowwise", parts=others, source="happenings", tile=tile))
        return steps + (ranks.steps() if (ranks := self._ranks) else [])

    def joins(self) -> list[str]:
        """Joins of those steps to ``points``."""
        settled = dict.fromkeys(state.settled_in for state in self._states())
        return [
            self._grid.join_by_point("spots"),
            self._grid.join_by_point("fresh"),
            *(self._grid.join_by_anchor(name) for name in settled),
            *(ranks.joins() if (ranks := self._ranks) else []),
        ]

    def value(self, feature: Feature) -> str:
        """The value of one of the group's features, after the joins."""
        states = self._states_of(feature)
        settled = {s.part: f"{self._grid.named(s.settled_in)}.{s.name}" for s in states}
        fresh = {s.part: f"{self._grid.named('fresh')}.{s.name}" for s in states}
        if self._ranks and feature.operation is Operation.QUANTILE:
            return self._ranks.value(feature, n=total_count(settled, fresh))
        return value_sql(feature, settled=settled, fresh=fresh, near=f"{self._grid.named('spots')}.near")

    @property
    def _grid(self) -> Grid:
        windows_s = {f.window_s for f in self.features if f.window_s is not None}
        return Grid(tile_s=self.tile_s, windows_s=tuple(sorted(windows_s, reverse=True)))

    @property
    def _ranks(self) -> Ranks | None:
        quantiles = tuple(f for f in self.features if f.operation is Operation.QUANTILE)
        return Ranks(grid=self._grid, features=quantiles) if quantiles else None

    def _states(self) -> list[_State]:
        """All parts that the features need, each once."""
        return list(dict.fromkeys(state for f in self.features for state in self._states_of(f)))

    def _states_of(self, feature: Feature) -> list[_State]:
        like = [f.nth or 0 for f in self.features if (f.measure, f.window_s) == (feature.measure, feature.window_s)]
        return [
            _State(
                measure=feature.measure,
                window_s=feature.window_s or 0,
                part=part,
                half_life_us=half_life_us(feature),
                k=max(like) if part == "newest" else 0,
            )
            for part in PARTS_OF[feature.operation]
        ]

    def _tiles(self, states: list[_State]) -> str:
        tile, known = floored("happened", self.tile_s), floored("known", self.tile_s)
        parts = ", ".join(dict.fromkeys(state.into_tiles(tile) for state in states))
        return step(
            self._grid.named("tiles"),
            f"SELECT key, {tile} AS tile, {known} AS known, {parts}\n  FROM happenings GROUP BY 1, 2, 3",
        )
