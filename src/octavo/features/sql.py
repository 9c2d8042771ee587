"""Each aggregate as DuckDB expressions over partial states.

A window's events reach a query in two disjoint sets (see `octavo.features.windows`): *settled* ones, merged from tiles
or from rows, and *fresh* ones, read row by row. A `Part` is one piece of an aggregate's state, taken of either set;
`value_sql` puts the parts of both together. Inside queries times are BIGINT microseconds since 1970, numbers DOUBLE.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

from octavo.definitions.aggregates import Operation
from octavo.features.distinct import count_sql

_LARGEST_ROUNDED = "CAST('1e290' AS DOUBLE)"
_SPLIT = "CAST('70368744177665' AS DOUBLE)"  # 2**46 + 1: of the 53 bits of a double, 7 stay


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One piece of an aggregate's state.

    Attributes
    ----------
    of_rows : str
        Aggregate over a measure, which stands for the braces.
    of_tiles : str or None
        Aggregate that merges the piece over tiles; None where tiles cannot hold it and rows are read instead.
    """

    of_rows: str
    of_tiles: str | None = None


PARTS = {
    "n": Part(of_rows="count({})", of_tiles="sum({})"),
    "total": Part(of_rows="fsum({})", of_tiles="fsum({})"),
    "low": Part(of_rows="min({})", of_tiles="min({})"),
    "high": Part(of_rows="max({})", of_tiles="max({})"),
    "mean": Part(of_rows="avg({})"),
    "variance": Part(of_rows="var_pop({})"),
    "seen": Part(of_rows="list(DISTINCT {})"),
}

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
}


def quoted(identifier: str) -> str:
    """An identifier, whatever its name: columns may be called `order`."""
    return '"' + identifier.replace('"', '""') + '"'


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


def value_sql(operation: Operation, *, settled: Mapping[str, str], fresh: Mapping[str, str]) -> str:
    """A window's value, null where there is none.

    Parameters
    ----------
    operation : Operation
        Any but a quantile, which `octavo.features.ranks` finds, and a latest value, which has no window.
    settled, fresh : mapping of part to column
        Where the operation's parts stand, null where there are no events.
    """
    s, f = settled, fresh
    match operation:
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
        case _:
            raise ValueError(f"{operation} is not put together from parts")


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
