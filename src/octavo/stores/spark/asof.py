"""ASOF joins as running maxima.

Both sides are put into one set of rows, sorted by the join's keys and times. Going through it, the newest row of the
right side so far is the one that a row of the left side is joined to. So the work is one sort; the correlated subquery
that one would write instead reads all rows of a key for each row of the left side.

The rows of either side become one column each, of the side's own name, so that the rest of the query reads ``p.point``
and ``e.known`` as it did.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.dialects.spark import Spark

from octavo.errors import InvalidRequest

_JOINED = """
    SELECT `left` AS {left}, `right`.kept AS {right}
    FROM (
      SELECT
        `left`,
        max(`right`) OVER (
          PARTITION BY {places} ORDER BY at, turn ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS `right`
      FROM (
        SELECT {left_keys}, {left_time} AS at, {left_turn} AS turn, struct({left}.*) AS `left`, NULL AS `right`
        FROM {left_rows}
        UNION ALL
        SELECT {right_keys}, {right_time}, {right_turn}, NULL, struct({right_time} AS at, struct({right}.*) AS kept)
        FROM {right_rows}
        WHERE {right_complete}
      ) AS both_sides
    ) AS in_order
    WHERE `left` IS NOT NULL AND ({keeps_unjoined} OR `right` IS NOT NULL)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """One condition of a join: what it compares, on either side; `is_strict` for ``<``, false for ``<=`` and ``=``."""

    left: exp.Expr
    right: exp.Expr
    is_strict: bool = False


def without_asof(select: exp.Select) -> None:
    """Replace the ASOF join of a SELECT, if it has one.

    Raises
    ------
    InvalidRequest
        For another form than ``left AS l ASOF JOIN right AS r ON r.key = l.key AND r.time < l.time``, with any number
        of keys and ``<`` or ``<=``, or beside another join.
    """
    joins = select.args.get("joins") or []
    if not any(join.method == "ASOF" for join in joins):
        return
    if len(joins) > 1:
        raise InvalidRequest("an ASOF join stands alone in its SELECT on Spark", fix="join the others in another step")
    left = select.args["from_"].this
    select.set("from_", exp.From(this=_joined(left, joins[0]).subquery("asof_joined")))
    select.set("joins", None)


def _joined(left: exp.Expr, join: exp.Join) -> exp.Query:
    keys, time = _pairs(join, left=left.alias_or_name, right=join.this.alias_or_name)
    sql = _JOINED.format(
        left=_quoted(left.alias_or_name),
        right=_quoted(join.this.alias_or_name),
        places=", ".join(f"key_{place}" for place in range(len(keys))),
        left_keys=_named([key.left for key in keys]),
        right_keys=_named([key.right for key in keys]),
        left_time=time.left.sql(Spark),
        right_time=time.right.sql(Spark),
        left_turn=0 if time.is_strict else 1,
        right_turn=1 if time.is_strict else 0,
        left_rows=left.sql(Spark),
        right_rows=join.this.sql(Spark),
        right_complete=" AND ".join(f"{pair.right.sql(Spark)} IS NOT NULL" for pair in (*keys, time)),
        keeps_unjoined=join.side == "LEFT",
    )
    return sqlglot.parse_one(sql, read=Spark, into=exp.Select)


def _pairs(join: exp.Join, *, left: str, right: str) -> tuple[list[_Pair], _Pair]:
    """The keys and the time of a join."""
    keys, times = [], []
    for condition in join.args["on"].flatten() if isinstance(join.args.get("on"), exp.And) else []:
        match condition:
            case exp.EQ():
                keys.append(_pair(condition, left=left, right=right))
            case exp.LT() | exp.LTE() if _is_of(condition.this, right):
                times.append(_pair(condition, left=left, right=right))
            case exp.GT() | exp.GTE() if _is_of(condition.this, left):
                times.append(_pair(condition, left=left, right=right))
            case _:
                raise _unknown_form()
    if not keys or len(times) != 1:
        raise _unknown_form()
    return keys, times[0]


def _pair(condition: exp.Binary, *, left: str, right: str) -> _Pair:
    is_strict = isinstance(condition, (exp.LT, exp.GT))
    one, other = condition.this, condition.expression
    if _is_of(one, left) and _is_of(other, right):
        return _Pair(left=one, right=other, is_strict=is_strict)
    if _is_of(one, right) and _is_of(other, left):
        return _Pair(left=other, right=one, is_strict=is_strict)
    raise _unknown_form()


def _is_of(expression: exp.Expr, side: str) -> bool:
    return {column.table for column in expression.find_all(exp.Column)} == {side}


def _named(keys: Sequence[exp.Expr]) -> str:
    return ", ".join(f"{key.sql(Spark)} AS key_{place}" for place, key in enumerate(keys))


def _quoted(name: str) -> str:
    return exp.to_identifier(name, quoted=True).sql(Spark)


def _unknown_form() -> InvalidRequest:
    return InvalidRequest(
        "this ASOF join has a form that is not translated to Spark",
        fix="write: left AS l ASOF JOIN right AS r ON r.key = l.key AND r.time < l.time",
    )
