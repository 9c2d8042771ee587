"""Quantiles of windows that share a tile size, as steps of a query.

The value of rank r among a window's n values is wanted, r = ceil(q * n). An anchor's settled values are sorted once; a
point adds m fresh ones. Of the settled, only those at the places r - m to r can be the answer, and of the fresh, only
those between them in size; the others are counted. So each point sorts a handful of values, however long the window.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from octavo.definitions.features import Feature
from octavo.features.offline.grid import Grid
from octavo.features.offline.sql import floored, step, used


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """The quantiles among a grid's features.

    Its steps read the grid's ``fresh`` step, which counts the fresh values of each window, under the name `counted`.
    """

    grid: Grid
    features: tuple[Feature, ...]

    def steps(self) -> list[str]:
        """The steps that find, per anchor and per point, the few values that matter."""
        return [self._sorted(), self._crowds(), self._around(), self._between()]

    def joins(self) -> list[str]:
        return [self.grid.join_by_anchor("around"), self.grid.join_by_point("between")]

    def value(self, feature: Feature, *, n: str) -> str:
        """The quantile after the joins; `n` is the number of values in its window."""
        around, between = (f"{self.grid.named(name)}.{_named(feature)}" for name in ("around", "between"))
        place = f"({_rank(feature, n=n)} - coalesce({around}_passed, 0) - coalesce({between}_below, 0))"
        skipped = f"greatest({place} - 1 - coalesce(len({between}_fresh), 0), 0)"
        near = f"list_slice({around}_values, {skipped} + 1, {place})"
        return f"list_sort(list_concat({near}, {between}_fresh))[{place} - {skipped}]"

    def _sorted(self) -> str:
        """All settled values of each anchor and window, ascending."""
        parts = dict.fromkeys(
            f"list_sort(list({_value(f)}) FILTER ({_inside(f)} AND {_value(f)} IS NOT NULL)) AS {_window(f)}"
            for f in self.features
        )
        tile = floored("happened", self.grid.tile_s)
        return self.grid.settled("sorted", parts=parts, source="happenings", tile=tile)

    def _crowds(self) -> str:
        """The most fresh values that any point of an anchor adds."""
        most = ", ".join(dict.fromkeys(f"max({counted(f)}) AS {counted(f)}" for f in self.features))
        joined = (
            f"{self.grid.named('spots')} AS spots JOIN {self.grid.named('fresh')} AS fresh ON fresh.point = spots.point"
        )
        return step(self.grid.named("crowds"), f"SELECT anchor, {most}\n  FROM {joined}\n  GROUP BY anchor")

    def _around(self) -> str:
        """Of each anchor's settled values, those at places that can hold the answer for any of its points.

        With n settled values and up to M fresh ones the rank is at most ceil(q * (n + M)), and each fresh value less
        lowers it by at most one. So the places from that rank - M to that rank hold the answer, whatever a point adds.
        """
        parts = ", ".join(part for f in self.features for part in self._places(f))
        joined = f"{self.grid.named('sorted')} AS sorted LEFT JOIN {self.grid.named('crowds')} AS crowds"
        return step(
            self.grid.named("around"),
            f"SELECT sorted.anchor, {parts}\n  FROM {joined} ON crowds.anchor = sorted.anchor",
        )

    def _places(self, feature: Feature) -> Iterator[str]:
        held, crowd = f"sorted.{_window(feature)}", f"coalesce(crowds.{counted(feature)}, 0)"
        last = _rank(feature, n=f"(coalesce(len({held}), 0) + {crowd})")
        passed = f"greatest({last} - {crowd} - 1, 0)"
        yield f"{passed} AS {_named(feature)}_passed"
        yield f"list_slice({held}, {passed} + 1, {last}) AS {_named(feature)}_values"
        yield f"{held}[{passed}] AS {_named(feature)}_low"
        yield f"{held}[{last}] AS {_named(feature)}_high"

    def _between(self) -> str:
        """Of each point's fresh values, how many stand below those places, and which stand between them."""
        parts = (part for f in self.features for part in self._fresh_parts(f))
        return self.grid.fresh("between", parts=parts, beside=self.grid.named("around"))

    def _fresh_parts(self, feature: Feature) -> Iterator[str]:
        v, name, inside = _value(feature), _named(feature), _inside(feature)
        between = f"coalesce({v} > {name}_low, true) AND coalesce({v} < {name}_high, true)"
        yield f"count(*) FILTER ({inside} AND {v} <= {name}_low) AS {name}_below"
        yield f"list({v}) FILTER ({inside} AND {v} IS NOT NULL AND {between}) AS {name}_fresh"


def counted(feature: Feature) -> str:
    """The column that holds how many values there are in a feature's window."""
    return f"{_window(feature)}_n"


def _window(feature: Feature) -> str:
    return f"{used(feature.measure)}_{feature.window_s}"


def _inside(feature: Feature) -> str:
    return f"happened >= edge_{feature.window_s}"


def _named(feature: Feature) -> str:
    return f"q_{feature.name}"


def _value(feature: Feature) -> str:
    return used(feature.measure, is_rounded=True)


def _rank(feature: Feature, *, n: str) -> str:
    return f"greatest(ceil(CAST('{feature.q!r}' AS DOUBLE) * {n})::BIGINT, 1)"
