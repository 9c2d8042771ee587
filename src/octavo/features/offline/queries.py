"""The query that computes a feature view at many points in time, generated from the view's definition."""

from octavo.definitions.aggregates import Operation
from octavo.definitions.features import FeatureView
from octavo.features.measures import measure_sql
from octavo.features.offline.latest import LatestValues
from octavo.features.offline.sql import joined_key, quoted, rounded, step, used
from octavo.features.offline.windows import WindowGroup

_NEWEST = (Operation.LAST, Operation.LATEST)
"""Found by `LatestValues`; all others are of what lies in a window."""


def view_query(view: FeatureView) -> str:
    """The SELECT that computes a view's features.

    It reads ``events`` (the source's table) and ``spine`` (columns ``place``, ``moment``, and the entity's ``key``, or
    of several ``key_0``, ``key_1`` and so on) and takes two parameters: ``$earliest``, before which no event matters by
    its event time, and ``$latest``, from which on none does by its availability. It returns a row per row of the spine,
    ordered by ``place``, and a DOUBLE column per feature.
    """
    newest = tuple(f for f in view.features if f.operation in _NEWEST)
    values: dict[str, str] = {}
    spine = "spine" if len(view.keys) == 1 else "keyed AS spine"
    steps = [*_keyed(view), _points(spine), _happenings(view)]
    joins = ["LEFT JOIN points ON points.key = spine.key AND points.t = epoch_us(spine.moment)"]
    for group in window_groups(view):
        steps += group.steps()
        joins += group.joins()
        values |= {f.name: group.value(f) for f in group.features}
    if newest:
        latest = LatestValues(features=newest, may_be_late=view.source.available_at != view.source.event_time)
        steps += latest.steps()
        joins += latest.joins()
        values |= {f.name: latest.value(f) for f in newest}
    selected = ",\n  ".join(f"({values[f.name]})::DOUBLE AS {quoted(f.name)}" for f in view.features)
    return "WITH {}\nSELECT\n  {}\nFROM {}\n{}\nORDER BY spine.place".format(
        ",\n".join(steps), selected, spine, "\n".join(joins)
    )


def window_groups(view: FeatureView) -> list[WindowGroup]:
    """A view's windows by tile size."""
    features = [f for f in view.features if f.operation not in _NEWEST]
    tiles_s = sorted({f.tile_s for f in features if f.tile_s is not None})
    return [WindowGroup(tile_s=t, features=tuple(f for f in features if f.tile_s == t)) for t in tiles_s]


def reach_s(view: FeatureView) -> int:
    """How far before T an event can have happened and still count, in seconds."""
    return max((f.window_s or 0) + (f.tile_s or 0) + (f.ttl_s or 0) for f in view.features)


def _keyed(view: FeatureView) -> list[str]:
    """The spine of a view of several entities, with one key for all of them."""
    if len(view.keys) == 1:
        return []
    key = joined_key(f"key_{n}" for n in range(len(view.keys)))
    return [step("keyed", f"SELECT place, moment, {key} AS key FROM spine")]


def _points(spine: str) -> str:
    """The distinct points of the spine, numbered by the first place of each: every engine numbers them alike."""
    return step(
        "points",
        f"SELECT min(place) AS point, key, epoch_us(moment) AS t FROM {spine} WHERE key IS NOT NULL GROUP BY key, t",
    )


def _happenings(view: FeatureView) -> str:
    """The events that can matter: entity key, both times, the id, and each measure that a feature takes."""
    happened, known = quoted(view.source.event_time), quoted(view.source.available_at)
    keys = [quoted(key) for key in view.keys]
    key = keys[0] if len(keys) == 1 else joined_key(keys)
    selected = [f"{key} AS key", f"epoch_us({happened}) AS happened", f"epoch_us({known}) AS known", "_event_id AS id"]
    for measure in sorted({f.measure for f in view.features if f.measure}):
        number = measure_sql(measure, view.source)
        selected.append(f"{number} AS {used(measure)}")
        if any(f.measure == measure and f.q is not None for f in view.features):
            selected.append(f"{rounded(f'({number})')} AS {used(measure, is_rounded=True)}")
    events = f"SELECT {', '.join(selected)}\n  FROM events\n  WHERE {happened} >= $earliest AND {known} < $latest"
    if all(f.tile_s is None for f in view.features):  # latest values read times first, and little of the rest
        return f"happenings AS NOT MATERIALIZED (\n  {events}\n)"
    return step("happenings", f"{events} AND {key} IN (SELECT DISTINCT key FROM points)")
