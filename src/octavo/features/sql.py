"""Each aggregate as DuckDB expressions over partial states.

A window's events reach a query as two disjoint parts (see `octavo.features.windows`): *settled* ones, merged from tiles or
from rows, and *fresh* ones, read row by row. A `Part` is one piece of an aggregate's state in either; `value_sql` puts the
parts of both together. Times inside queries are BIGINT microseconds since 1970, numbers are DOUBLE.
"""

from dataclasses import dataclass

from octavo.definitions.aggregates import Operation
from octavo.definitions.features import Feature

_LARGEST_ROUNDED = "CAST('1e290' AS DOUBLE)"
_SPLIT = "CAST('70368744177665' AS DOUBLE)"  # 2**46 + 1: of the 53 bits of a double, 7 stay


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One piece of an aggregate's state.

    Attributes
    ----------
    of_rows : str
        Aggregate function over a column's values.
    of_tiles : str or None
        Aggregate function that merges the piece over tiles; None where tiles cannot hold it and rows are read instead.
    rounded : bool
        Whether it is taken of values rounded to 7 significant bits.
    """

    of_rows: str
    of_tiles: str | None = None
    rounded: bool = False


PARTS = {
    "n": Part(of_rows="count", of_tiles="sum"),
    "total": Part(of_rows="fsum", of_tiles="fsum"),
    "low": Part(of_rows="min", of_tiles="min"),
    "high": Part(of_rows="max", of_tiles="max"),
    "mean": Part(of_rows="avg"),
    "variance": Part(of_rows="var_pop"),
    "values": Part(of_rows="list", rounded=True),
}

PARTS_OF = {
    Operation.COUNT: ("n",),
    Operation.SUM: ("total",),
    Operation.MEAN: ("total", "n"),
    Operation.MIN: ("low",),
    Operation.MAX: ("high",),
    Operation.STD: ("n", "mean", "variance"),
    Operation.QUANTILE: ("values",),
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


def value_sql(feature: Feature, *, settled: str, fresh: str) -> str:
    """A window's value as DOUBLE, null where there is none.

    Parameters
    ----------
    settled, fresh : str
        What the columns of the parts start with; ``{settled}n`` is the count of settled values.
    """
    s = {part: f"{settled}{part}" for part in PARTS}
    f = {part: f"{fresh}{part}" for part in PARTS}
    n = f"(coalesce({s['n']}, 0) + coalesce({f['n']}, 0))::DOUBLE"
    total = f"coalesce({s['total']} + {f['total']}, {s['total']}, {f['total']})"
    match feature.operation:
        case Operation.COUNT:
            return n
        case Operation.SUM:
            return total
        case Operation.MEAN:
            return f"{total} / nullif({n}, 0)"
        case Operation.MIN:
            return f"least({s['low']}, {f['low']})"
        case Operation.MAX:
            return f"greatest({s['high']}, {f['high']})"
        case Operation.STD:
            return f"sqrt({_variance(s, f, n=n)})"
        case Operation.QUANTILE:
            return _quantile(s["values"], f["values"], q=feature.q or 0.0)
        case Operation.LATEST:
            raise ValueError("a latest value has no window")


def _variance(s: dict[str, str], f: dict[str, str], *, n: str) -> str:
    """Two populations as one (Chan, Golub and LeVeque, 1979); never by sums of squares, which cancel."""
    apart = f"({s['mean']} - {f['mean']})"
    between = f"{apart} * {apart} * ({s['n']}::DOUBLE * {f['n']} / {n})"
    both = f"({s['n']} * {s['variance']} + {f['n']} * {f['variance']} + {between}) / {n}"
    return f"coalesce({both}, {s['variance']}, {f['variance']})"


def _quantile(settled: str, fresh: str, *, q: float) -> str:
    """The value of rank ``ceil(q * n)`` of a long ascending list and a short list in any order.

    Of the long list only the places from rank - m to rank can hold it, m being the length of the short list: those are
    sorted together with the short list, instead of both lists whole.
    """
    m = f"coalesce(len({fresh}), 0)"
    n = f"(coalesce(len({settled}), 0) + {m})"
    rank = f"greatest(ceil(CAST('{q!r}' AS DOUBLE) * {n})::BIGINT, 1)"
    passed = f"greatest({rank} - 1 - {m}, 0)"
    near = f"list_concat(list_slice({settled}, {passed} + 1, {rank}), {fresh})"
    return f"list_sort({near})[{rank} - {passed}]"
