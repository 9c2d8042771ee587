"""Each aggregate as DuckDB expressions over partial states.

A window's events reach a query in two disjoint sets (see `octavo.features.offline.windows`): *settled* ones, merged
from tiles or from rows, and *fresh* ones, read row by row. A `Part` is one piece of an aggregate's state, taken of
either set; `value_sql` puts the parts of both together. Inside queries times are BIGINT microseconds since 1970,
numbers DOUBLE.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from octavo.definitions.aggregates import Operation
from octavo.definitions.features import Feature
from octavo.features.distinct import count_sql

_LARGEST_ROUNDED = "CAST('1e290' AS DOUBLE)"
_SPLIT = "CAST('70368744177665' AS DOUBLE)"  # 2**46 + 1: of the 53 bits of a double, 7 stay


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One piece of an aggregate's state.

    Attributes
    ----------
    of_rows : str
        Aggregate over a measure ``{x}``, or over its events.
    of_tiles : str or None
        Aggregate that merges the piece ``{x}`` over tiles; None where tiles cannot hold it and rows are read instead.
    into_tiles : str or None
        Aggregate that makes a tile's piece where that is not `of_rows`; ``{tile}`` is the start of the tile.

    All may name the half-life ``{half_life}``, in microseconds, and how many values are wanted, ``{k}``.
    """

    of_rows: str
    of_tiles: str | None = None
    into_tiles: str | None = None


_DECAYED = "fsum({{x}} * pow(2, ({} - {}) / {{half_life}}))"
_DATED = "CASE WHEN {x} IS NOT NULL THEN struct_pack(happened := happened, known := known, id := id, value := {x}) END"

PARTS = {
    "n": Part(of_rows="count({x})", of_tiles="sum({x})"),
    "total": Part(of_rows="fsum({x})", of_tiles="fsum({x})"),
    "low": Part(of_rows="min({x})", of_tiles="min({x})"),
    "high": Part(of_rows="max({x})", of_tiles="max({x})"),
    "mean": Part(of_rows="avg({x})"),
    "variance": Part(of_rows="var_pop({x})"),
    "seen": Part(of_rows="list(DISTINCT {x})"),
    "oldest": Part(of_rows=f"min({_DATED})", of_tiles="min({x})"),
    "newest": Part(of_rows=f"max({_DATED}, {{k}})"),
    "decayed": Part(
        of_rows=_DECAYED.format("happened", "near"),
        into_tiles=_DECAYED.format("happened", "{tile}"),
        of_tiles=_DECAYED.format("tile", "near"),
    ),
}
"""What decays is kept as of the start of its tile, and put together as of the near line; no weight is far from 1."""

PARTS_OF = {
    Operation.COUNT: ("n",),
    Operation.SUM: ("total",),
    Operation.MEAN: ("total", "n"),
    Operation.RATE: ("total", "n"),
    Operation.MIN: ("low",),
    Operation.MAX: ("high",),
    Operation.STD: ("n", "mean", "variance"),
    Operation.QUANTILE: ("n",),
    Operation.DISTINCT: ("seen",),
    Operation.FIRST: ("oldest",),
    Operation.LAST_K: ("newest",),
    Operation.DECAYED_SUM: ("decayed",),
    Operation.DECAYED_COUNT: ("decayed",),
}


def quoted(identifier: str) -> str:
    """An identifier, whatever its name: columns may be called `order`."""
    return '"' + identifier.replace('"', '""') + '"'


def all_known(columns: Iterable[str]) -> str:
    """The condition that no column is null."""
    return " AND ".join(f"{column} IS NOT NULL" for column in columns)


def joined_key(keys: Iterable[str]) -> str:
    """Several keys as one text, each after its length, so that no others give the same; null if one is null."""
    return " || ".join(f"length({key}::VARCHAR)::VARCHAR || ':' || {key}::VARCHAR" for key in keys)


def floored(micros: str, tile_s: int) -> str:
    """Micros rounded down to the tile grid, before 1970 too (DuckDB's % takes the sign of its left side)."""
    tile = tile_s * 1_000_000
    return f"({micros} - (({micros} % {tile}) + {tile}) % {tile})"


