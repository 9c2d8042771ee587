"""Latest values as they stood before each point, as steps of a query.

The newest event known at a point is found by the time at which it became known, in one ASOF join, and then among the
events that became known at that time. Events that were older than others when they became known never stand, and are
left out before. Where the newest event has no value in a column, the same is done again with the events that have one,
for the points concerned; where columns have few nulls, as they mostly do, each costs next to nothing more.
"""

from dataclasses import dataclass

from octavo.definitions.features import Feature
from octavo.features.offline.sql import floored, step, used

_MICROS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestValues:
    """The latest values of a view.

    The steps read ``points`` (point, key, t) and ``happenings`` (key, happened, known, id and the columns used).

    Attributes
    ----------
    may_be_late : bool
        Whether an event can become known after a newer one.
    """

    features: tuple[Feature, ...]
    may_be_late: bool

    def steps(self) -> list[str]:
        """The steps of the query that find the values."""
        steps = self._found("latest", columns=self._columns, source="happenings", points="points")
        for x in self._columns:
            lacking = f"lacking_{x}"
            concerned = (
                f"SELECT points.* FROM latest JOIN points ON points.point = latest.point WHERE latest.{x} IS NULL"
            )
            having = f"(SELECT * FROM happenings WHERE {x} IS NOT NULL)"
            steps.append(step(lacking, concerned))
            steps += self._found(f"latest_{x}", columns=[x], source=having, points=lacking)
        for name, feature in self._vectors.items():
            joined = "\n  ".join(f"LEFT JOIN {step} ON {step}.point = points.point" for step in self._found_steps)
            steps.append(step(name, f"SELECT points.point, {_whole(feature)} AS whole\n  FROM points\n  {joined}"))
        return steps

    def joins(self) -> list[str]:
        """Joins of those steps to ``points``."""
        return [f"LEFT JOIN {name} ON {name}.point = points.point" for name in (*self._found_steps, *self._vectors)]

    def value(self, feature: Feature) -> str:
        """The value of one of the features, after the joins."""
        if feature.index is None:
            return _whole(feature)
        return f"{_vector(feature)}.whole[{feature.index + 1}]"

    @property
    def _found_steps(self) -> list[str]:
        return ["latest", *(f"latest_{x}" for x in self._columns)]

    @property
    def _vectors(self) -> dict[str, Feature]:
        """A feature of each vector, by the name of the step that has the vector; one step computes it for all."""
        return {_vector(feature): feature for feature in self.features if feature.index is not None}

    @property
    def _columns(self) -> list[str]:
        return sorted({used(f.measure) for f in self.features})

    def _found(self, name: str, *, columns: list[str], source: str, points: str) -> list[str]:
        """Steps the last of which, of the given name, has the newest event of each point that there is one for."""
        times = f"SELECT key, known, happened FROM {source} WHERE key IN (SELECT DISTINCT key FROM {points})"
        if self.may_be_late:
            newest = f"SELECT *, max(happened) OVER (PARTITION BY key ORDER BY known) AS newest FROM ({times})"
            times = f"SELECT key, known, happened FROM ({newest}) WHERE happened = newest"
        values = ", ".join(f"arg_max({x}, e.id) AS {x}" for x in columns)
        return [
            step(
                f"since_{name}",
                f"SELECT p.point, p.key, e.known, e.happened\n  FROM {points} AS p\n"
                f"  ASOF JOIN ({times}) AS e ON e.key = p.key AND e.known < p.t",
            ),
            step(
                name,
                f"SELECT s.point, any_value(e.happened) AS happened, {values}\n  FROM since_{name} AS s\n"
                f"  JOIN {source} AS e ON e.key = s.key AND e.known = s.known AND e.happened = s.happened\n"
                "  GROUP BY s.point",
            ),
        ]


def _vector(feature: Feature) -> str:
    return f"{feature.operation}_{used(feature.measure)}_{feature.ttl_s or feature.window_s}"


def _whole(feature: Feature) -> str:
    """The value of a feature, or the vector that it is of, where the found steps are joined to ``points``."""
    x = used(feature.measure)
    earlier = f"latest_{x}"
    happened = f"CASE WHEN latest.{x} IS NULL THEN {earlier}.happened ELSE latest.happened END"
    fresh = f"points.t - {happened} < {(feature.ttl_s or 0) * _MICROS}"
    if feature.window_s is not None and feature.tile_s is not None:
        edge = floored(f"(points.t - {feature.window_s * _MICROS})", feature.tile_s)
        fresh = f"{happened} >= {edge}"
    return f"CASE WHEN {fresh} THEN coalesce(latest.{x}, {earlier}.{x}) END"
