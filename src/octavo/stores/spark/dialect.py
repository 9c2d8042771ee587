"""A SELECT in DuckDB's dialect as what Spark runs: the steps of its WITH one by one, and what is left of it.

sqlglot translates most of it. What the two engines mean differently is rewritten here: where a list is null or an index
beyond its end, which rows ``arg_max`` passes over, ASOF joins, which Spark has no efficient form of, and parameters,
which become typed literals. The steps stay apart: as one plan, Spark would compute each anew wherever it is named, and
plan for longer than it computes.

Sums of floats are those of Spark: without compensation, in its own order, so that they may differ in their last bits.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import sqlglot
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.dialects.spark import Spark
from sqlglot.errors import SqlglotError

from octavo.clock import to_micros
from octavo.errors import InvalidRequest
from octavo.stores.spark.asof import without_asof


class _DuckDBAsWritten(DuckDB):
    """DuckDB's dialect with places in lists left as they are, of which sqlglot would move those whose type it knows.

    ``len`` is of a list here and ``length`` of a text, which DuckDB does not tell apart and Spark does.
    """

    INDEX_OFFSET = 0

    class Parser(DuckDB.Parser):  # type: ignore[misc, valid-type]  # a class that sqlglot's types do not show
        FUNCTIONS: ClassVar = {**DuckDB.Parser.FUNCTIONS, "LEN": lambda args: exp.ArraySize(this=args[0])}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A named SELECT that later ones read."""

    name: str
    sql: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """What Spark runs: each step as a view, and then the SELECT that has the answer."""

    steps: tuple[Step, ...]
    answer: str


def translated(sql: str, parameters: Mapping[str, object]) -> Translation:
    """Translate one SELECT.

    Raises
    ------
    InvalidRequest
        If it is not one SELECT, or a parameter is missing or of a type that no literal has.
    """
    tree = _parsed(sql)
    _rewrite(tree, parameters)
    found = tree.args.get("with_")
    steps = () if found is None else tuple(Step(name=cte.alias, sql=_spark(cte.this)) for cte in found.expressions)
    tree.set("with_", None)
    return Translation(steps=steps, answer=_spark(tree))


def _parsed(sql: str) -> exp.Query:
    try:
        statements = sqlglot.parse(sql, read=_DuckDBAsWritten)
    except SqlglotError as error:
        raise InvalidRequest(f"this query cannot be read: {str(error).splitlines()[0]}", sql=sql) from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise InvalidRequest("tables are queried with exactly one SELECT", fix="send a single SELECT statement")
    return statements[0]


def _spark(tree: exp.Expr) -> str:
    return tree.sql(Spark, pretty=True)


def _rewrite(tree: exp.Query, parameters: Mapping[str, object]) -> None:
    """Rewrite a tree from its leaves up."""
    for node in reversed(list(tree.bfs())):
        if isinstance(node, exp.Placeholder):
            node.replace(_parameter(node.name, parameters))
        elif isinstance(node, exp.Select):
            without_asof(node)
        elif isinstance(node, exp.Anonymous) and (named := _NAMED.get(node.name.lower())):
            node.replace(named(*node.expressions))
        elif rewritten := _REWRITTEN.get(type(node)):
            node.replace(rewritten(node))


def _parameter(name: str, parameters: Mapping[str, object]) -> exp.Expr:
    if name not in parameters:
        raise InvalidRequest(f"the query has a parameter ${name} that was not given", field=name)
    value = parameters[name]
    match value:
        case None | bool():
            return exp.convert(value)
        case int():
            return _cast(exp.Literal.string(str(value)), "BIGINT")
        case float():
            return _cast(exp.Literal.string(repr(value) if math.isfinite(value) else _NOT_FINITE[str(value)]), "DOUBLE")
        case str():
            return exp.Literal.string(value)
        case bytes():
            return exp.HexString(this=value.hex())
        case datetime():
            return exp.func("timestamp_micros", _cast(exp.Literal.string(str(to_micros(value))), "BIGINT"))
        case _:
            raise InvalidRequest(f"parameter ${name} is a {type(value).__name__}, which Spark has no literal for")


_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _cast(value: exp.Expr, kind: str) -> exp.Expr:
    return exp.cast(value, kind, dialect=Spark)


def _integer(value: exp.Expr) -> exp.Expr:
    """Spark counts places of lists by 32-bit integers."""
    return _cast(exp.paren(value), "INT")