def rounded(value: str) -> str:
    """A DOUBLE rounded to 7 significant bits by Veltkamp's rule; the same bits as in numpy and Python."""
    return (
        f"CASE WHEN abs({value}) <= {_LARGEST_ROUNDED} "
        f"THEN {value} * {_SPLIT} - ({value} * {_SPLIT} - {value}) ELSE {value} END"
    )


def value_sql(feature: Feature, *, settled: Mapping[str, str], fresh: Mapping[str, str], near: str) -> str:
    """A window's value, null where there is none; a decayed count is then 0.

    Parameters
    ----------
    feature : Feature
        Any but a quantile, which `octavo.features.offline.ranks` finds, and a latest value, which has no window.
    settled, fresh : mapping of part to column
        Where the operation's parts stand, null where there are no events.
    near : str
        The near line of the point.
    """
    s, f = settled, fresh
    match feature.operation:
        case Operation.COUNT:
            return total_count(s, f)
        case Operation.SUM:
            return _total(s, f)
        case Operation.MEAN | Operation.RATE:
            return f"{_total(s, f)} / nullif({total_count(s, f)}, 0)"
        case Operation.MIN:
            return f"least({s['low']}, {f['low']})"
        case Operation.MAX:
            return f"greatest({s['high']}, {f['high']})"
        case Operation.DISTINCT:
            return count_sql(f"list_distinct(list_concat({s['seen']}, {f['seen']}))")
        case Operation.STD:
            return f"sqrt({_variance(s, f)})"
        case Operation.FIRST:
            return f"(least({s['oldest']}, {f['oldest']})).value"
        case Operation.LAST_K:
            return f"(list_reverse_sort(list_concat({s['newest']}, {f['newest']}))[{feature.nth}]).value"
        case Operation.DECAYED_SUM:
            return _decayed(s, f, feature, near)
        case Operation.DECAYED_COUNT:
            return f"coalesce({_decayed(s, f, feature, near)}, 0)"
        case _:
            raise ValueError(f"{feature.operation} is not put together from parts")


def _decayed(s: Mapping[str, str], f: Mapping[str, str], feature: Feature, near: str) -> str:
    """Both parts, as of the near line, as of the point."""
    both = f"coalesce({s['decayed']} + {f['decayed']}, {s['decayed']}, {f['decayed']})"
    return f"{both} * pow(2, ({near} - points.t) / {half_life_us(feature)})"


def half_life_us(feature: Feature) -> int:
    """Microseconds after which a value counts half; 0 for one that does not decay."""
    return (feature.half_life_s or 0) * 1_000_000


def total_count(s: Mapping[str, str], f: Mapping[str, str]) -> str:
    """How many values there are, settled and fresh."""
    return f"(coalesce({s['n']}, 0) + coalesce({f['n']}, 0))::DOUBLE"


def _total(s: Mapping[str, str], f: Mapping[str, str]) -> str:
    return f"coalesce({s['total']} + {f['total']}, {s['total']}, {f['total']})"


def _variance(s: Mapping[str, str], f: Mapping[str, str]) -> str:
    """Two populations as one (Chan, Golub and LeVeque, 1979); never by sums of squares, which cancel."""
    n = total_count(s, f)
    apart = f"({s['mean']} - {f['mean']})"
    between = f"{apart} * {apart} * ({s['n']}::DOUBLE * {f['n']} / {n})"
    both = f"({s['n']} * {s['variance']} + {f['n']} * {f['variance']} + {between}) / {n}"
    return f"coalesce({both}, {s['variance']}, {f['variance']})"


def step(name: str, select: str) -> str:
    """A named step of a query, computed once."""
    return f"{name} AS MATERIALIZED (\n  {select}\n)"


def used(measure: str | None, *, is_rounded: bool = False) -> str:
    """What a measure of events is called inside a query; events themselves are counted by their time, never null."""
    if measure is None:
        return "happened"
    name = measure if measure.isidentifier() else blake2b(measure.encode(), digest_size=8).hexdigest()
    return f"rounded_{name}" if is_rounded else f"x_{name}"
