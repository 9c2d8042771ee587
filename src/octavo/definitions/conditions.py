"""Conditions on an event, as a user writes them: ``carrier == 'AA' and not (delay <= 15 or dest in ('SFO', 'LAX'))``.

They are written as in Python and never run as Python: what is read is this small part of its grammar. A condition
compares columns with constants by ``== != < <= > >=``, ``in (...)`` and ``is [not] None``, and joins comparisons by
``and``, ``or`` and ``not``. Of a list it asks whether a constant is in it (``'milk' in basket``), or compares its
length (``len(basket) > 3``). Numbers are compared as 64-bit floats. A column that is null is neither equal, unequal,
less nor greater: whether such a comparison holds is unknown, as in SQL, and so is its opposite; what is unknown does
not hold. `octavo.features.measures` says whether one holds.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite

from octavo.definitions.lists import column_in, operand_of
from octavo.definitions.sources import Source
from octavo.definitions.types import DType
from octavo.errors import InvalidDefinition

Constant = float | str | bool

_SIGNS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_ORDERING = ("<", "<=", ">", ">=")


@dataclass(frozen=True, slots=True)
class Comparison:
    """A column against a constant."""

    column: str
    sign: str
    constant: Constant

    def __str__(self) -> str:
        return f"{self.column} {self.sign} {_written(self.constant)}"


@dataclass(frozen=True, slots=True)
class OneOf:
    """A column that is one of some constants."""

    column: str
    constants: tuple[Constant, ...]

    def __str__(self) -> str:
        return f"{self.column} in ({''.join(f'{_written(constant)}, ' for constant in self.constants).rstrip()})"


@dataclass(frozen=True, slots=True)
class Contains:
    """A list in which a constant is."""

    column: str
    constant: Constant

    def __str__(self) -> str:
        return f"{_written(self.constant)} in {self.column}"


@dataclass(frozen=True, slots=True)
class IsNull:
    """A column without a value."""

    column: str

    def __str__(self) -> str:
        return f"{self.column} is None"


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite; unknown stays unknown."""

    condition: "Condition"

    def __str__(self) -> str:
        return f"not ({self.condition})"


@dataclass(frozen=True, slots=True)
class Joined:
    """Conditions of which all hold (``and``), or any (``or``)."""

    word: str
    conditions: tuple["Condition", ...]

    def __str__(self) -> str:
        return f" {self.word} ".join(f"({one})" if isinstance(one, Joined) else str(one) for one in self.conditions)


Leaf = Comparison | OneOf | Contains | IsNull
Condition = Leaf | Not | Joined


@lru_cache(maxsize=1024)
def parse_condition(text: str) -> Condition:
    """Read a condition; its ``str`` is the one way in which it is kept.

    Raises
    ------
    InvalidDefinition
        If it is none.
    """
    try:
        return condition_of(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InvalidDefinition(
            f"{text[:200]!r} is no condition ({error}); write it like: carrier == 'AA' and arr_delay > 15"
        ) from error


def condition_of(node: ast.expr) -> Condition:
    """The condition that a piece of Python's syntax is.

    Raises
    ------
    ValueError
        If it is none.
    """
    match node:
        case ast.BoolOp(op=op, values=values):
            return Joined("and" if isinstance(op, ast.And) else "or", tuple(map(condition_of, values)))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return Not(condition_of(operand))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if named := operand_of(left):
            return _comparison(named, op, right)
        case ast.Compare(left=left, ops=[ast.In() | ast.NotIn() as op], comparators=[ast.Name(id=column)]):
            found = Contains(column, _constant(left))
            return found if isinstance(op, ast.In) else Not(found)
        case _:
            raise ValueError(f"{ast.unparse(node)!r} compares no column with a constant")


def check_condition(condition: Condition, source: Source, *, what: str) -> None:
    """Refuse a condition that cannot be asked of the events of a source.

    Raises
    ------
    InvalidDefinition
        If a column does not exist, or is compared with a constant of another type.
    """
    for part in _leaves(condition):
        field = source.field(part.column, role=what)
        dtype = field.item if isinstance(part, Contains) else field.dtype
        if dtype is None:
            raise InvalidDefinition(
                f"{what}: {part} looks into {part.column!r}, which is {field.type_name} and no list"
            )
        constants = part.constants if isinstance(part, OneOf) else () if isinstance(part, IsNull) else (part.constant,)
        if any(not _fits(constant, dtype) for constant in constants):
            raise InvalidDefinition(
                f"{what}: {part} compares {part.column!r}, which is {field.type_name}, with what is not"
            )
        if isinstance(part, Comparison) and part.sign in _ORDERING and not isinstance(part.constant, float):
            raise InvalidDefinition(f"{what}: {part} orders what are no numbers; use == or !=")


def columns_of(condition: Condition) -> Iterator[str]:
    """The columns that a condition looks at."""
    return (column_in(part.column) for part in _leaves(condition))


def _comparison(column: str, op: ast.cmpop, right: ast.expr) -> Condition:
    match op, right:
        case (ast.Is() | ast.IsNot(), ast.Constant(value=None)):
            return IsNull(column) if isinstance(op, ast.Is) else Not(IsNull(column))
        case (ast.In() | ast.NotIn(), ast.Tuple(elts=elements) | ast.List(elts=elements)) if elements:
            found = OneOf(column, tuple(map(_constant, elements)))
            return found if isinstance(op, ast.In) else Not(found)
        case _ if type(op) in _SIGNS:
            return Comparison(column, _SIGNS[type(op)], _constant(right))
        case _:
            raise ValueError(f"{column!r} is compared in a way that conditions do not know")


def _constant(node: ast.expr) -> Constant:
    match node:
        case ast.Constant(value=bool() | str() as value):
            return value
        case ast.Constant(value=int() | float() as number) if isfinite(number):
            return float(number)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -float(number)
        case _:
            raise ValueError(f"{ast.unparse(node)!r} is no constant")


def _leaves(condition: Condition) -> Iterator[Leaf]:
    match condition:
        case Not():
            yield from _leaves(condition.condition)
        case Joined():
            for one in condition.conditions:
                yield from _leaves(one)
        case _:
            yield condition


def _fits(constant: Constant, dtype: DType) -> bool:
    if isinstance(constant, bool):
        return dtype is DType.BOOL
    if isinstance(constant, str):
        return dtype is DType.STRING
    return dtype in (DType.FLOAT64, DType.INT64)


def _written(constant: Constant) -> str:
    return repr(constant).removesuffix(".0") if isinstance(constant, float) else repr(constant)