def _list_slice(values: exp.Expr, first: exp.Expr, last: exp.Expr) -> exp.Expr:
    start = exp.func("greatest", first, exp.Literal.number(1))
    length = exp.func("greatest", exp.paren(last) - exp.paren(start.copy()) + 1, exp.Literal.number(0))
    return exp.Anonymous(this="slice", expressions=[values, _integer(start), _integer(length)])


def _list_element(bracket: exp.Bracket) -> exp.Expr:
    """Null beyond either end; places count from 1 in DuckDB, and from 0 here."""
    place = exp.paren(bracket.expressions[0]) - 1
    return exp.Anonymous(this="get", expressions=[bracket.this, _integer(place)])


def _list_concat(node: exp.ArrayConcat) -> exp.Expr:
    """DuckDB takes a null list as an empty one."""
    lists = [exp.func("coalesce", one, exp.Anonymous(this="array")) for one in (node.this, *node.expressions)]
    return exp.Anonymous(this="concat", expressions=lists)


def _list_sort(node: exp.ArraySort) -> exp.Expr:
    ascending = node.args.get("asc") or exp.true()
    return exp.Anonymous(this="sort_array", expressions=[node.this, ascending])


def _list(node: exp.ArrayAgg) -> exp.Expr:
    if isinstance(node.this, exp.Distinct):
        return exp.Anonymous(this="collect_set", expressions=node.this.expressions)
    return node


def _arg_max(node: exp.ArgMax) -> exp.Expr:
    """DuckDB passes over rows whose value is null, Spark over those whose order is."""
    order = exp.case().when(exp.not_(exp.Is(this=node.this.copy(), expression=exp.Null())), node.expression)
    return exp.Anonymous(this="max_by", expressions=[node.this, order])


def _filter(node: exp.Filter) -> exp.Expr:
    """The filter of an aggregate that is rewritten below other functions stays with the aggregate."""
    if isinstance(node.this, exp.Max) and (k := node.this.args.get("count")):
        return _largest(exp.Filter(this=exp.ArrayAgg(this=node.this.this), expression=node.expression), k)
    return node


def _max(node: exp.Max) -> exp.Expr:
    k = node.args.get("count")
    return node if k is None or isinstance(node.parent, exp.Filter) else _largest(exp.ArrayAgg(this=node.this), k)


def _largest(collected: exp.Expr, k: exp.Expr) -> exp.Expr:
    """``max(value, k)`` is a list, the largest value first."""
    ordered = exp.Anonymous(this="sort_array", expressions=[collected, exp.false()])
    return _list_slice(ordered, exp.Literal.number(1), k)


def _range(node: exp.GenerateSeries) -> exp.Expr:
    """A range ends before its end, and is empty where it would begin behind it; steps are positive."""
    start, end, step = node.args["start"], node.args["end"], node.args.get("step") or exp.Literal.number(1)
    series = exp.Anonymous(this="sequence", expressions=[start, exp.paren(end) - 1, step])
    empty = exp.Anonymous(this="array")
    return exp.case().when(exp.LT(this=exp.paren(start.copy()), expression=exp.paren(end.copy())), series).else_(empty)


def _number_of_hex(node: exp.Cast) -> exp.Expr:
    """DuckDB casts a text that begins with 0x to a whole number."""
    text = node.this.unnest()
    if isinstance(text, exp.DPipe) and text.this == exp.Literal.string("0x"):
        decimal = exp.Anonymous(this="conv", expressions=[text.expression, *map(exp.Literal.number, (16, 10))])
        return _cast(decimal, "BIGINT")
    return node


_NAMED: Mapping[str, Callable[..., exp.Expr]] = {
    "epoch_us": lambda moment: exp.Anonymous(this="unix_micros", expressions=[moment]),
    "fsum": lambda value: exp.Sum(this=value),
    "list_slice": _list_slice,
}

_REWRITTEN: Mapping[type[exp.Expr], Callable[..., exp.Expr]] = {
    exp.ArgMax: _arg_max,
    exp.ArrayAgg: _list,
    exp.ArrayConcat: _list_concat,
    exp.ArraySort: _list_sort,
    exp.Bracket: _list_element,
    exp.Cast: _number_of_hex,
    exp.Filter: _filter,
    exp.GenerateSeries: _range,
    exp.Max: _max,
}
