"""What an aggregate takes of each event: a column's value, the truth of a condition, or the event itself.

A measure is kept as text, in Python's syntax: ``delay``, ``delay > 15``, ``delay if carrier == 'AA' else None``,
``1 if carrier == 'AA' else None``, ``hash(dest)``, ``len(basket)``.
"""

import ast
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain

from octavo.definitions.conditions import Condition, columns_of, condition_of
from octavo.definitions.lists import column_in, operand_of
from octavo.errors import InvalidDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A number of each event, or null, which aggregates pass over.

    Attributes
    ----------
    column : str or None
        The number is the value of this column, or the length of a list.
    condition : Condition or None
        The number is 1 where this holds, 0 where it does not, and null where that is unknown. With neither it is 1.
    where : Condition or None
        The number is null for all events but those for which this holds.
    is_hashed : bool
        Whether the number is a hash of the column's value instead.
    """

    column: str | None = None
    condition: Condition | None = None
    where: Condition | None = None
    is_hashed: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it looks at, each once."""
        asked = (columns_of(condition) for condition in (self.condition, self.where) if condition is not None)
        return tuple(dict.fromkeys([*([column_in(self.column)] if self.column else []), *chain.from_iterable(asked)]))

    def __str__(self) -> str:
        number = f"hash({self.column})" if self.is_hashed else str(self.condition or self.column or 1)
        return number if self.where is None else f"{number} if {self.where} else None"


@lru_cache(maxsize=1024)
def parse_measure(text: str) -> Measure:
    """The measure that ``str`` of one wrote.

    Raises
    ------
    InvalidDefinition
        If it is none.
    """
    if text.isidentifier():  # be it a word of Python's own
        return Measure(column=text)
    try:
        return _measure(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InvalidDefinition(f"{text[:200]!r} is no measure of an event: {error}") from error


def _measure(node: ast.expr) -> Measure:
    match node:
        case ast.IfExp(test=test, body=body, orelse=ast.Constant(value=None)):
            inner = _measure(body)
            return replace(inner, where=condition_of(test))
        case ast.Call(func=ast.Name(id="hash"), args=[hashed]) if operand := operand_of(hashed):
            return Measure(column=operand, is_hashed=True)
        case _ if operand := operand_of(node):
            return Measure(column=operand)
        case ast.Constant(value=1):
            return Measure()
        case _:
            return Measure(condition=condition_of(node))
