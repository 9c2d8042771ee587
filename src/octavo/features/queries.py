"""The query that computes a feature view at many points in time, generated from the view's definition."""

from collections.abc import Sequence

from octavo.definitions.features import Feature, FeatureView
from octavo.features.sql import quoted, rounded, step, used
from octavo.features.windows import WindowGroup

_MICROS = 1_000_000


def view_query(view: FeatureView) -> str:
    """The SELECT that computes a view's features.

    It reads ``events`` (the source's table) and ``spine`` (columns ``place``, ``key``, ``moment``) and takes two
    parameters: ``$earliest``, before which no event matters by its event time, and ``$latest``, from which on none does
    by its availability. It returns a row per row of the spine, ordered by ``place``, and a DOUBLE column per feature.
    """
    lasts = [f for f in view.features if f.tile_s is None]
    values = {f.name: f"latest.{quoted(f.name)}" for f in lasts}
    steps = [_points(), _happenings(view)]
    joins = ["LEFT JOIN points ON points.key = spine.key AND points.t = epoch_us(spine.moment)"]
    for group in window_groups(view):
        steps += group.steps()
        joins += group.joins()
        values |= {f.name: group.value(f) for f in group.features}
    if lasts:
        steps += _latest(lasts)
        joins.append("LEFT JOIN latest ON latest.point = points.point")
    selected = ",\n  ".join(f"({values[f.name]})::DOUBLE AS {quoted(f.name)}" for f in view.features)
    return "WITH {}\nSELECT\n  {}\nFROM spine\n{}\nORDER BY spine.place".format(
        ",\n".join(steps), selected, "\n".join(joins)
    )


def window_groups(view: FeatureView) -> list[WindowGroup]:
    """A view's windows by tile size."""
    tiles_s = sorted({f.tile_s for f in view.features if f.tile_s is not None})
    return [WindowGroup(tile_s=t, features=tuple(f for f in view.features if f.tile_s == t)) for t in tiles_s]


def reach_s(view: FeatureView) -> int:
    """How far before T an event can have happened and still count, in seconds."""
    return max((f.window_s or 0) + (f.tile_s or 0) + (f.ttl_s or 0) for f in view.features)


def _points() -> str:
    """The distinct points of the spine, numbered."""
    distinct = "SELECT DISTINCT key, epoch_us(moment) AS t FROM spine WHERE key IS NOT NULL"
    return step("points", f"SELECT row_number() OVER () AS point, key, t FROM ({distinct})")


def _happenings(view: FeatureView) -> str:
    """The events that can matter: entity key, both times, the id, and each column that a feature uses."""
    happened, known, key = (quoted(c) for c in (view.source.event_time, view.source.available_at, view.key))
    selected = [f"{key} AS key", f"epoch_us({happened}) AS happened", f"epoch_us({known}) AS known", "_event_id AS id"]
    for column in sorted({f.column for f in view.features if f.column}):
        number = f"{quoted(column)}::DOUBLE" if view.source.dtype(column).is_numeric else quoted(column)
        selected.append(f"{number} AS {used(column)}")
        if any(f.column == column and f.q is not None for f in view.features):
            selected.append(f"{rounded(number)} AS {used(column, is_rounded=True)}")
    return step(
        "happenings",
        f"SELECT {', '.join(selected)}\n  FROM events\n"
        f"  WHERE {happened} >= $earliest AND {known} < $latest AND {key} IN (SELECT key FROM points)",
    )


def _latest(features: Sequence[Feature]) -> list[str]:
    """Latest values, as they stood before each point.

    Events of an entity are ranked once by event time, availability and id. The value that stood at a moment is that of
    the highest rank known by then, which a running maximum in the order of availability gives.
    """
    columns = sorted({f.column for f in features if f.column})
    ranks = ", ".join(
        f"max(max(rank) FILTER ({used(c)} IS NOT NULL)) OVER (PARTITION BY key ORDER BY known) AS rank_{c}"
        for c in columns
    )
    values = ", ".join(
        f"CASE WHEN p.t - {_of(f)}.happened < {(f.ttl_s or 0) * _MICROS} THEN {_of(f)}.{used(f.column)} END"
        f" AS {quoted(f.name)}"
        for f in features
    )
    newest = "\n  ".join(
        f"LEFT JOIN ranked AS newest_{c} ON newest_{c}.key = p.key AND newest_{c}.rank = standing.rank_{c}"
        for c in columns
    )
    order = "PARTITION BY key ORDER BY happened, known, id"
    return [
        step("ranked", f"SELECT *, row_number() OVER ({order}) AS rank FROM happenings"),
        step("standing", f"SELECT key, known, {ranks} FROM ranked GROUP BY key, known"),
        step(
            "latest",
            f"SELECT p.point, {values}\n  FROM points AS p\n"
            f"  ASOF LEFT JOIN standing ON standing.key = p.key AND standing.known < p.t\n  {newest}",
        ),
    ]


def _of(feature: Feature) -> str:
    return f"newest_{feature.column}"
